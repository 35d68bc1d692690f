import { fill, h } from "../../core/dom.js";

/**
 * @param {HTMLElement} host
 * @param {import("../view.js").Context} context
 * @param {AbortSignal} _signal
 */
export async function show(host, context, _signal) {
  fill(host, h("p", {}, context.card.name));
}
