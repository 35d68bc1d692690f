/** A model's release in one line, where one is on its way or was taken back; who may not see it sees nothing. */
import { format } from "../core/address.js";
import { h } from "../core/dom.js";
import { ServiceError } from "../core/service.js";
import { releaseOf } from "./asking.js";
import { current, isOpen, stageInWords } from "./release.js";

/**
 * The sentence; null where there is nothing to say. A server that does not tell is none of a reader's concern here.
 * @param {string} model
 * @param {AbortSignal} signal
 * @returns {Promise<string | null>}
 */
export async function releaseSentence(model, signal) {
  try {
    const { told } = await releaseOf(model, signal);
    const release = told && current(told);
    return release && (isOpen(release) || release.stage === "rolled_back") ? `${stageInWords(release)}.` : null;
  } catch (error) {
    if (error instanceof ServiceError || signal.aborted) return null;
    throw error;
  }
}

/**
 * The line, with a link to all of it.
 * @param {string} model
 * @param {string} sentence
 */
export function releaseLine(model, sentence) {
  return h("p", { class: "note release-line" }, h("strong", {}, "Release: "), sentence, " ", h("a", { href: format(["models", model, "about"]) }, "Its evidence"));
}
