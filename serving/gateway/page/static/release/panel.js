/**
 * A model's release for people who look: how far it has come, what it is judged by, what is to be done next. It changes nothing.
 *
 *     releasePanel(model, signal) ──GET …/release, again and again──▶ the sentence, the numbers of both sides, the gate, the command
 */
import { copyButton } from "../core/copy.js";
import { fill, h } from "../core/dom.js";
import { number } from "../core/numbers.js";
import { ServiceError } from "../core/service.js";
import { key } from "../core/session.js";
import { pause } from "../core/time.js";
import { releaseOf } from "./asking.js";
import { current, evidence, harm, isOpen, nextStep, ofAll, seen, stageInWords } from "./release.js";

/** @typedef {import("./release.js").Told} Told */
/** @typedef {import("./release.js").Release} Release */
/** @typedef {import("../core/dom.js").Child} Child */

const LOOK_MS = 5000;

/** @type {{ [kind: string]: string }} */
const KINDS = { errors: "Errors", slow: "Slow answers", failed: "Copies without an answer", differs: "Copies answered otherwise" };
/** @type {{ [level: string]: string }} */
const LEVELS = { refused: "Refused", warning: "Warning", note: "Note" };

/**
 * The panel of a model, which is hidden as long as nobody knows of a release, and looks again while it is shown.
 * @param {string} model
 * @param {AbortSignal} signal
 * @returns {{ element: HTMLElement, looked: Promise<void> }} looked: resolves when it has looked once
 */
export function releasePanel(model, signal) {
  const place = h("section", { class: "panel release", id: "release", "aria-label": "Release", hidden: true });
  let shown = "";

  async function look() {
    const content = await contentOf(model, signal);
    const text = JSON.stringify(content.said);
    if (text === shown) return;
    shown = text;
    const kept = place.contains(document.activeElement) ? document.activeElement?.getAttribute("data-key") : null;
    fill(place, content.elements());
    place.hidden = !place.childElementCount;
    if (kept) /** @type {HTMLElement | null} */ (place.querySelector(`[data-key="${kept}"]`))?.focus();
  }

  async function follow() {
    for (;;) {
      await pause(LOOK_MS, signal);
      if (signal.aborted) return;
      if (!document.hidden) await look();
    }
  }

  const looked = look();
  void looked.then(follow);
  return { element: place, looked };
}

/**
 * What is to be shown, and by what it is told from what was shown before.
 * @param {string} model
 * @param {AbortSignal} signal
 * @returns {Promise<{ said: unknown, elements: () => Child[] }>}
 */
async function contentOf(model, signal) {
  try {
    const { told, refused } = await releaseOf(model, signal);
    if (!told) return { said: refused, elements: () => [h("h2", {}, "Release"), refusal(refused)] };
    const release = current(told);
    return { said: told, elements: () => (release ? whole(told, release) : []) };
  } catch (error) {
    if (signal.aborted) return { said: "", elements: () => [] };
    if (!(error instanceof ServiceError)) throw error;
    const { message } = error;
    return { said: message, elements: () => [h("h2", {}, "Release"), h("p", { class: "error" }, message)] };
  }
}

/** @param {string} words the server's */
function refusal(words) {
  return h("p", { class: "hint" }, "Whether a release is on its way, and how it does, is shown to an admin's key. The server says: ", h("bdi", {}, words));
}

/**
 * @param {Told} told
 * @param {Release} release
 * @returns {Child[]}
 */
function whole(told, release) {
  return [
    h("h2", {}, "Release"),
    h("p", { class: "stage" }, h("strong", {}, `${stageInWords(release)}.`)),
    path(release),
    since(release),
    next(told, release),
    gate(told, release),
    sides(told, release),
    judged(told, release),
    copied(told),
    processes(told),
  ];
}

/**
 * The stages in their order, with the one that it is at.
 * @param {Release} release
 */
function path({ stage }) {
  const stages = { gate: "Gate", shadow: "Copies", canary: "Share", ...(stage === "rolled_back" ? { rolled_back: "Taken back" } : { done: "Done" }) };
  return h(
    "ol",
    { class: "release-stages", "aria-label": "Stages" },
    Object.entries(stages).map(([name, word]) => h("li", { "aria-current": name === stage && "step" }, word)),
  );
}

/** @param {Release} release */
function since({ at, by, reason }) {
  const when = new Date(at);
  const time = Number.isNaN(when.getTime()) ? at : h("time", { datetime: at }, when.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" }));
  return h("p", { class: "hint" }, at && ["Since ", time], by && [at ? ", by " : "By ", h("bdi", {}, by)], reason && [": ", h("bdi", {}, reason)]);
}

/**
 * @param {Told} told
 * @param {Release} release
 */
function next(told, release) {
  const { text, commands } = nextStep(told, release, new URL(".", location.href.split("#")[0]).href.replace(/\/$/, ""));
  const lines = commands.map(({ what, command }) =>
    h("li", {}, h("span", {}, what), h("span", { class: "command" }, h("code", { dir: "ltr" }, command), keyed(copyButton(() => command), command.split(" ")[2]))),
  );
  return h(
    "div",
    { class: "next" },
    h("h3", {}, "What is next"),
    h("p", {}, h("bdi", {}, text)),
    lines.length > 0 && h("ul", { class: "commands", role: "list" }, lines),
    lines.length > 0 && h("p", { class: "hint" }, `To be run where the models' folder is, or with --models-dir${key() ? "; with an admin's key in SIGNET_KEY" : ""}. This page only shows it.`),
  );
}

/** @param {HTMLElement} element @param {string} name by which it is found again when its surroundings are shown anew */
function keyed(element, name) {
  element.dataset.key = name;
  return element;
}

/**
 * @param {Told} told
 * @param {Release} release
 */
function gate({ gate: found }, release) {
  if (!found || (found.progress === "none" && release.stage !== "gate")) return null;
  const version = `Version ${found.candidate ?? release.candidate}`;
  const said = {
    none: `${version} is not checked`,
    checking: `${version} is being checked`,
    passed: `${version} has passed: nothing speaks against it`,
    refused: `${version} is refused`,
    unfinished: `${version} could not be checked`,
  }[found.progress];
  const findings = found.findings.map(({ check, level, text }) =>
    h("tr", {}, h("td", { class: level === "refused" ? "error" : "" }, LEVELS[level] ?? level), h("td", {}, check), h("td", {}, h("bdi", {}, text))),
  );
  return h(
    "div",
    {},
    h("h3", {}, "Gate"),
    h("p", {}, h("bdi", {}, `${said}${found.reason && `: ${found.reason}`}`), found.by && h("span", { class: "hint" }, ` (by ${found.by}${found.at && `, ${found.at}`})`)),
    findings.length > 0 && table("What the gate found", ["", "Check", "Found"], findings),
    found.report && h("p", { class: "hint" }, "All figures are in ", h("code", {}, "release-check.html"), ", beside the versions."),
  );
}

/**
 * @param {Told} told
 * @param {Release} release
 */
function sides(told, release) {
  const { stable, candidate } = seen(told);
  if (!stable.requests && !candidate.requests && release.stage !== "canary") return null;
  const name = isOpen(release) || release.stage === "rolled_back" ? `Version ${release.candidate}` : "The candidate";
  const both = isOpen(release) || release.stage === "rolled_back" ? `Version ${release.stable}` : "The one before";
  /** @type {["requests" | "errors" | "slow", string][]} */
  const lines = [["requests", "Requests"], ["errors", "Errors"], ["slow", "Slow answers"]];
  const rows = lines.map(([kind, word]) => {
    const shown = [stable, candidate].map((each) => (kind === "requests" ? each.requests.toLocaleString("en") : ofAll(each[kind], each.requests)));
    return h("tr", {}, h("th", { scope: "row" }, word), shown.map((text) => h("td", { class: "number" }, text)));
  });
  return h(
    "div",
    {},
    h("h3", {}, "Both sides"),
    table("Requests of both versions", ["", both, name], rows, 1),
    h("p", { class: "hint" }, "Requests that were given to a version by chance, since the release began. Slow: longer than the stable version's slowest hundredth."),
  );
}

/**
 * @param {Told} told
 * @param {Release} release
 */
function judged({ verdict }, { stage }) {
  if (!verdict || stage === "gate") return null; // there it has nothing to judge by
  const decision = { good: "Good", bad: "Bad", not_yet: "Not known yet" }[verdict.decision];
  const rows = verdict.findings.map((each) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, KINDS[each.kind] ?? each.kind),
      [evidence(each.log_e), evidence(each.log_alarm), harm(each.harm), each.harm_at_most === 1 ? "unknown" : harm(each.harm_at_most), each.allowed === 1 ? "any" : harm(each.allowed)].map(
        (text) => h("td", { class: "number" }, text),
      ),
    ),
  );
  return h(
    "div",
    {},
    h("h3", {}, "The judge"),
    h("p", {}, h("strong", {}, `${decision}: `), h("bdi", {}, verdict.reason)),
    rows.length > 0 && table("Evidence against the candidate", ["", "e-value", "stops it at", "harm seen", "at most", "allowed"], rows, 1),
    rows.length > 0 &&
      h("p", { class: "hint" }, "The e-value is the evidence that it is worse; beyond the bound, and with more harm than allowed, any server stops it by itself. Harm: its rate less the stable version's."),
  );
}

/** @param {Told} told */
function copied(told) {
  const { shown = 0, full = 0, away = 0 } = told.copies;
  const outputs = Object.entries(told.outputs);
  if (!shown && !full && !away && !outputs.length) return null;
  const { copies } = seen(told);
  const rows = outputs.map(([name, each]) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, h("bdi", {}, name)),
      [each.copies.toLocaleString("en"), ofAll(each.differs, each.copies), ofAll(each.argmax_changed, each.copies), largest(each.most_absolute), largest(each.most_relative)].map((text) =>
        h("td", { class: "number" }, text),
      ),
    ),
  );
  return h(
    "div",
    {},
    h("h3", {}, "Copies of requests"),
    h(
      "p",
      {},
      `${shown.toLocaleString("en")} were shown to it; ${full.toLocaleString("en")} found no room, ${away.toLocaleString("en")} came while it was away. `,
      copies.copies > 0 && `${ofAll(copies.failed, copies.copies)} had no answer, ${ofAll(copies.differs, copies.copies)} another one than the stable version's.`,
    ),
    rows.length > 0 && table("Differences by output", ["Output", "copies", "differ", "other class", "most", "most, relative"], rows, 1),
  );
}

/** @param {number | null} value */
function largest(value) {
  return value === null ? "without bound" : number(value, 3);
}

/** @param {Told} told */
function processes({ replicas }) {
  const stopped = replicas.filter((each) => each.stopped);
  const behind = new Set(replicas.map((each) => each.release?.generation ?? 0)).size > 1;
  const count = `${replicas.length} ${replicas.length === 1 ? "process of this service tells" : "processes of this service tell"} this`;
  return h(
    "p",
    { class: "hint" },
    stopped.length ? `${count}; the brake of ${stopped.length} has stopped the candidate.` : `${count}; no brake has stopped the candidate.`,
    behind && " Not all follow the same generation of the release yet.",
    " Other replicas know what they have seen themselves.",
  );
}

/**
 * @param {string} label
 * @param {string[]} heads
 * @param {HTMLElement[]} rows
 * @param {number} [numbers] the first column that holds numbers
 */
function table(label, heads, rows, numbers = heads.length) {
  const head = h("tr", {}, heads.map((text, place) => (text ? h("th", { scope: "col", class: place >= numbers && "number" }, text) : h("td", {}))));
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, h("table", {}, h("thead", {}, head), h("tbody", {}, rows)));
}
