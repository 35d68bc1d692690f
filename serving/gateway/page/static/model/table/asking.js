/**
 * All rows of a table asked, some in a request, two requests in flight.
 *
 *     rows ──chunks──▶ ask(rows) ──▶ an answer each
 *              └── one is refused: halved, until the bad rows are found; the good ones get their answers
 *              └── the server is busy: asked again after a while       └── it is away, or refuses all: Stopped
 */

/** @typedef {import("../../core/service.js").Prediction} Prediction */
/** @typedef {import("../../core/card.js").Row} Row */
/** @typedef {{ place: number, row: Row }} PlacedRow */
/**
 * @typedef {object} Asking
 * @property {(rows: Row[], signal: AbortSignal) => Promise<Prediction[]>} ask raises errors with a `status` of HTTP; 0: nobody answered
 * @property {(place: number, prediction: Prediction) => void} answered
 * @property {(place: number, error: string) => void} refused
 * @property {(message: string) => void} waiting for a server that is busy; empty: no longer
 * @property {number} mostRows in a request
 * @property {(ms: number, signal: AbortSignal) => Promise<void>} pause ends early when it is aborted
 */

/** It makes no sense to go on; the rows that are left have not been asked. */
export class Stopped extends Error {}

const IN_FLIGHT = 2;
const MOST_BYTES = 1 << 19;
const PAUSES_MS = [500, 1000, 2000, 4000, 8000, 16000];
const BUSY = [429, 502, 503];
/** What one row among others may bring about: not readable, too large, or the model fails or takes too long. */
const BY_ROWS = [400, 413, 422, 500, 504];
/** Rows that fail before any is answered: then it is not the rows. */
const HOPELESS = 50;

/**
 * Asks all of them. Raises Stopped, and what `signal` was aborted with.
 * @param {PlacedRow[]} rows
 * @param {Asking} asking
 * @param {AbortSignal} signal
 */
export async function askAll(rows, asking, signal) {
  const queue = chunksOf(rows, asking.mostRows);
  const ends = new AbortController();
  const both = AbortSignal.any([signal, ends.signal]);
  let good = 0;
  let bad = 0;

  /** @param {PlacedRow[]} chunk */
  async function askOne(chunk) {
    try {
      const predictions = await patiently(chunk, asking, both);
      good += chunk.length;
      chunk.forEach(({ place }, at) => asking.answered(place, predictions[at]));
    } catch (error) {
      both.throwIfAborted();
      const { status, message } = /** @type {{ status?: number, message: string }} */ (error);
      if (status === undefined) throw error;
      if (!BY_ROWS.includes(status)) throw new Stopped(message);
      if (chunk.length > 1) {
        const middle = Math.ceil(chunk.length / 2);
        queue.unshift(chunk.slice(0, middle), chunk.slice(middle));
        return;
      }
      bad += 1;
      asking.refused(chunk[0].place, message);
      if (!good && bad >= HOPELESS) throw new Stopped(`the first ${bad} rows that were asked have all failed, so the others were left alone. The last: ${message}`);
    }
  }

  async function worker() {
    for (let chunk = queue.shift(); chunk; chunk = queue.shift()) {
      both.throwIfAborted();
      await askOne(chunk);
    }
  }

  // A chunk that is halved while others wait for an answer fills the queue again: so those who find it empty look once more.
  while (queue.length) {
    const workers = Array.from({ length: IN_FLIGHT }, worker);
    try {
      await Promise.all(workers);
    } catch (error) {
      ends.abort();
      await Promise.allSettled(workers);
      throw error;
    }
  }
}

/**
 * Rows in requests of so many, and of not too many bytes.
 * @param {PlacedRow[]} rows
 * @param {number} mostRows
 */
export function chunksOf(rows, mostRows) {
  /** @type {PlacedRow[][]} */
  const chunks = [];
  let bytes = Infinity;
  for (const placed of rows) {
    const size = JSON.stringify(placed.row).length;
    const last = chunks[chunks.length - 1];
    if (last && last.length < mostRows && bytes + size <= MOST_BYTES) {
      last.push(placed);
      bytes += size;
    } else {
      chunks.push([placed]);
      bytes = size;
    }
  }
  return chunks;
}

/**
 * The answers to a chunk, of a server that may be busy now.
 * @param {PlacedRow[]} chunk
 * @param {Asking} asking
 * @param {AbortSignal} signal
 */
async function patiently(chunk, { ask, pause, waiting }, signal) {
  for (let tries = 0; ; tries += 1) {
    try {
      const predictions = await ask(chunk.map(({ row }) => row), signal);
      if (tries) waiting("");
      if (predictions.length !== chunk.length) throw new Stopped(`the server gave ${predictions.length} answers for ${chunk.length} rows`);
      return predictions;
    } catch (error) {
      const { status, message } = /** @type {{ status?: number, message: string }} */ (error);
      if (signal.aborted || !BUSY.includes(status ?? -1) || tries === PAUSES_MS.length) throw error;
      waiting(message);
      await pause(PAUSES_MS[tries], signal);
      signal.throwIfAborted();
    }
  }
}
