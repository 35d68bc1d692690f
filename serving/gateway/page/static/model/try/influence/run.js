/**
 * Asks about many rows: the first is the one that all others are compared to.
 *
 *     rows independent ──▶ one request of all; what is too much for it is asked in halves
 *     rows that change each other's answers ──▶ a request each, a few at a time
 */
import { predict, ServiceError } from "../../../core/service.js";
import { pause } from "../../../core/time.js";

/** @typedef {import("../../../core/card.js").Row} Row */
/** @typedef {import("../../../core/service.js").Call} Call */
/** @typedef {import("../../../core/service.js").Prediction} Prediction */
/**
 * @typedef {object} Result
 * @property {(Prediction | null)[]} predictions one for each row; null: the model refuses that row
 * @property {number} requests that gave them
 * @property {number} ms from the first request to the last answer
 * @property {string} note what went otherwise than planned
 */
/** @typedef {(done: number, of: number) => void} Progress rows answered */

/** Requests under way at the same time. */
const SIDE_BY_SIDE = 4;
/** Rows that the model may refuse before it is asked no more. */
const MOST_REFUSED = 8;
const TOO_LARGE = 413;
/** Statuses that fewer rows may get past: too large, too many, took too long. */
const TOO_MUCH = new Set([TOO_LARGE, 429, 503, 504]);
const REFUSED = 400;
const PAUSE_MS = 500;

/**
 * The answers. Raises ServiceError when the first row gets none, or too many of the others.
 * @param {Omit<Call, "rows">} call
 * @param {Row[]} rows
 * @param {AbortSignal} signal
 * @param {Progress} progress
 * @returns {Promise<Result>}
 */
export async function run(call, rows, signal, progress) {
  const { signature } = call;
  const joint = signature.in_rows && signature.independent;
  /** @type {(Prediction | null)[]} */
  const predictions = new Array(rows.length).fill(null);
  const state = { done: 0, requests: 0, refused: 0, note: "" };
  const began = performance.now();

  /** @param {number} from @param {number} to */
  async function ask(from, to) {
    try {
      const answer = await predict({ ...call, rows: rows.slice(from, to), alone: !joint }, signal);
      answer.predictions.forEach((prediction, place) => (predictions[from + place] = prediction));
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof ServiceError)) throw error;
      if (to - from === 1) return refuse(from, error);
      if (error.status !== REFUSED && !TOO_MUCH.has(error.status)) throw error;
      if (error.status !== REFUSED) {
        state.note = `The server took fewer rows at a time: ${error.message}`;
        if (error.status !== TOO_LARGE) await pause(PAUSE_MS, signal);
        signal.throwIfAborted();
      }
      const middle = (from + to) >> 1;
      await ask(from, middle);
      await ask(middle, to);
      return;
    }
    state.requests += 1;
    state.done += to - from;
    progress(state.done, rows.length);
  }

  /** @param {number} place @param {ServiceError} error */
  function refuse(place, error) {
    state.refused += 1;
    if (place === 0 || error.status !== REFUSED || state.refused > MOST_REFUSED) throw error;
    state.done += 1;
    progress(state.done, rows.length);
  }

  progress(0, rows.length);
  if (joint) await ask(0, rows.length);
  else {
    await ask(0, 1); // whether it is answered at all
    let next = 1;
    const work = async () => {
      try {
        while (next < rows.length) await ask(next, (next += 1));
      } catch (error) {
        next = rows.length; // the others end, too
        throw error;
      }
    };
    await Promise.all(Array.from({ length: SIDE_BY_SIDE }, work));
  }
  return { predictions, requests: state.requests, ms: performance.now() - began, note: state.note };
}
