/** The values of forms in the URL, written a moment after the last change: browsers refuse that with each move of a pen. */
import { update } from "../../core/address.js";

const WRITTEN_AFTER_MS = 250;

/**
 * @param {import("../../core/address.js").Address} address
 * @param {() => { [name: string]: import("../../core/card.js").Row | null }} values as they are then; null: a form is not whole, which leaves the URL as it is
 * @param {(fits: boolean) => void} told whether all of them fit into the URL
 * @param {AbortSignal} signal
 * @returns {{ changed: () => void, now: () => void }}
 */
export function createWriter(address, values, told, signal) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let waiting;
  signal.addEventListener("abort", () => clearTimeout(waiting), { once: true });

  function now() {
    clearTimeout(waiting);
    const rows = Object.entries(values()).filter(([, row]) => row !== null);
    told(rows.map(([name, row]) => update(address, { [name]: JSON.stringify(row) })).every(Boolean));
  }

  return {
    now,
    changed() {
      clearTimeout(waiting);
      waiting = setTimeout(now, WRITTEN_AFTER_MS);
    },
  };
}
