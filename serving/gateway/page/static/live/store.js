/**
 * Looks at the server's metrics every two seconds while somebody sees the page, and keeps the last minutes of them.
 *
 *     metrics ──parse, look──▶ step ──▶ the ring, which lives as long as the page ──onChange──▶ the view
 */
import { getText, ServiceError } from "../core/service.js";
import { pause } from "../core/time.js";
import { ExpositionError, parse } from "./exposition.js";
import { FOLLOWED, WANTED } from "./panels.js";
import { kept } from "./ring.js";
import { look, step } from "./steps.js";

/** @typedef {{ steps: import("./steps.js").Step[], latest: import("./steps.js").Look | null, failure: { since: number, error: ServiceError | ExpositionError } | null }} State */

const EVERY_MS = 2000;

/** @type {State} */
const state = { steps: [], latest: null, failure: null };
/** Whether the next look follows on the one before. */
let unbroken = false;

/** What is known, also before the first look. */
export function known() {
  return state;
}

/**
 * Looks until the signal aborts, and while the page is visible. Ends where a key is refused: a click has to go on from there.
 * @param {AbortSignal} signal
 * @param {(state: State) => void} onChange
 */
export async function follow(signal, onChange) {
  unbroken = false;
  while (!signal.aborted) {
    if (document.hidden) await seen(signal);
    if (signal.aborted) return;
    const began = Date.now();
    try {
      const text = await getText("metrics", signal);
      if (signal.aborted) return; // another may look by now
      take(text);
      state.failure = null;
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof ServiceError || error instanceof ExpositionError)) throw error;
      state.failure = { since: state.failure?.since ?? began, error };
      unbroken = false;
    }
    onChange(state);
    if (refuses(state)) return;
    await pause(Math.max(EVERY_MS / 4, began + EVERY_MS - Date.now()), signal);
  }
}

/**
 * Whether the server wants another key.
 * @param {State} state
 */
export function refuses({ failure }) {
  return failure?.error instanceof ServiceError && [401, 403].includes(failure.error.status);
}

/** @param {string} text */
function take(text) {
  const latest = look(parse(text), Date.now(), WANTED);
  state.steps = kept(state.steps, step(unbroken ? state.latest : null, latest, FOLLOWED));
  state.latest = latest;
  unbroken = true;
}

/** @param {AbortSignal} signal @returns {Promise<void>} when the page is visible again */
function seen(signal) {
  return new Promise((resolve) => {
    const told = () => {
      if (document.hidden && !signal.aborted) return;
      document.removeEventListener("visibilitychange", told);
      signal.removeEventListener("abort", told);
      resolve();
    };
    document.addEventListener("visibilitychange", told);
    signal.addEventListener("abort", told);
  });
}
