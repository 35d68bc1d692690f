/**
 * One model: its head, the version and signature that are asked, and the tabs.
 *
 *     #/models/NAME[/TAB]?version=&signature= ──card──▶ Context ──▶ the tab's show(host, context, signal)
 */
import { inWords } from "../card/versions.js";
import { format } from "../core/address.js";
import { card, examples } from "../core/card.js";
import { fill, h, uniqueId } from "../core/dom.js";
import { prose } from "../core/prose.js";
import { carried, readRow } from "../core/row.js";
import { releaseLine, releaseSentence } from "../release/line.js";
import * as about from "./about/tab.js";
import * as compare from "./compare/tab.js";
import * as table from "./table/tab.js";
import * as attempt from "./try/tab.js";

/** @typedef {import("../core/address.js").Address} Address */
/**
 * What the tabs of a model share.
 * @typedef {object} Context
 * @property {import("../core/card.js").Card} card of the version that is asked
 * @property {import("../core/card.js").Signature} signature
 * @property {number | null} version asked for by number; null: the one that unversioned requests get
 * @property {Address} address
 * @property {() => Promise<import("../core/card.js").Examples>} examples of the signature, asked for once
 */
/** @typedef {{ show: (host: HTMLElement, context: Context, signal: AbortSignal) => Promise<void> }} Tab */

/** @type {{ [name: string]: { title: string, tab: Tab } }} */
const TABS = {
  try: { title: "Try", tab: attempt },
  compare: { title: "Compare", tab: compare },
  table: { title: "Table", tab: table },
  about: { title: "About", tab: about },
};

/**
 * @param {HTMLElement} host
 * @param {Address} address
 * @param {AbortSignal} signal
 */
export async function show(host, address, signal) {
  const [, name, tab = ""] = address.path;
  const chosen = Object.hasOwn(TABS, tab) ? tab : "try";
  const version = address.query.get("version") ?? "";
  const asked = /^\d+$/.test(version) ? Number(version) : null;
  const [told, release] = await Promise.all([card(name, asked, signal), releaseSentence(name, signal)]);
  const servable = told.signatures.filter((each) => each.servable);
  const wanted = address.query.get("signature");
  const signature = servable.find((each) => each.name === wanted) ?? servable[0];
  const other = wanted && signature && signature.name !== wanted && `There is no signature "${wanted}" to be asked here: this is ${signature.name}.`;
  const place = h("div", { class: "tab" });
  document.title = `Signet: ${name}`;
  fill(
    host,
    head(told, chosen === "about" ? null : release),
    tabs(address, chosen),
    pickers(address, told, servable, signature, asked),
    other && h("p", { class: "note", role: "status" }, other),
    place,
  );
  if (!signature && chosen !== "about") {
    const why = inWords(told.versions).map((each) => each.text).join("; ");
    const reason = told.signatures.length ? "It has no signature whose tensors JSON can carry." : `It answers nothing now. ${why}.`;
    fill(place, h("p", { class: "error", role: "alert" }, reason));
    return;
  }
  /** @type {Promise<import("../core/card.js").Examples> | null} */
  let known = null;
  const context = {
    card: told,
    signature,
    version: asked,
    address,
    examples: () => (known ??= examples(name, asked, signature.name, signal)),
  };
  await TABS[chosen].tab.show(place, context, signal);
}

/**
 * @param {import("../core/card.js").Card} told
 * @param {string | null} release in a sentence
 */
function head(told, release) {
  return h(
    "div",
    { class: "model-head" },
    h("h1", {}, h("bdi", {}, told.name)),
    told.purpose && h("p", { class: "purpose", dir: "auto" }, prose(told.purpose)),
    release !== null && releaseLine(told.name, release),
  );
}

/** @param {Address} address @param {string} chosen */
function tabs(address, chosen) {
  const links = Object.entries(TABS).map(([key, { title }]) => {
    const path = ["models", address.path[1], key];
    const link = h("a", { href: format(path, kept(address)), "aria-current": key === chosen && "page", dataset: { keep: `tab-${key}` }, onpointerdown: follow, onclick: follow }, title);
    function follow() {
      link.href = format(path, kept(address)); // what has been written since goes along
    }
    return link;
  });
  const elsewhere = [
    h("a", { class: "beyond", href: format(["live"], [["model", address.path[1]]]) }, "Live"),
    h("a", { href: `docs?model=${encodeURIComponent(address.path[1])}` }, "API"),
  ];
  return h("nav", { class: "tabs", "aria-label": "Of this model" }, links, elsewhere);
}

/**
 * What stays when another tab is shown.
 * @param {Address} address
 * @returns {[string, string][]}
 */
function kept({ query }) {
  return ["version", "signature", "row"].map((name) => [name, query.get(name) ?? ""]);
}

/**
 * @param {Address} address
 * @param {import("../core/card.js").Card} told
 * @param {import("../core/card.js").Signature[]} signatures
 * @param {import("../core/card.js").Signature | undefined} signature
 * @param {number | null} asked
 */
function pickers(address, told, signatures, signature, asked) {
  const available = told.versions.filter((each) => each.state === "AVAILABLE").map((each) => String(each.version));
  const gone = asked !== null && !available.includes(String(asked)); // without it the picker would show what is not asked
  const usual = told.version !== null && asked === null ? `as callers get it: ${told.version}` : "as callers get it";
  return h(
    "div",
    { class: "pickers" },
    picker("Version", [["", usual], ...(gone ? [/** @type {[string, string]} */ ([String(asked), `${asked}, not available`])] : []), ...available.map((each) => /** @type {[string, string]} */ ([each, each]))], asked === null ? "" : String(asked), (value) =>
      go(address, { version: value }),
    ),
    signatures.length > 1 &&
      picker("Signature", signatures.map((each) => [each.name, each.name]), signature?.name ?? "", (value) => go(address, { signature: value, row: rowFor(address, signature, signatures.find((each) => each.name === value)) })),
  );
}

/**
 * What another signature takes of the row that is there, as JSON.
 * @param {Address} address
 * @param {import("../core/card.js").Signature | undefined} from
 * @param {import("../core/card.js").Signature | undefined} to
 */
function rowFor(address, from, to) {
  const { row } = from ? readRow(address.query.get("row"), from) : { row: null };
  const fits = row && from && to ? carried(row, from, to) : {};
  return Object.keys(fits).length ? JSON.stringify(fits) : "";
}

/** @param {Address} address @param {{ [name: string]: string }} changes */
function go(address, changes) {
  location.hash = format(address.path, new Map([...address.query, ...Object.entries(changes)]));
}

/**
 * @param {string} label
 * @param {[string, string][]} choices value, text
 * @param {string} chosen
 * @param {(value: string) => void} onchange
 */
function picker(label, choices, chosen, onchange) {
  const id = uniqueId("picker");
  const options = choices.map(([value, text]) => h("option", { value, selected: value === chosen }, text));
  const select = h("select", { id, dataset: { keep: label }, onchange: () => onchange(select.value) }, options);
  return h("div", { class: "picker" }, h("label", { for: id }, label), select);
}
