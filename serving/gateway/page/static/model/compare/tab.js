/**
 * Two answers side by side: of two versions to the same row, or of one version to two rows.
 *
 *     ?mode=versions ──▶ versions.js: one form, two versions          ?mode=inputs ──▶ inputs.js: two forms, one version
 */
import { format } from "../../core/address.js";
import { fill, h } from "../../core/dom.js";
import * as inputs from "./inputs.js";
import * as versions from "./versions.js";

/** @type {{ [name: string]: { title: string, show: (host: HTMLElement, context: import("../view.js").Context, signal: AbortSignal) => Promise<void> } }} */
const MODES = {
  versions: { title: "Two versions", show: versions.show },
  inputs: { title: "Two inputs", show: inputs.show },
};

/**
 * @param {HTMLElement} host
 * @param {import("../view.js").Context} context
 * @param {AbortSignal} signal
 */
export async function show(host, context, signal) {
  const { address, card } = context;
  const several = card.versions.filter((each) => each.state === "AVAILABLE").length > 1;
  const asked = address.query.get("mode") ?? "";
  const mode = Object.hasOwn(MODES, asked) ? asked : several ? "versions" : "inputs";
  const place = h("div", {});
  const buttons = Object.entries(MODES).map(([name, { title }]) => {
    const go = () => (location.hash = format(address.path, new Map([...address.query, ["mode", name]])));
    return h("button", { type: "button", "aria-pressed": String(name === mode), dataset: { keep: `mode-${name}` }, onclick: go }, title);
  });
  fill(host, h("div", { class: "modes actions", role: "group", "aria-label": "What to compare" }, buttons), place);
  await MODES[mode].show(place, context, signal);
}
