/**
 * What the server says of a model: its versions, signatures, and what its card tells. Asked for once a view.
 */
import { get, modelPath } from "./service.js";

/**
 * A tensor of a signature.
 * @typedef {object} Tensor
 * @property {string} name
 * @property {string} dtype
 * @property {number[] | null} shape -1: any size; null: any rank
 * @property {string} meaning
 * @property {string} unit
 * @property {string} values
 * @property {string[]} labels names of the places along the last axis
 * @property {"text" | "bytes" | "numbers" | "booleans" | "other"} holds other: JSON cannot carry it
 */
/**
 * @typedef {object} Signature
 * @property {string} name
 * @property {Tensor[]} inputs
 * @property {Tensor[]} outputs
 * @property {boolean} servable whether JSON can carry it
 * @property {boolean} in_rows whether it takes `instances`
 * @property {boolean} independent whether a row is answered alone as in company
 * @property {string} why it is not known to be
 * @property {{ value: number, inputs: { [name: string]: number[] } } | null} padding
 */
/** @typedef {{ output: string, metric: string, value: number, baselines: { [name: string]: number }, ceiling: number | null }} Score */
/** @typedef {{ version: number, state: string, error: string }} Version */
/**
 * @typedef {object} Card
 * @property {string} name
 * @property {number | null} version that the rest is about; null: none is available
 * @property {Version[]} versions
 * @property {{ [label: string]: number }} labels
 * @property {string} purpose
 * @property {string[]} limits
 * @property {string} data
 * @property {number | null} parameters
 * @property {string} digest
 * @property {string} problem why there is no card
 * @property {string} error why what was asked for is not available; empty: it is
 * @property {{ [name: string]: unknown }} training
 * @property {Score[]} scores
 * @property {string[]} pictures
 * @property {Signature[]} signatures the friendliest first
 */
/** @typedef {{ [name: string]: unknown }} Row */
/**
 * @typedef {object} Examples
 * @property {string} source
 * @property {Row[]} rows
 * @property {Row[] | null} answers
 */

/**
 * The card of a model. Raises ServiceError.
 * @param {string} model
 * @param {number | null} version null: the one that unversioned requests get
 * @param {AbortSignal} [signal]
 * @returns {Promise<Card>}
 */
export function card(model, version, signal) {
  return get(`${modelPath(model, version)}/card`, signal);
}

/**
 * Rows that a signature is known to take. Raises ServiceError.
 * @param {string} model
 * @param {number | null} version
 * @param {string} signature
 * @param {AbortSignal} [signal]
 * @returns {Promise<Examples>}
 */
export function examples(model, version, signature, signal) {
  return get(`${modelPath(model, version)}/examples?signature=${encodeURIComponent(signature)}`, signal);
}
