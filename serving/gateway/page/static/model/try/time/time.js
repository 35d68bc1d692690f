/**
 * Where the time of an answer went: the server's stages, what else it did, and what is left: the network and the browser.
 *
 *     ms of the browser, Server-Timing ──parts──▶ a bar of all, and a table that says it in numbers
 */
import { copyButton } from "../../../core/copy.js";
import { h } from "../../../core/dom.js";
import { duration } from "../../../core/numbers.js";

/** @typedef {import("../../../core/service.js").Answer} Answer */
/** @typedef {{ name: string, what: string, ms: number, share: number }} Part */

/** What the stages of the server are; one that is not here goes by its name. @type {{ [name: string]: string }} */
const STAGES = {
  read: "JSON is read",
  decode: "values become tensors",
  queue: "waiting, and for company in a batch",
  model: "the model itself",
  encode: "tensors become JSON",
};

/** The server's whole time, in which the stages are. */
const TOTAL = "total";
const REST = "the server's rest";
const BETWEEN = "between";

/**
 * The whole time, in parts.
 * @param {{ ms: number, stages: import("../../../core/service.js").Stage[] }} answer
 * @returns {Part[]}
 */
export function parts({ ms, stages }) {
  const told = stages.filter((stage) => Number.isFinite(stage.ms));
  const known = told.filter((stage) => stage.name !== TOTAL);
  const sum = known.reduce((all, stage) => all + stage.ms, 0);
  const server = Math.max(sum, told.find((stage) => stage.name === TOTAL)?.ms ?? 0); // each is rounded
  const whole = Math.max(ms, server); // clocks differ
  const all = known.map((stage) => ({ name: stage.name, what: STAGES[stage.name] ?? "", ms: stage.ms }));
  if (server > sum) all.push({ name: REST, what: "checks, routes and the answer's way out", ms: server - sum });
  all.push({ name: BETWEEN, what: "the network and the browser", ms: whole - server });
  return all.map((part) => ({ ...part, share: whole > 0 ? part.ms / whole : 0 }));
}

/** @type {import("../tab.js").Panel} */
export function timePanel(_context, _row, answer, _signal) {
  const all = answer.stages.length ? parts(answer) : [];
  const id = h("code", {}, answer.requestId);
  const model = answer.stages.find((stage) => stage.name === "model");
  return h(
    "section",
    { class: "panel time-panel", "aria-label": "Time" },
    h("p", { class: "told" }, h("strong", {}, duration(answer.ms)), model && `, of which the model needed ${duration(model.ms)}`, answer.version > 0 && `; version ${answer.version} answered`),
    all.length > 0 && bar(all),
    all.length > 0 &&
      h("details", {}, h("summary", {}, "Time per stage"), h("table", { class: "stages" }, h("tbody", {}, all.map(row)))),
    answer.requestId && h("p", { class: "hint request-id" }, "Request ", id, " ", copyButton(() => answer.requestId, "Copy id")),
  );
}

/** @param {Part[]} all */
function bar(all) {
  return h(
    "div",
    { class: "stage-bar", "aria-hidden": "true" },
    all.map((part, place) => h("span", { class: `stage ${tone(part, place)}`, style: { "flex-grow": part.share.toFixed(5) }, title: `${part.name} ${duration(part.ms)}` })),
  );
}

/** @param {Part} part @param {number} place */
function row(part, place) {
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, h("span", { class: `swatch ${tone(part, place)}`, "aria-hidden": "true" }), part.name),
    h("td", { class: "hint" }, part.what),
    h("td", { class: "number" }, duration(part.ms)),
  );
}

/** @param {Part} part @param {number} place */
function tone(part, place) {
  if (part.name === "model") return "tone-model";
  return part.name === BETWEEN ? "tone-other" : `tone-${place % 6}`;
}
