/**
 * All requests of the page: to the server that it came from, with the key of the session.
 *
 *     get("v1/models")                    predict({ model, signature, rows }) ──▶ predictions, version, time per stage
 *          └── an answer that is none is a ServiceError, with the server's own words
 */
import { ask, forget, key } from "./session.js";
import { bodyText, readAnswer } from "./wire.js";

/** @typedef {{ [input: string]: unknown }} Row one instance: the JSON value of each input */
/** @typedef {{ [output: string]: unknown }} Prediction */
/**
 * What is asked of a model.
 * @typedef {object} Call
 * @property {string} model
 * @property {number | null} [version] null: the one that unversioned requests get
 * @property {import("./card.js").Signature} signature
 * @property {Row[]} rows of a signature that is not in rows: one, of whole columns
 * @property {boolean} [alone] whether it shares its call of the model with no other request
 */
/** @typedef {{ name: string, ms: number }} Stage */
/**
 * @typedef {object} Answer
 * @property {Prediction[]} predictions one for each row
 * @property {number} version which has answered
 * @property {string} requestId
 * @property {number} ms from the first byte sent to the last one read
 * @property {Stage[]} stages of the server, in order; empty where it does not tell
 * @property {SentRequest & { headers: { [name: string]: string } }} request the key is not among its headers
 * @property {string} text the answer as it came
 */
/**
 * @typedef {object} SentRequest
 * @property {string} path
 * @property {{ [name: string]: unknown }} body numbers that JSON has not are words in it
 * @property {string} text the body as it is sent: with NaN and Infinity as the server reads them
 */

/** An answer that is no answer. */
export class ServiceError extends Error {
  /**
   * @param {number} status of HTTP; 0: nobody answered
   * @param {string} message
   * @param {string} [requestId]
   * @param {SentRequest} [request]
   */
  constructor(status, message, requestId = "", request = undefined) {
    super(message);
    this.status = status;
    this.requestId = requestId;
    this.request = request;
  }
}

/** A caller that shows the same rows to the same side of a release: this session's. */
const AFFINITY = crypto.getRandomValues(new Uint32Array(2)).join("-");

/**
 * The JSON at a path. Raises ServiceError.
 * @param {string} path relative to the page
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export async function get(path, signal) {
  const response = await send(path, { signal });
  return whole(() => response.json(), signal);
}

/**
 * The JSON at a path; a refusal for want of a key is raised like any other, and nobody is asked for one. Raises ServiceError.
 * @param {string} path relative to the page
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export async function getQuietly(path, signal) {
  const response = await send(path, { signal }, undefined, false);
  return whole(() => response.json(), signal);
}

/**
 * The text at a path, of what looks again and again: nobody is asked for a key. Raises ServiceError.
 * @param {string} path relative to the page
 * @param {AbortSignal} [signal]
 */
export async function getText(path, signal) {
  const response = await send(path, { signal }, undefined, false);
  return whole(() => response.text(), signal);
}

/**
 * The path of a model's version, below the page.
 * @param {string} model
 * @param {number | null} [version]
 */
export function modelPath(model, version = null) {
  const end = version === null ? "" : `/versions/${version}`;
  return `v1/models/${encodeURIComponent(model)}${end}`;
}

/**
 * The request that a call is, by which anybody can make it again.
 * @param {Call} call
 * @returns {SentRequest}
 */
export function requestOf({ model, version = null, signature, rows }) {
  /** @type {{ [name: string]: unknown }} */
  const body = {};
  if (signature.name !== "serving_default") body.signature_name = signature.name;
  if (signature.in_rows) body.instances = rows;
  else body.inputs = rows[0];
  const carried = signature.outputs.filter((output) => output.holds !== "other");
  if (carried.length < signature.outputs.length) body.output_filter = carried.map((output) => output.name);
  body.named_outputs = true;
  body.non_finite = "string";
  return { path: `${modelPath(model, version)}:predict`, body, text: bodyText(body, signature) };
}

/**
 * Asks a model. Raises ServiceError.
 * @param {Call} call
 * @param {AbortSignal} [signal]
 * @returns {Promise<Answer>}
 */
export async function predict(call, signal) {
  const request = requestOf(call);
  /** @type {{ [name: string]: string }} */
  const headers = { "Content-Type": "application/json", "X-Signet-Timing": "on", "X-Signet-Key": AFFINITY };
  if (call.alone) headers["X-Signet-Batching"] = "off";
  const began = performance.now();
  const response = await send(request.path, { method: "POST", headers, body: request.text, signal }, request);
  const text = await whole(() => response.text(), signal, request);
  const ms = performance.now() - began;
  return {
    predictions: predictionsIn(text, call, request),
    version: Number(response.headers.get("X-Signet-Model-Version")),
    requestId: response.headers.get("X-Request-Id") ?? "",
    ms,
    stages: stages(response.headers.get("Server-Timing") ?? ""),
    request: { ...request, headers },
    text,
  };
}

/**
 * The body of an answer. Raises ServiceError where it breaks off, or is not what it should be.
 * @template T
 * @param {() => Promise<T>} read
 * @param {AbortSignal} [signal]
 * @param {SentRequest} [request] for the error
 */
async function whole(read, signal, request) {
  try {
    return await read();
  } catch (error) {
    signal?.throwIfAborted();
    throw new ServiceError(0, `the answer cannot be read: ${/** @type {Error} */ (error).message}`, "", request);
  }
}

/**
 * @param {string} text
 * @param {Call} call
 * @param {SentRequest} request for the error
 * @returns {Prediction[]}
 */
function predictionsIn(text, { signature }, request) {
  try {
    const answer = readAnswer(text, signature);
    if (signature.in_rows ? Array.isArray(answer.predictions) : answer.outputs) return signature.in_rows ? answer.predictions : [answer.outputs];
  } catch {
    // what stands between may answer in other words: those are shown
  }
  throw new ServiceError(0, `this is no answer of a model: ${text.slice(0, 500)}`, "", request);
}

/**
 * A request with the session's key; asks for one when the server does. Raises ServiceError.
 * @param {string} path relative to the page
 * @param {RequestInit} [options]
 * @param {SentRequest} [request] for the error
 * @param {boolean} [asks] whether the user may be asked
 * @returns {Promise<Response>}
 */
export async function send(path, options = {}, request = undefined, asks = true) {
  for (;;) {
    const shown = key();
    const headers = new Headers(options.headers);
    if (shown) headers.set("Authorization", `Bearer ${shown}`);
    let response;
    try {
      response = await fetch(path, { cache: "no-cache", ...options, headers });
    } catch (error) {
      options.signal?.throwIfAborted();
      throw new ServiceError(0, `no answer from the server: ${/** @type {Error} */ (error).message}`, "", request);
    }
    if (response.ok) return response;
    const error = await refusal(response, request);
    if (response.status !== 401) throw error;
    if (shown && shown === key()) forget(); // it holds no more
    if (!asks) throw error;
    options.signal?.throwIfAborted();
    if (!key() && !(await ask(error.message))) throw error;
  }
}

/** @param {Response} response @param {SentRequest} [request] */
async function refusal(response, request) {
  const text = await response.text();
  const requestId = response.headers.get("X-Request-Id") ?? "";
  let message = text.slice(0, 500) || `status ${response.status}`;
  try {
    const said = JSON.parse(text).error;
    if (typeof said === "string") message = said;
  } catch {
    // what stands between may answer in other words: those are shown
  }
  return new ServiceError(response.status, message, requestId, request);
}

/**
 * What a Server-Timing header says: read;dur=0.1, model;dur=2.5.
 * @param {string} header
 * @returns {Stage[]}
 */
function stages(header) {
  return [...header.matchAll(/([\w-]+);dur=([\d.]+)/g)].map(([, name, ms]) => ({ name, ms: Number(ms) }));
}
