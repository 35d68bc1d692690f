/** A button that puts a text where it can be pasted from, also on pages without TLS, which browsers keep from the clipboard. */
import { fill, h } from "./dom.js";

const SHOWN_MS = 2000;

/**
 * @param {() => string} text
 * @param {string} [label] what the button says
 */
export function copyButton(text, label = "Copy") {
  const said = h("span", { "aria-live": "polite" }, label);
  const button = h("button", { type: "button", class: "copy", onclick: () => void copied() }, said);
  async function copied() {
    fill(said, (await copy(text())) ? "Copied" : "Select it and copy it");
    setTimeout(() => fill(said, label), SHOWN_MS);
  }
  return button;
}

/**
 * Whether the text can be pasted now.
 * @param {string} text
 */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copiedBySelection(text); // no TLS, or the browser was told not to
  }
}

/** @param {string} text */
function copiedBySelection(text) {
  const before = document.activeElement;
  const field = h("textarea", { readonly: true, class: "aside", "aria-hidden": "true" });
  field.value = text;
  (document.querySelector("dialog[open]") ?? document.body).append(field);
  field.select();
  try {
    return document.execCommand("copy");
  } finally {
    field.remove();
    if (before instanceof HTMLElement) before.focus();
  }
}
