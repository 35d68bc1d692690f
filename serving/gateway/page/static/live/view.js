/** The last minutes of the server, from its metrics. */
import { fill, h } from "../core/dom.js";

/**
 * @param {HTMLElement} host
 * @param {import("../core/address.js").Address} _address
 * @param {AbortSignal} _signal
 */
export async function show(host, _address, _signal) {
  document.title = "Signet: live";
  fill(host, h("h1", {}, "Live"));
}
