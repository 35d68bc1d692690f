/**
 * What is served, a card a model.
 *
 *     GET v1/models ──each 10 s, and when somebody looks again──▶ names ──▶ cards: come, stay, go
 *         those near the window ──a few at a time──▶ their card and release
 */
import { fill, h, uniqueId } from "../core/dom.js";
import { get, getQuietly, ServiceError } from "../core/service.js";
import { key } from "../core/session.js";
import { pause } from "../core/time.js";
import { limited } from "./loading.js";
import { createCard } from "./model_card.js";

/** @typedef {import("./model_card.js").ModelCard} ModelCard */

const LOOK_MS = 10_000;
/** While a version is on its way in or out. */
const CHANGING_MS = 1000;
const AT_ONCE = 6;
/** Models from which on a filter helps. */
const FILTERED = 9;

/**
 * @param {HTMLElement} host
 * @param {import("../core/address.js").Address} _address
 * @param {AbortSignal} signal
 */
export async function show(host, _address, signal) {
  document.title = "Signet: models";
  /** @type {Map<string, ModelCard>} */
  const cards = new Map();
  /** @type {Set<Element>} */
  const near = new Set();
  const few = limited(AT_ONCE);
  const list = h("ul", { class: "cards models", role: "list" });
  const empty = nothing();
  const problem = h("p", { class: "error", role: "status", hidden: true });
  const filter = createFilter(apply);
  fill(host, h("h1", {}, "Models"), filter.element, problem, empty, list);

  const watch = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (!isIntersecting) near.delete(target);
        else if (!near.has(target)) {
          near.add(target);
          const found = [...cards.values()].find((each) => each.element === target);
          if (found) void load(found);
        }
      }
    },
    { rootMargin: "300px" },
  );
  signal.addEventListener("abort", () => watch.disconnect(), { once: true });

  /** @param {ModelCard} card */
  async function load(card) {
    await few(async () => {
      if (!signal.aborted && near.has(card.element)) await card.load(signal);
    });
    if (signal.aborted) return;
    apply();
    if (card.changing()) void loadSoon(card);
  }

  /** @type {Set<ModelCard>} */
  const soon = new Set();

  /** @param {ModelCard} card a version of which is on its way in or out */
  async function loadSoon(card) {
    if (soon.has(card)) return;
    soon.add(card);
    await pause(CHANGING_MS, signal);
    soon.delete(card);
    if (!signal.aborted && !document.hidden && near.has(card.element)) await load(card);
  }

  /**
   * Shows what has come and gone.
   * @param {{ models: string[] }} served
   */
  function follow({ models }) {
    for (const [name, card] of cards) {
      if (models.includes(name)) continue;
      watch.unobserve(card.element);
      near.delete(card.element);
      card.element.remove();
      cards.delete(name);
    }
    models.forEach((name, place) => {
      if (cards.has(name)) return;
      const card = createCard(name);
      cards.set(name, card);
      list.insertBefore(card.element, list.children[place] ?? null);
      watch.observe(card.element);
    });
    empty.hidden = models.length > 0;
    filter.element.hidden = models.length < FILTERED;
    apply();
  }

  async function lookAgain() {
    try {
      follow(await getQuietly("v1/models", signal));
      problem.hidden = true;
      await Promise.all([...cards.values()].filter((each) => near.has(each.element)).map(load));
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof ServiceError)) throw error;
      fill(problem, `${error.message}. What is shown was told before.`);
      problem.hidden = false;
    }
  }

  function apply() {
    filter.apply([...cards.values()]);
  }

  let back = new AbortController();
  for (const [target, event] of /** @type {[EventTarget, string][]} */ ([[window, "focus"], [document, "visibilitychange"]])) {
    target.addEventListener(event, () => back.abort(), { signal });
  }

  async function lookOn() {
    for (;;) {
      await pause(LOOK_MS, AbortSignal.any([signal, back.signal]));
      if (signal.aborted) return;
      back = new AbortController();
      if (!document.hidden) await lookAgain();
    }
  }

  follow(await get("v1/models", signal));
  void lookOn();
}

/** @param {() => void} changed */
function createFilter(changed) {
  const id = uniqueId("filter");
  const field = h("input", { id, type: "search", autocomplete: "off", spellcheck: "false", oninput: changed });
  const said = h("p", { class: "hint", role: "status" });
  const element = h("div", { class: "filter", hidden: true }, h("label", { for: id }, "Find a model"), field, said);

  /** @param {ModelCard[]} cards */
  function apply(cards) {
    const words = element.hidden ? [] : field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const card of cards) {
      const text = card.words().toLowerCase();
      card.element.hidden = !words.every((word) => text.includes(word));
      if (!card.element.hidden) shown += 1;
    }
    const text = words.length ? `${shown} of ${cards.length}` : `${cards.length} models`;
    if (said.textContent !== text) fill(said, text);
  }

  return { element, apply };
}

/** What stands where nothing is served. */
function nothing() {
  const steps = [
    ["Your own Keras model:", "signet export FILE.keras --name NAME"],
    ["One to look at, trained within seconds:", "signet train digits"],
  ];
  return h(
    "div",
    { class: "panel", hidden: true },
    h("h2", {}, "Nothing is served yet"),
    h("p", {}, "A model is a folder NAME with a folder for each version, a SavedModel, below the folder that this server follows (", h("code", {}, "--models-dir"), "): ", h("code", {}, "NAME/1"), ". One that appears there is loaded, and shown here, by itself."),
    h("ul", {}, steps.map(([what, command]) => h("li", {}, what, " ", h("code", {}, command)))),
    key() !== "" && h("p", { class: "hint" }, "Or the key that you use is for none of the models that there are."),
  );
}
