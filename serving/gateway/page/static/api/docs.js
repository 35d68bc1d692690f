/**
 * The page of the API: the OpenAPI document of all models, or of one, by Swagger UI.
 *
 *     docs[?model=NAME][#/TAG/OPERATION] ──document, with the session's key──▶ Swagger UI, mended by `plugin`
 *
 * Its "Try it out" shows the session's key as well, and no command on the page does.
 */
import { fill, h, uniqueId } from "../core/dom.js";
import { get, modelPath, ServiceError } from "../core/service.js";
import { CHANGED, key, keyButton, mayAsk } from "../core/session.js";

/** @typedef {{ tags: { name: string, "x-closed"?: boolean }[], servers?: { url: string }[], info: { title: string } }} Document */

/** Models up to which all are shown unfolded. */
const MOST_OPEN = 8;

const main = /** @type {HTMLElement} */ (document.getElementById("main"));
const model = new URLSearchParams(location.search).get("model") ?? "";
const base = new URL(".", location.href).href;

document.querySelector("body > header")?.append(keyButton());
addEventListener(CHANGED, () => location.reload());
followTheme(matchMedia("(prefers-color-scheme: dark)"));
void show();

async function show() {
  const path = model ? `${modelPath(model)}/openapi.json` : "openapi.json";
  try {
    /** @type {[Document, { models: string[] }]} */
    const [told, { models }] = await Promise.all([get(path), get("v1/models")]);
    document.title = model ? `Signet: API of ${model}` : "Signet: API";
    const place = h("div", { id: "page", class: model && "one" });
    const filter = h("input", { type: "search", id: uniqueId("filter"), autocomplete: "off", placeholder: "a model, a path or a word" });
    fill(main, head(models, path), filterField(filter), place);
    const ui = draw(told, place);
    mend(place);
    filter.addEventListener("input", () => ui.layoutActions.updateFilter(filter.value.trim()));
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    const again = h("button", { type: "button", onclick: () => (mayAsk(), void show()) }, "Try again");
    fill(
      main,
      h("h1", {}, "The server did not answer this"),
      h("p", { class: "error", role: "alert" }, error.message),
      h("p", { class: "actions" }, again, model && h("a", { class: "button", href: "docs" }, "The API of all models")),
    );
  }
}

/** @param {string[]} models @param {string} path */
function head(models, path) {
  const chosen = h("select", { id: uniqueId("model"), onchange: () => location.assign(chosen.value ? `docs?model=${encodeURIComponent(chosen.value)}` : "docs") }, h("option", { value: "" }, "all models"), [...new Set([...models, ...(model ? [model] : [])])].map((name) => h("option", { value: name, selected: name === model }, name)));
  return h(
    "div",
    { class: "docs-head" },
    h("h1", {}, model ? `API of ${model}` : "API"),
    h("p", {}, "An operation opens by a click, and “Try it out” sends its example as it stands. An error is ", h("code", {}, '{"error": "…"}'), " with its status. Generators of clients read ", key() ? h("code", {}, path) : h("a", { href: path }, path), "."),
    h("div", { class: "pickers" }, h("div", { class: "picker" }, h("label", { for: chosen.id }, "Model"), chosen), model && h("a", { class: "try", href: `./#/models/${encodeURIComponent(model)}` }, "Try it by a form")),
  );
}

/** @param {HTMLInputElement} filter */
function filterField(filter) {
  return h("div", { class: "docs-filter", role: "search" }, h("label", { for: filter.id }, "Filter"), filter);
}

/**
 * @param {Document} told
 * @param {HTMLElement} place
 */
function draw(told, place) {
  // A document without servers is about the root of its host; the gateway may stand below a path.
  const spec = { ...told, servers: [{ url: base.replace(/\/$/, "") }] };
  const open = told.tags.filter((tag) => !tag["x-closed"]).map(({ name }) => name);
  return /** @type {any} */ (globalThis).SwaggerUIBundle({
    spec,
    domNode: place,
    deepLinking: true,
    displayRequestDuration: true,
    defaultModelsExpandDepth: -1,
    docExpansion: "list",
    filter: true,
    validatorUrl: null, // a service elsewhere
    showMutatedRequest: false, // commands are shown without the key
    requestInterceptor: withKey,
    plugins: [() => plugin(new Set(open.length <= MOST_OPEN ? open : []))],
  });
}

/** @param {{ url: string, headers: { [name: string]: string } }} request */
function withKey(request) {
  if (key() && request.url.startsWith(base)) request.headers.Authorization = `Bearer ${key()}`;
  return request;
}

/**
 * What Swagger UI does otherwise here.
 * @param {Set<string>} open tags that are unfolded until somebody folds them
 */
function plugin(open) {
  /** @param {(thing: string[], usual: boolean) => boolean} original */
  const isShown = (original) => (/** @type {unknown} */ _state, /** @type {string[]} */ thing, /** @type {boolean} */ usual) =>
    original(thing, usual && (thing[0] !== "operations-tag" || open.has(thing[1])));
  return {
    statePlugins: { layout: { wrapSelectors: { isShown } } },
    fn: { opsFilter },
    wrapComponents: {
      // A link inside of a button: a screen reader finds only one of them. Opening an operation changes the address as well.
      DeepLink: (/** @type {unknown} */ _, /** @type {any} */ { React }) => (/** @type {{ text: unknown }} */ { text }) => React.createElement("span", null, text),
      FilterContainer: () => () => null, // without a label; ours looks at more than names of tags
    },
  };
}

/**
 * The tags that a phrase is about, with those of their operations that it is about.
 * @param {any} tags Immutable's map: name → { operations: list of { path, method, operation } }
 * @param {string} phrase
 */
function opsFilter(tags, phrase) {
  const words = phrase.toLowerCase().split(/\s+/).filter(Boolean);
  return tags
    .map((/** @type {any} */ tag, /** @type {string} */ name) =>
      tag.update("operations", (/** @type {any} */ operations) =>
        operations.filter((/** @type {any} */ each) => {
          const text = [name, each.get("method"), each.get("path"), each.getIn(["operation", "summary"])].join(" ").toLowerCase();
          return words.every((word) => text.includes(word));
        }),
      ),
    )
    .filter((/** @type {any} */ tag) => tag.get("operations").size > 0);
}

const NAMELESS = { ".copy-to-clipboard button": "Copy", ".body-param__text": "Request body", ".examples-select-element": "Example" };

/**
 * Names what Swagger UI leaves without a name, and lets the keyboard reach what scrolls, whenever it draws.
 * @param {HTMLElement} place
 */
function mend(place) {
  const all = () => {
    for (const [selector, name] of Object.entries(NAMELESS)) {
      for (const each of place.querySelectorAll(`${selector}:not([aria-label])`)) each.setAttribute("aria-label", name);
    }
    for (const each of place.querySelectorAll("[data-param-name] :is(select, input):not([aria-label])")) {
      each.setAttribute("aria-label", each.closest("[data-param-name]")?.getAttribute("data-param-name") ?? "");
    }
    for (const each of place.querySelectorAll("pre:not([tabindex])")) each.setAttribute("tabindex", "0");
    for (const button of place.querySelectorAll(".expand-operation")) {
      const tag = button.closest("[data-tag]")?.getAttribute("data-tag");
      const name = `${button.getAttribute("aria-expanded") === "true" ? "Fold" : "Unfold"} ${tag}`;
      if (button.getAttribute("aria-label") !== name) button.setAttribute("aria-label", name);
    }
  };
  new MutationObserver(all).observe(place, { childList: true, subtree: true, attributeFilter: ["aria-expanded"] });
  all();
}

/** Swagger UI's dark colours hang on a class. @param {MediaQueryList} dark */
function followTheme(dark) {
  const set = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
  dark.addEventListener("change", set);
  set();
}
