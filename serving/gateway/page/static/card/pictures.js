/**
 * The pictures that a version has beside its card, fetched when they come near the window, with the key of the session.
 *
 *     pictures(card, signal) ──near──▶ GET …/pictures/model.png ──▶ blob: ──click──▶ the same, large
 */
import { fill, h } from "../core/dom.js";
import { modelPath, send, ServiceError } from "../core/service.js";

/** @typedef {import("../core/card.js").Card} Card */

/** @type {{ [file: string]: { title: string, alt: (name: string) => string } }} */
const KNOWN = {
  "model.png": { title: "Network", alt: (name) => `The layers of ${name}, from its inputs at the top or left to its outputs` },
  "history.png": { title: "Learning curve", alt: (name) => `Loss and other figures of ${name} by epoch of its training` },
};

/**
 * A figure for each picture.
 * @param {Card} card
 * @param {AbortSignal} signal
 */
export function pictures(card, signal) {
  return card.pictures.map((file) => picture(card, file, signal));
}

/**
 * @param {Card} card
 * @param {string} file
 * @param {AbortSignal} signal
 */
function picture(card, file, signal) {
  const { title, alt } = KNOWN[file] ?? { title: file, alt: () => file };
  const image = h("img", { alt: alt(card.name), hidden: true });
  const open = h("button", { type: "button", class: "picture", "aria-label": `${title}, larger`, disabled: true }, image);
  const problem = h("p", { class: "error", hidden: true });
  open.addEventListener("click", () => enlarge(title, image, signal));
  near(open, signal, () => void load());

  async function load() {
    try {
      const response = await send(`${modelPath(card.name, card.version)}/pictures/${encodeURIComponent(file)}`, { signal });
      const address = URL.createObjectURL(await response.blob());
      signal.addEventListener("abort", () => URL.revokeObjectURL(address), { once: true });
      image.src = address;
      await image.decode();
      image.hidden = false;
      open.disabled = false;
    } catch (error) {
      if (signal.aborted) return;
      fill(problem, error instanceof ServiceError ? error.message : "This picture cannot be shown.");
      problem.hidden = false;
      open.hidden = true;
    }
  }

  return h("figure", { class: "panel" }, h("figcaption", {}, h("h2", {}, title)), open, problem);
}

/**
 * Calls once, when an element comes near the window.
 * @param {Element} element
 * @param {AbortSignal} signal
 * @param {() => void} call
 */
function near(element, signal, call) {
  const watch = new IntersectionObserver(
    (entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      watch.disconnect();
      call();
    },
    { rootMargin: "400px" },
  );
  watch.observe(element);
  signal.addEventListener("abort", () => watch.disconnect(), { once: true });
}

/**
 * Shows a picture as large as the window, or in its own size, in a dialog that Escape, its button, and a click beside it close.
 * @param {string} title
 * @param {HTMLImageElement} image
 * @param {AbortSignal} signal
 */
function enlarge(title, image, signal) {
  const close = h("button", { type: "button", onclick: () => dialog.close() }, "Close");
  const full = h("button", { type: "button", "aria-pressed": "false", onclick: () => resize() }, "Full size");
  const large = h("img", { class: "fitted", src: image.src, alt: image.alt });
  const ground = h("div", { class: "scroll picture", tabindex: 0, role: "region", "aria-label": title }, large);
  const dialog = h("dialog", { class: "enlarged", "aria-label": title }, h("div", { class: "enlarged-head" }, h("h2", {}, title), full, close), ground);
  function resize() {
    const fitted = large.classList.toggle("fitted");
    full.setAttribute("aria-pressed", String(!fitted));
  }
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("close", () => dialog.remove());
  signal.addEventListener("abort", () => dialog.remove(), { once: true });
  document.body.append(dialog);
  dialog.showModal();
}
