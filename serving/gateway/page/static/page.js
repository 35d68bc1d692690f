/**
 * Shows the view that the URL names, and the next one when it changes.
 *
 *     hash ──parse──▶ address ──▶ view.show(main, address, signal)      the signal ends what the view before still does
 */
import { parse } from "./core/address.js";
import { fill, h } from "./core/dom.js";
import { keptFocus, restoreFocus } from "./core/focus.js";
import { ServiceError } from "./core/service.js";
import { CHANGED, keyButton, mayAsk } from "./core/session.js";
import * as live from "./live/view.js";
import * as model from "./model/view.js";
import * as models from "./models/view.js";

/** @typedef {{ show: (host: HTMLElement, address: import("./core/address.js").Address, signal: AbortSignal) => Promise<void> }} View */

const main = /** @type {HTMLElement} */ (document.getElementById("main"));

let shown = new AbortController();

/** @type {string[] | null} that is shown; null before the first */
let path = null;

/** @param {string[]} path @returns {View | null} */
function viewOf(path) {
  if (path.length === 0) return models;
  if (path[0] === "live" && path.length === 1) return live;
  if (path[0] === "models" && path.length > 1) return model;
  return null;
}

async function show() {
  shown.abort();
  shown = new AbortController();
  const { signal } = shown;
  const address = parse(location.hash);
  markCurrent(address.path);
  const host = h("div", { class: "view" });
  const settled = replaced(host, address.path);
  try {
    const view = viewOf(address.path);
    if (view) await view.show(host, address, signal);
    else {
      document.title = "Signet: nothing here";
      fill(host, h("h1", {}, "There is nothing here"), h("p", {}, h("a", { href: "#/" }, "What is served")));
    }
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof ServiceError)) throw error;
    const again = h("button", { type: "button", onclick: () => (mayAsk(), void show()) }, "Try again");
    fill(host, h("h1", {}, error.status ? "The server refused this" : "The server did not answer"), h("p", { class: "error", role: "alert" }, error.message), h("p", {}, again));
  } finally {
    if (!signal.aborted) settled();
  }
}

/**
 * Puts a view in the place of the one before. The control that had the focus gets it again when it is there again, and the
 * page does not jump: its height stays until what is given here is called.
 * @param {HTMLElement} host
 * @param {string[]} next
 */
function replaced(host, next) {
  const kept = keptFocus();
  const focused = main.contains(document.activeElement);
  const elsewhere = path !== null && (path[0] !== next[0] || path[1] !== next[1]);
  path = next;
  if (focused) main.focus({ preventScroll: true });
  main.style.removeProperty("min-height"); // of a view that has not come to its end
  if (elsewhere) scrollTo(0, 0);
  else main.style.setProperty("min-height", `${main.offsetHeight}px`);
  fill(main, host);
  const watch = new MutationObserver(() => restoreFocus(main, kept) && watch.disconnect());
  if (kept && focused) watch.observe(host, { childList: true, subtree: true });
  return () => {
    watch.disconnect();
    main.style.removeProperty("min-height");
  };
}

/** @param {string[]} path */
function markCurrent(path) {
  for (const link of document.querySelectorAll("header nav a")) {
    const here = parse(link.getAttribute("href") ?? "").path;
    const current = link.getAttribute("href")?.startsWith("#") && (here[0] ?? "models") === (path[0] ?? "models");
    if (current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

document.querySelector(".skip")?.addEventListener("click", (event) => {
  event.preventDefault(); // the hash is the state of the page
  main.focus();
});
document.querySelector("body > header")?.append(keyButton());
addEventListener("hashchange", () => void show());
addEventListener(CHANGED, () => void show());
void show();
