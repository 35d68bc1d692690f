/** The request and its answer as they went over the wire, set out in lines; of large ones the beginning. */
import { copyButton } from "../../../core/copy.js";
import { fill, h } from "../../../core/dom.js";
import { sizeText } from "../../../core/numbers.js";
import { saveButton } from "../../../core/save.js";
import { key } from "../../../core/session.js";
import { layout } from "../code/layout.js";
import { JSON_NOTATION } from "../code/literals.js";

/** Characters that are set out in lines, and that are shown of what is longer. */
const MOST = 100_000;
const FIRST = 4000;

let open = false;

/** @type {import("../tab.js").Panel} */
export function rawPanel(_context, _row, answer, _signal) {
  const body = h("div", {});
  const panel = h("details", { class: "panel raw-panel", ontoggle: toggle }, h("summary", {}, h("h3", {}, "Raw request and answer")), body);
  let made = false;

  function toggle() {
    open = panel.open;
    if (!open || made) return;
    made = true;
    fill(
      body,
      part("Request", `POST ${new URL(answer.request.path, document.baseURI).pathname}`, requestHeaders(answer.request.headers), answer.request.text, "request.json"),
      part("Answer", "200 OK", answerHeaders(answer), answer.text, "answer.json"),
    );
  }

  if (open) panel.open = true; // as it was left at the answer before
  return panel;
}

/** @param {{ [name: string]: string }} sent @returns {[string, string][]} */
function requestHeaders(sent) {
  return Object.entries(key() ? { ...sent, Authorization: "Bearer (your key)" } : sent);
}

/** @param {import("../../../core/service.js").Answer} answer @returns {[string, string][]} */
function answerHeaders({ version, requestId, stages }) {
  const timing = stages.map((stage) => `${stage.name};dur=${stage.ms}`).join(", ");
  return /** @type {[string, string][]} */ ([
    ["X-Signet-Model-Version", version ? String(version) : ""],
    ["X-Request-Id", requestId],
    ["Server-Timing", timing],
  ]).filter(([, value]) => value);
}

/**
 * @param {string} title
 * @param {string} line the first of the message
 * @param {[string, string][]} headers
 * @param {string} text JSON
 * @param {string} name of the file that it is saved as
 */
function part(title, line, headers, text, name) {
  const shown = textOf(text);
  const place = h("code", {}, shown.slice(0, FIRST), shown.length > FIRST && "…");
  const whole = h("pre", { tabindex: "0", role: "group", "aria-label": `${title}: its body` }, place);
  const rest = shown.length > FIRST && h("button", { type: "button", onclick: all }, text.length > MOST ? `Show ${sizeText(MOST)} of ${sizeText(text.length)}` : "Show all");

  function all() {
    fill(place, shown, text.length > MOST && "…");
    whole.focus({ preventScroll: true }); // the button goes, which had it
    if (rest) rest.remove();
  }

  return h(
    "section",
    { class: "message" },
    h("h4", {}, title),
    h("pre", { class: "headers" }, [line, ...headers.map(([header, value]) => `${header}: ${value}`)].join("\n")),
    whole,
    h("p", { class: "actions" }, copyButton(() => text, `Copy ${title.toLowerCase()}`), saveButton(name, () => text), rest),
  );
}

/**
 * JSON in lines as people break them, where nothing but blanks changes: 1.0, a number of more digits than JavaScript keeps, or a
 * name that comes twice would be another one. Else, and of a long one its beginning, as it came.
 * @param {string} text
 */
export function textOf(text) {
  if (text.length > MOST) return text.slice(0, MOST);
  try {
    const lines = layout(JSON.parse(text), JSON_NOTATION);
    return withoutBlanks(lines) === withoutBlanks(text) ? lines : text;
  } catch {
    return text; // a request whose NaN stands bare
  }
}

/** @param {string} json */
function withoutBlanks(json) {
  return json.replace(/("(?:[^"\\]|\\.)*")|\s+/g, (_, quoted) => quoted ?? "");
}
