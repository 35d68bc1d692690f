/**
 * One row, two versions, asked at once.
 *
 *     form ──▶ row ──┬──▶ the first version  ──▶ answer ─┬─▶ what differs, both answers
 *                    └──▶ the second version ──▶ answer ─┘      beside: what differs in their signatures, scores and files
 */
import { stateOf } from "../../card/versions.js";
import { format } from "../../core/address.js";
import { card } from "../../core/card.js";
import { fill, h, uniqueId } from "../../core/dom.js";
import { readRow } from "../../core/row.js";
import { predict } from "../../core/service.js";
import { examplesOrWhy, exampleStrip } from "../../form/examples.js";
import { createForm } from "../../form/form.js";
import { cardsView } from "./cards.js";
import { refused, showSides } from "./sides.js";
import { signatureChanges } from "./signature_changes.js";
import { createWriter } from "./writing.js";

/** @typedef {import("../../core/card.js").Card} Card */
/** @typedef {import("../../core/card.js").Row} Row */
/** @typedef {import("../../core/card.js").Signature} Signature */
/** @typedef {import("../view.js").Context} Context */

/**
 * @param {HTMLElement} host
 * @param {Context} context its version is the first one
 * @param {AbortSignal} signal
 */
export async function show(host, context, signal) {
  const { address, signature } = context;
  const first = context.card.version;
  const others = context.card.versions.filter((each) => each.version !== first && each.state === "AVAILABLE").map((each) => each.version);
  if (first === null || !others.length) {
    fill(host, onlyOne(context));
    return;
  }
  const asked = Number(address.query.get("against"));
  const second = others.includes(asked) ? asked : others[0];
  const place = h("div", {});
  fill(host, pickers(context, first, second), asked && asked !== second ? unavailable(context.card, asked, second) : null, place);
  const other = await card(context.card.name, second, signal);
  await showForm(place, context, signature, first, other, second, signal);
}

/**
 * @param {HTMLElement} host
 * @param {Context} context
 * @param {Signature} signature of the first version
 * @param {number} first
 * @param {Card} other
 * @param {number} second
 * @param {AbortSignal} signal
 */
async function showForm(host, context, signature, first, other, second, signal) {
  const { card: own, address } = context;
  const match = other.signatures.find((each) => each.name === signature.name && each.servable);
  const changes = signatureChanges(`version ${first}`, own.signatures, `version ${second}`, other.signatures);
  const told = h("section", { class: "panel compared changes" }, h("h3", {}, "What they take and give"), changesView(changes));
  const cards = cardsView(own, first, other, second);
  if (!match) {
    const alone = `Version ${second} has no signature ${signature.name}. Choose another signature above to ask both.`;
    fill(host, h("p", { class: "note" }, alone), told, cards);
    return;
  }
  const examples = await examplesOrWhy(context, signal);
  const more = match.inputs.filter(({ name }) => !signature.inputs.some((each) => each.name === name));
  const merged = { ...signature, inputs: [...signature.inputs, ...more] };
  const form = createForm(merged, () => writer.changed(), { known: examples.rows, signal });
  const writer = createWriter(address, () => ({ row: form.draft() }), (fits) => (note.hidden = fits), signal);
  const note = h("p", { class: "hint", hidden: true }, "These values are too long for the URL: a link to this page goes without them.");
  const result = h("section", { class: "result", "aria-label": "Answers", "aria-live": "polite" });
  let asking = new AbortController();

  async function ask() {
    const row = form.row();
    if (!row) return;
    writer.now();
    asking.abort();
    asking = new AbortController();
    const both = AbortSignal.any([signal, asking.signal]);
    result.setAttribute("aria-busy", "true");
    const [one, two] = await Promise.all([askOne(signature, first, row, both), askOne(/** @type {Signature} */ (match), second, row, both)]);
    if (both.aborted) return;
    showSides(result, [one, two]);
    result.removeAttribute("aria-busy");
  }

  /**
   * @param {Signature} asked
   * @param {number} version
   * @param {Row} row
   * @param {AbortSignal} ends
   * @returns {Promise<import("./sides.js").Side>}
   */
  async function askOne(asked, version, row, ends) {
    const title = `Version ${version}`;
    const own = Object.fromEntries(Object.entries(row).filter(([name]) => asked.inputs.some((each) => each.name === name)));
    try {
      const answer = await predict({ model: context.card.name, version, signature: asked, rows: [own] }, ends);
      return { title, signature: asked, prediction: answer.predictions[0], answer, error: "" };
    } catch (error) {
      const { message } = ends.aborted ? { message: "" } : refused(error);
      if (message) form.fail(refused(error));
      return { title, signature: asked, prediction: null, answer: null, error: message };
    }
  }

  const sheet = h(
    "form",
    {
      class: "sheet",
      novalidate: true,
      onsubmit: (/** @type {Event} */ event) => {
        event.preventDefault();
        void ask();
      },
    },
    exampleStrip(signature, examples, (row) => {
      form.set(row);
      void ask();
    }),
    form.element,
    note,
    h("p", { class: "actions" }, h("button", { type: "submit", class: "primary" }, "Ask both")),
  );
  fill(host, sheet, result, told, cards);
  if (examples.rows.length) form.set(examples.rows[0]);
  const linked = readRow(address.query.get("row"), merged).row;
  if (!linked) return;
  form.set(linked);
  if (form.draft()) await ask();
}

/** @param {Context} context @param {number} first @param {number} second */
function pickers({ card: own, address }, first, second) {
  /** @param {{ [name: string]: string }} changes */
  function go(changes) {
    location.hash = format(address.path, new Map([...address.query, ["mode", "versions"], ...Object.entries(changes)]));
  }
  return h(
    "div",
    { class: "pickers" },
    picker("First version", own, first, second, (value) => go({ version: value })),
    picker("Second version", own, second, first, (value) => go({ against: value })),
    h("button", { type: "button", onclick: () => go({ version: String(second), against: String(first) }) }, "Swap"),
  );
}

/**
 * @param {string} label
 * @param {Card} own
 * @param {number} chosen
 * @param {number} taken by the other picker
 * @param {(value: string) => void} onchange
 */
function picker(label, own, chosen, taken, onchange) {
  const id = uniqueId("picker");
  const options = own.versions.map(({ version, state }) => {
    const labels = Object.entries(own.labels).flatMap(([name, of]) => (of === version ? [name] : []));
    const said = [state === "AVAILABLE" ? "" : state.toLowerCase(), ...labels].filter(Boolean).join(", ");
    const disabled = state !== "AVAILABLE" || version === taken;
    return h("option", { value: String(version), selected: version === chosen, disabled }, said ? `${version} (${said})` : `${version}`);
  });
  const select = h("select", { id, onchange: () => onchange(select.value) }, options);
  return h("div", { class: "picker" }, h("label", { for: id }, label), select);
}

/** @param {{ breaks: boolean, text: string }[]} changes */
function changesView(changes) {
  if (!changes.length) return h("p", {}, "Both have the same signatures, with the same names, dtypes and shapes: calls of one are right for the other.");
  return h("ul", {}, changes.map(({ breaks, text }) => h("li", {}, breaks && h("strong", { class: "error" }, "Breaks calls: "), text)));
}

/** @param {Card} own @param {number} asked @param {number} second */
function unavailable(own, asked, second) {
  const known = own.versions.find((each) => each.version === asked);
  const why = known ? stateOf(known).text : `Version ${asked} is not there`;
  const first = asked === own.version ? `Version ${asked} is the first one already` : why;
  return h("p", { class: "note" }, `${first}. Version ${second} is compared instead.`);
}

/** @param {Context} context */
function onlyOne({ card: own }) {
  const others = own.versions.filter((each) => each.state !== "AVAILABLE").map((each) => `${stateOf(each).text}.`);
  return h(
    "div",
    { class: "panel" },
    h("p", {}, `Only version ${own.version ?? "?"} of ${own.name} is available, so there is no other to ask. ${others.join(" ")}`),
    h("p", {}, "A server keeps the newest version alone, unless a release keeps two, or the file of ", h("code", {}, "--model-config-file"), " says for this model:"),
    h("pre", {}, "model_version_policy { all {} }"),
    h("p", { class: "hint" }, "A new version is made by ", h("code", {}, `signet export FILE.keras --name ${own.name}`), ", and a release begun by ", h("code", {}, `signet release start ${own.name} VERSION`), "."),
  );
}
