/**
 * Asks for releases, which are an admin's to see where the server asks for keys: who has none is told so, and asked for nothing.
 *
 *     releaseOf(model) ──GET …/release──▶ {told}  or, once for all models and this key, {refused: the server's words}
 */
import { getQuietly, modelPath, ServiceError } from "../core/service.js";
import { key } from "../core/session.js";

/** @typedef {import("./release.js").Told} Told */
/** @typedef {{ told: Told | null, refused: string }} Asked */

/** What came of the first question, by the key that it was asked with: others wait for it. @type {Map<string, Promise<string>>} */
const refusals = new Map();

/**
 * What is known of a model's release. Raises ServiceError, but for a key that may not see it.
 * @param {string} model
 * @param {AbortSignal} [signal]
 * @returns {Promise<Asked>}
 */
export async function releaseOf(model, signal) {
  const shown = key();
  const refused = await refusals.get(shown);
  if (refused) return { told: null, refused };
  const asking = ask(model, signal);
  if (!refusals.has(shown)) {
    const first = asking.then((asked) => asked.refused, () => "");
    refusals.set(shown, first);
    void first.then((words) => words || refusals.delete(shown)); // a right may be lost later
  }
  return asking;
}

/** @param {string} model @param {AbortSignal} [signal] @returns {Promise<Asked>} */
async function ask(model, signal) {
  try {
    return { told: await getQuietly(`${modelPath(model)}/release`, signal), refused: "" };
  } catch (error) {
    if (error instanceof ServiceError && (error.status === 401 || error.status === 403)) return { told: null, refused: error.message };
    throw error;
  }
}
