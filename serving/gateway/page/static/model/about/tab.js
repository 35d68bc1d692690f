/**
 * All that is known of a version: its states, its release, what its card says, its tensors, its pictures.
 */
import { pictures } from "../../card/pictures.js";
import { allStates } from "../../card/states.js";
import { labelsInWords } from "../../card/versions.js";
import { copyButton } from "../../core/copy.js";
import { fill, h } from "../../core/dom.js";
import { prose } from "../../core/prose.js";
import { pause } from "../../core/time.js";
import { releasePanel } from "../../release/panel.js";
import { facts, flattened } from "./facts.js";
import { scoreTable } from "./scores.js";
import { signaturePanel } from "./signature.js";

/** @typedef {import("../../core/card.js").Card} Card */

/** How long a release that does not tell keeps the rest from being shown. */
const PATIENCE_MS = 1000;

/**
 * @param {HTMLElement} host
 * @param {import("../view.js").Context} context
 * @param {AbortSignal} signal
 */
export async function show(host, context, signal) {
  const { card } = context;
  const release = releasePanel(card.name, signal);
  await Promise.race([release.looked, pause(PATIENCE_MS, signal)]);
  if (signal.aborted) return;
  fill(
    host,
    card.problem && h("p", { class: "note" }, h("bdi", {}, card.problem)),
    h("div", { class: "about" }, versions(card), described(card)),
    release.element,
    card.scores.length > 0 && scoreTable(card.scores),
    card.signatures.map(signaturePanel),
    h("div", { class: "pictures" }, pictures(card, signal)),
    training(card),
  );
}

/** @param {Card} card */
function versions({ versions: all, labels, version, digest, parameters }) {
  const named = labelsInWords(labels);
  return h(
    "section",
    { class: "panel", "aria-label": "Versions" },
    h("h2", {}, "Versions"),
    all.length ? allStates(all) : h("p", {}, "The server that answers for this model tells no states."),
    named.length > 0 && [h("h3", {}, "Labels"), h("ul", { class: "plain", role: "list" }, named.map((text) => h("li", {}, h("bdi", {}, text))))],
    version !== null && [
      h("h3", {}, `Version ${version}`),
      facts([
        ["Parameters", parameters === null ? "" : parameters.toLocaleString("en")],
        ["Digest", digest && h("span", { class: "digest" }, h("code", {}, digest), copyButton(() => digest))],
      ]),
    ],
  );
}

/** @param {Card} card */
function described({ purpose, limits, data }) {
  if (!purpose && !limits.length && !data) return null;
  return h(
    "section",
    { class: "panel", "aria-label": "Limits and data" },
    limits.length > 0 && [h("h2", {}, "Limits"), h("ul", {}, limits.map((text) => h("li", { dir: "auto" }, prose(text))))],
    data && [h("h2", {}, "Data"), h("p", { dir: "auto" }, prose(data))],
    !limits.length && !data && h("p", { class: "hint" }, "Its card names neither limits nor data."),
  );
}

/** @param {Card} card */
function training({ training: said }) {
  const rows = flattened(said);
  return rows.length > 0 && h("section", { class: "panel", "aria-label": "Training" }, h("h2", {}, "Training"), facts(rows));
}
