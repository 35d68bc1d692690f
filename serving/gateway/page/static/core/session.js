/**
 * The key that requests show where the server asks for one: kept by the browser until its tab is closed, and nowhere else.
 *
 *     401 ──▶ ask() ──the dialog, once for all who wait──▶ the key, or null when the user goes without
 */
import { fill } from "./dom.js";

const NAME = "signet-key";

/** The key; empty without one. */
export function key() {
  return sessionStorage.getItem(NAME) ?? "";
}

/** Forgets it. */
export function forget() {
  sessionStorage.removeItem(NAME);
}

/** @type {Promise<boolean> | null} */
let asking = null;

/**
 * Asks the user for a key. Gives whether there is one now.
 * @param {string} why the server's words
 */
export function ask(why) {
  asking ??= shown(why).finally(() => {
    asking = null;
  });
  return asking;
}

/** @param {string} why @returns {Promise<boolean>} */
function shown(why) {
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("key"));
  const form = /** @type {HTMLFormElement} */ (dialog.querySelector("form"));
  const field = /** @type {HTMLInputElement} */ (dialog.querySelector("input"));
  fill(/** @type {Element} */ (dialog.querySelector("output")), why);
  field.value = "";
  dialog.showModal();
  return new Promise((resolve) => {
    const stop = new AbortController();
    form.addEventListener(
      "submit",
      (event) => {
        event.preventDefault();
        sessionStorage.setItem(NAME, field.value.trim());
        dialog.close("ok");
      },
      { signal: stop.signal },
    );
    dialog.addEventListener(
      "close",
      () => {
        stop.abort();
        resolve(dialog.returnValue === "ok");
      },
      { signal: stop.signal },
    );
    dialog.returnValue = "";
  });
}
