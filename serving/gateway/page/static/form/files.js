/**
 * Files that people give: chosen, dropped, pasted.
 *
 *     chooseFile(text, name, accept, take) ──▶ button      onFiles(element, take): what is dropped on it, or pasted within it
 */
import { h } from "../core/dom.js";

/**
 * A button that lets somebody choose a file.
 * @param {string} text
 * @param {string} name of the input that it is for
 * @param {string} accept kinds of files, as HTML has them; empty for all
 * @param {(file: File) => void} take
 */
export function chooseFile(text, name, accept, take) {
  const input = h("input", { type: "file", accept: accept || null, hidden: true, onchange: chosen });
  function chosen() {
    const file = input.files?.[0];
    if (file) take(file);
    input.value = ""; // the same file may be chosen again
  }
  return h("span", { class: "choose" }, h("button", { type: "button", "aria-label": `${text} for ${name}`, onclick: () => input.click() }, text), input);
}

/**
 * Takes the first file that is dropped on an element, or pasted within it.
 * @param {HTMLElement} element
 * @param {(file: File) => void} take
 */
export function onFiles(element, take) {
  element.addEventListener("dragover", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    element.classList.add("over");
  });
  element.addEventListener("dragleave", (event) => {
    if (!element.contains(/** @type {Node | null} */ (event.relatedTarget))) element.classList.remove("over");
  });
  element.addEventListener("drop", (event) => {
    element.classList.remove("over");
    const file = event.dataTransfer?.files[0];
    if (!file) return;
    event.preventDefault();
    take(file);
  });
  element.addEventListener("paste", (event) => {
    const file = event.clipboardData?.files[0];
    if (!file) return;
    event.preventDefault();
    take(file);
  });
}
