/**
 * One model among others: what it is for, how it does, what it takes and gives.
 *
 *     createCard(name, ask) ──load──▶ card and release ──▶ its body, which is replaced only where something has changed
 */
import { besideStrongest, figure, firstOfEach, standing, baselines } from "../card/scores.js";
import { shortened } from "../card/shortened.js";
import { states } from "../card/states.js";
import { inShort } from "../card/tensors.js";
import { labelsInWords } from "../card/versions.js";
import { format } from "../core/address.js";
import { card } from "../core/card.js";
import { fill, h } from "../core/dom.js";
import { prose } from "../core/prose.js";
import { ServiceError } from "../core/service.js";
import { releaseLine, releaseSentence } from "../release/line.js";

/** @typedef {import("../core/card.js").Card} Card */
/**
 * @typedef {object} ModelCard
 * @property {HTMLElement} element
 * @property {(signal: AbortSignal) => Promise<void>} load asks again; what is wrong is said in the card
 * @property {() => string} words that a filter looks into
 * @property {() => boolean} changing whether a version is on its way in or out
 */

const LONGEST_PURPOSE = 280;
const MOST_SCORES = 4;
const MOST_LABELS = 4;
const CHANGING = ["START", "LOADING", "UNLOADING"];

/**
 * @param {string} name
 * @returns {ModelCard}
 */
export function createCard(name) {
  const body = h("div", { class: "body" }, h("p", { class: "hint" }, "Asking …"));
  const shortName = shortened(name, 100);
  const actions = h(
    "p",
    { class: "actions" },
    h("a", { class: "button", href: format(["models", name, "try"]), "aria-label": `Try ${shortName}` }, "Try"),
    h("a", { class: "button", href: format(["models", name, "about"]), "aria-label": `About ${shortName}` }, "About"),
  );
  const title = h("h2", {}, h("a", { href: format(["models", name]) }, h("bdi", {}, shortName)));
  const element = h("li", { class: "card model" }, title, body, actions);
  let shown = "";
  let words = name;
  let changing = false;

  /** @param {AbortSignal} signal */
  async function load(signal) {
    try {
      const [told, release] = await Promise.all([card(name, null, signal), releaseSentence(name, signal)]);
      show(JSON.stringify([told, release]), () => content(told, release));
      words = `${name} ${told.purpose}`;
      changing = told.versions.some((each) => CHANGING.includes(each.state));
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof ServiceError)) throw error;
      show(error.message, () => [h("p", { class: "error" }, error.message)]);
    }
  }

  /** @param {string} said @param {() => (HTMLElement | false | null)[]} elements */
  function show(said, elements) {
    if (said === shown) return;
    shown = said;
    fill(body, elements());
  }

  return { element, load, words: () => words, changing: () => changing };
}

/** @param {Card} told @param {string | null} release */
function content(told, release) {
  const [signature] = told.signatures;
  const labels = labelsInWords(told.labels);
  const named = shortened(labels.slice(0, MOST_LABELS).join(", "), LONGEST_PURPOSE);
  return [
    states(told.versions),
    !told.versions.length && told.error !== "" && h("p", { class: "error" }, h("bdi", {}, shortened(told.error, LONGEST_PURPOSE))),
    labels.length > 0 && h("p", { class: "hint" }, h("bdi", {}, labels.length > MOST_LABELS ? `${named} and ${labels.length - MOST_LABELS} more labels` : named)),
    release !== null && releaseLine(told.name, release),
    told.purpose ? h("p", { class: "purpose", dir: "auto" }, prose(shortened(told.purpose, LONGEST_PURPOSE))) : h("p", { class: "hint" }, told.problem || "No card says what it is for."),
    signature && inShort("Takes", signature.inputs),
    signature && inShort("Gives", signature.outputs),
    told.scores.length > 0 && scores(told.scores),
  ];
}

/** @param {import("../core/card.js").Score[]} all */
function scores(all) {
  const first = firstOfEach(all);
  const lines = first.slice(0, MOST_SCORES).map((score) => {
    const [strongest] = baselines(score);
    const stands = strongest ? standing(score, strongest.value) : "unknown";
    return h(
      "li",
      {},
      h("bdi", {}, shortened(`${score.output}: ${score.metric}`, 80)),
      " ",
      h("strong", {}, figure(score.metric, score.value)),
      strongest && h("span", { class: `beside ${stands}` }, h("bdi", {}, shortened(besideStrongest(score), 120))),
    );
  });
  if (first.length > MOST_SCORES) lines.push(h("li", { class: "hint" }, `and ${first.length - MOST_SCORES} more outputs`));
  return h("div", { class: "scores" }, h("h3", {}, "On held-out rows"), h("ul", { role: "list" }, lines));
}
