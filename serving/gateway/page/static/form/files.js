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

/**
 * The bytes of a file in base64. Throws what reading it throws.
 * @param {Blob} file
 * @returns {Promise<string>}
 */
export function base64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result).replace(/^[^,]*,?/, ""));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

const MAGIC = [
  ["iVBORw0KGgo", "image/png"],
  ["/9j/", "image/jpeg"],
  ["R0lGOD", "image/gif"],
  ["UklGR", "image/webp"],
  ["Qk", "image/bmp"],
];

/**
 * The kind of picture that bytes are, by how they begin; null where they are none.
 * @param {string} b64
 */
export function pictureType(b64) {
  return MAGIC.find(([start]) => b64.startsWith(start))?.[1] ?? null;
}

/**
 * How many bytes base64 stands for.
 * @param {string} b64
 */
export function bytesOf(b64) {
  return Math.floor((b64.replace(/=+$/, "").length * 3) / 4);
}

/**
 * A number of bytes: 12 kB.
 * @param {number} bytes
 */
export function sizeText(bytes) {
  if (bytes < 1000) return `${bytes} bytes`;
  const [count, unit] = bytes < 1e6 ? [bytes / 1000, "kB"] : [bytes / 1e6, "MB"];
  return `${count < 10 ? Number(count.toFixed(1)) : Math.round(count)} ${unit}`;
}
