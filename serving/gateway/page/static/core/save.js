/** Buttons that save a file, which is made when it is asked for. */
import { h } from "./dom.js";

/** A browser reads the file after the click. */
const KEPT_MS = 60_000;

/**
 * @param {string} name
 * @param {() => BlobPart} content
 * @param {string} [text] what the button says
 */
export function saveButton(name, content, text = `Save ${name}`) {
  function save() {
    const address = URL.createObjectURL(new Blob([content()]));
    h("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), KEPT_MS);
  }
  return h("button", { type: "button", class: "save", onclick: save }, text);
}

/**
 * The bytes of base64.
 * @param {string} base64
 */
export function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}
