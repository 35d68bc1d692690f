/**
 * The key that requests show where the server asks for one: kept by the browser until its tab is closed, and nowhere else.
 *
 *     401 ──▶ ask() ──the dialog, once for all who wait──▶ whether there is a key now
 *     a click on "Key" in the header ──▶ change() ──▶ another key, or none ──▶ CHANGED
 */
import { fill, h } from "./dom.js";

const NAME = "signet-key";

/** The event on `window` when the user has changed the key: whatever is shown was shown to another one. */
export const CHANGED = "signet-key";

/** The key; empty without one. */
export function key() {
  return sessionStorage.getItem(NAME) ?? "";
}

/** Forgets it: it holds no more. */
export function forget() {
  sessionStorage.removeItem(NAME);
  refused = true;
  showButton();
}

/** @type {Promise<boolean> | null} */
let asking = null;
/** Whether the user goes without: nobody asks again until a click. */
let without = false;
/** Whether the last key was none that the server knows. */
let refused = false;

/**
 * Asks the user for a key, unless the user has said to go without. Gives whether there is one now.
 * @param {string} why the server's words
 */
export function ask(why) {
  if (without) return Promise.resolve(false);
  asking ??= asked("This server asks for a key", why);
  return asking;
}

/** @param {string} title @param {string} why @returns {Promise<boolean>} */
async function asked(title, why) {
  try {
    return (await shown(title, why)) === "use";
  } finally {
    asking = null;
  }
}

/** A click says that the user may be asked again. */
export function mayAsk() {
  without = false;
}

/**
 * Asks the user for another key, whether or not there is one.
 * @param {string} why
 */
export async function change(why) {
  if (asking) return;
  without = false;
  const before = key();
  asking = asked(before ? "The key of this tab" : "A key for this server", why);
  await asking;
  if (key() !== before) dispatchEvent(new Event(CHANGED));
}

/** @type {HTMLButtonElement | null} */
let button = null;

/** The button of the header, which is there from when a key is in use or asked for. */
export function keyButton() {
  button = h("button", { type: "button", class: "key", onclick: () => void change("") }, "Key");
  showButton();
  return button;
}

function showButton() {
  if (button) button.hidden = !(key() || without || refused);
}

/**
 * The dialog. Gives what the user chose.
 * @param {string} title
 * @param {string} why
 * @returns {Promise<string>} use, forget, or empty
 */
function shown(title, why) {
  const field = h("input", { type: "password", name: "key", autocomplete: "off", spellcheck: "false", autocapitalize: "off", required: true });
  const end = (/** @type {string} */ said) => dialog.close(said);
  const used = key() !== "";
  const told = [refused && "That key does not hold.", why].filter(Boolean).join(" ");
  const form = h(
    "form",
    {
      onsubmit: (/** @type {Event} */ event) => {
        event.preventDefault();
        const said = field.value.trim();
        if (said) end("use");
      },
    },
    h("h2", { id: "key-title" }, title),
    told && h("p", { class: refused && "error", role: "alert" }, told),
    h("p", {}, h("label", {}, used ? "Another key" : "Key", " ", field)),
    h("p", { class: "hint" }, "It stays in this tab, until the tab is closed."),
    h(
      "p",
      { class: "actions" },
      h("button", { type: "submit", class: "primary" }, "Use it"),
      used && h("button", { type: "button", onclick: () => end("forget") }, "Forget the key"),
      h("button", { type: "button", onclick: () => end("") }, used ? "Cancel" : "Go without"),
    ),
  );
  const dialog = h("dialog", { id: "key", "aria-labelledby": "key-title" }, form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const said = dialog.returnValue;
      refused = false;
      if (said === "use") sessionStorage.setItem(NAME, field.value.trim());
      else if (said === "forget") sessionStorage.removeItem(NAME);
      if (!key()) without = true;
      fill(dialog); // what was written is nowhere but in the session
      dialog.remove();
      showButton();
      resolve(said);
    });
  });
}
