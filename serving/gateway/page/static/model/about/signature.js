/** A signature in full: a table of what it takes, one of what it gives, and whether rows of several requests share a call. */
import { h } from "../../core/dom.js";
import { count } from "../../core/numbers.js";
import { prose } from "../../core/prose.js";
import { shapeText } from "../../core/shapes.js";

/** @typedef {import("../../core/card.js").Signature} Signature */
/** @typedef {import("../../core/card.js").Tensor} Tensor */

/** Labels that are shown at once; the others on request. */
const MOST_LABELS = 12;

/** @param {Signature} signature */
export function signaturePanel(signature) {
  const title = `Signature ${signature.name}`;
  return h(
    "section",
    { class: "panel signature", "aria-label": title },
    h("h2", {}, "Signature ", h("code", {}, h("bdi", {}, signature.name))),
    tensors("Takes", signature.name, signature.inputs),
    tensors("Gives", signature.name, signature.outputs),
    h("p", { class: "hint" }, h("bdi", {}, sharing(signature)), !signature.servable && " JSON cannot carry its tensors: ask it over gRPC."),
  );
}

/** @param {Signature} signature */
function sharing({ independent, why, in_rows: inRows }) {
  const rows = inRows ? "" : " It takes whole columns, and not rows one by one.";
  if (independent) return `Rows of several requests share its calls: each is answered as it would be alone.${rows}`;
  return `Each request has a call of its own: it is not known that a row is answered alone as in company${why && ` (${why})`}.${rows}`;
}

/** @param {string} title @param {string} signature @param {Tensor[]} all */
function tensors(title, signature, all) {
  if (!all.length) return h("p", {}, `${title} nothing.`);
  /** @type {[string, (tensor: Tensor) => import("../../core/dom.js").Child][]} */
  const columns = [
    ["Meaning", (tensor) => tensor.meaning && h("bdi", {}, prose(tensor.meaning))],
    ["Unit", (tensor) => tensor.unit && h("bdi", {}, tensor.unit)],
    ["Values", (tensor) => tensor.values && h("bdi", {}, prose(tensor.values))],
    ["Labels", (tensor) => tensor.labels.length > 0 && labels(tensor.labels)],
  ];
  const told = columns.filter(([, cell]) => all.some((tensor) => cell(tensor)));
  const head = h("tr", {}, [title, "Type", ...told.map(([name]) => name)].map((text) => h("th", { scope: "col" }, text)));
  const rows = all.map((tensor) =>
    h(
      "tr",
      {},
      h("th", { scope: "row", dataset: { column: title } }, h("code", {}, h("bdi", {}, tensor.name))),
      h("td", { class: "type", dataset: { column: "Type" } }, `${tensor.dtype} ${shapeText(tensor.shape)}`),
      told.map(([name, cell]) => h("td", { dataset: { column: name } }, cell(tensor))),
    ),
  );
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `${title}: ${signature}` }, h("table", { class: "tensor-table stacked" }, h("thead", {}, head), h("tbody", {}, rows)));
}

/** @param {string[]} all */
function labels(all) {
  const text = h("bdi", {}, all.join(", "));
  return all.length <= MOST_LABELS ? text : h("details", {}, h("summary", {}, count(all.length, "label")), text);
}
