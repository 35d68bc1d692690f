/**
 * The code of a call, which anybody can run: this model, version, signature and row.
 *
 *     Call ──curl, python, typescript, grpc──▶ Code { text, files } ──▶ a tab each, made when it is first shown
 *
 * The key stands in no code: it comes from the environment variable SIGNET_KEY.
 */
import { copyButton } from "../../../core/copy.js";
import { fill, h, uniqueId } from "../../../core/dom.js";
import { bytesOf, saveButton } from "../../../core/save.js";
import { get } from "../../../core/service.js";
import { key } from "../../../core/session.js";
import { curl } from "./curl.js";
import { grpcurl } from "./grpcurl.js";
import { grpcPython, python } from "./python.js";
import { typescript } from "./typescript.js";

/** @typedef {import("./call.js").Call} Call */
/** @typedef {import("./call.js").Code} Code */
/** @typedef {{ title: string, hint: string, make: (call: Call) => Code | null, grpc?: boolean }} Language */

/** @type {Language[]} */
const LANGUAGES = [
  { title: "curl", hint: "", make: curl },
  { title: "Python", hint: "Signet's client, of the package signet-serving.", make: python },
  { title: "TypeScript", hint: "For Node, Deno and Bun.", make: typescript },
  { title: "gRPC, Python", hint: "Signet's client, of the package signet-serving[grpc].", make: grpcPython, grpc: true },
  { title: "grpcurl", hint: "By reflection: no .proto files.", make: grpcurl, grpc: true },
];

/** The language that was looked at last: the next answer's code begins with it. */
let chosen = 0;
let open = false;

/** @type {Promise<number | null> | null} */
let asked = null;

/**
 * The port of gRPC, asked for once; null: there is none, or nobody says.
 * @returns {Promise<number | null>}
 */
function grpcPort() {
  asked ??= get("v1/models").then(
    (told) => told.grpc_port ?? null,
    () => {
      asked = null; // the other languages need no port; the next panel asks again
      return null;
    },
  );
  return asked;
}

/** @type {import("../tab.js").Panel} */
export function codePanel(context, row, answer, signal) {
  const body = h("div", {});
  const panel = h("details", { class: "panel code-panel", ontoggle: () => void toggle() }, h("summary", {}, h("h3", {}, "Code of this call")), body);
  let made = false;

  async function toggle() {
    open = panel.open;
    if (!open || made) return;
    made = true;
    const port = await grpcPort();
    if (!signal.aborted) fill(body, tabs(callOf(context, row, answer, port)));
  }

  if (open) panel.open = true; // as it was left at the answer before
  return panel;
}

/**
 * @param {import("../../view.js").Context} context
 * @param {import("../../../core/card.js").Row} row
 * @param {import("../../../core/service.js").Answer} answer
 * @param {number | null} port of gRPC
 * @returns {Call}
 */
function callOf({ card, version, signature }, row, answer, port) {
  const page = new URL(".", location.origin + location.pathname);
  return {
    page: page.href,
    grpc: port === null ? "" : `${page.hostname}:${port}`,
    keys: key() !== "",
    model: card.name,
    version,
    signature,
    row,
    request: answer.request,
  };
}

/** @param {Call} call */
function tabs(call) {
  const id = uniqueId("code");
  const languages = LANGUAGES.filter((language) => call.grpc || !language.grpc);
  const place = h("div", { id: `${id}-panel`, role: "tabpanel", tabindex: "0" });
  const buttons = languages.map(({ title }, index) =>
    h("button", { type: "button", role: "tab", id: `${id}-${index}`, "aria-controls": `${id}-panel`, onclick: () => show(index) }, title),
  );

  /** @param {number} index */
  function show(index) {
    chosen = index;
    for (const [at, button] of buttons.entries()) {
      button.setAttribute("aria-selected", String(at === index));
      button.tabIndex = at === index ? 0 : -1;
    }
    place.setAttribute("aria-labelledby", `${id}-${index}`);
    fill(place, shown(languages[index], call));
  }

  /** @param {KeyboardEvent} event */
  function move(event) {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const to = event.key === "Home" ? 0 : event.key === "End" ? buttons.length - 1 : by === undefined ? null : (chosen + by + buttons.length) % buttons.length;
    if (to === null) return;
    event.preventDefault();
    show(to);
    buttons[to].focus();
  }

  show(Math.min(chosen, languages.length - 1));
  return [h("div", { role: "tablist", class: "tablist", "aria-label": "Languages", onkeydown: move }, buttons), place];
}

/** @param {Language} language @param {Call} call */
function shown(language, call) {
  const code = language.make(call);
  if (!code) return h("p", { class: "hint" }, "An input of this row has rows of different lengths, which no tensor has.");
  const text = h("code", {}, code.text);
  const saves = code.files.map((file) => saveButton(file.name, () => (file.holds === "bytes" ? bytesOf(file.content) : file.content)));
  return [
    h("pre", { tabindex: "0", role: "group", "aria-label": `Code: ${language.title}` }, text),
    h("div", { class: "actions" }, copyButton(() => code.text, "Copy code"), saves, language.hint && h("span", { class: "hint" }, language.hint)),
    code.files.length > 0 && h("p", { class: "hint" }, `It reads ${code.files.map((file) => file.name).join(", ")}, with what stands in the form now.`),
    call.keys && h("p", { class: "hint" }, "Your key stands in the environment variable SIGNET_KEY, not in the code."),
  ];
}
