/**
 * Two answers side by side: of two versions to the same row, or of one version to two rows.
 *
 *     ?mode=versions ──▶ versions.js: one form, two versions          ?mode=inputs ──▶ inputs.js: two forms, one version
 */
import { update } from "../../core/address.js";
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
  let shown = new AbortController();
  const place = h("div", {});
  const buttons = Object.entries(MODES).map(([name, { title }]) => [name, h("button", { type: "button", onclick: () => void change(name) }, title)]);
  fill(host, h("div", { class: "modes actions", role: "group", "aria-label": "What to compare" }, buttons.map(([, button]) => button)), place);

  /** @param {string} mode */
  function change(mode) {
    update(address, { mode });
    return showMode(mode);
  }

  /** @param {string} mode */
  async function showMode(mode) {
    shown.abort();
    shown = new AbortController();
    const { signal: ends } = shown;
    for (const [name, button] of buttons) /** @type {HTMLElement} */ (button).setAttribute("aria-pressed", String(name === mode));
    fill(place);
    await MODES[mode].show(place, context, AbortSignal.any([signal, ends]));
  }

  await showMode(asked in MODES ? asked : several ? "versions" : "inputs");
}
