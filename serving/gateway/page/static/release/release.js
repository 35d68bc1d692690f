/**
 * What is told of a model's release, and what follows from it. All functions are pure.
 *
 *     GET …/release ──current──▶ Release ──stageInWords──▶ "Version 2 answers 5 % of the requests, version 1 the others"
 *                   ├──seen──▶ requests and errors of both sides, over all processes
 *                   └──nextStep──▶ what to do, and the command that does it
 */
import { number, percent } from "../core/numbers.js";
import { shellWord } from "../core/shell.js";

/** @typedef {"gate" | "shadow" | "canary" | "done" | "rolled_back"} Stage */
/** @typedef {{ model: string, generation: number, stable: number, candidate: number | null, stage: Stage, share: number, shadow: number, by: string, at: string, reason: string }} Release */
/** @typedef {{ requests: number, errors: number, slow: number }} Counts */
/** @typedef {{ copies: number, failed: number, differs: number }} Copies */
/** @typedef {{ share: number, stable: Counts, candidate: Counts, copies: Copies }} Step */
/** @typedef {{ name: string, release: Release | null, available: number[], stopped: string, evidence: { steps: Step[] } }} Replica */
/** @typedef {{ kind: "errors" | "slow" | "failed" | "differs", log_e: number | null, log_alarm: number | null, harm: number | null, harm_at_most: number | null, allowed: number | null }} Finding */
/** @typedef {{ progress: "none" | "checking" | "passed" | "refused" | "unfinished", candidate: number | null, stable: number | null, by: string, at: string, reason: string, attempts: number, report: string, findings: { check: string, level: string, text: string }[] }} Gate */
/** @typedef {{ copies: number, differs: number, missing: number, argmax_changed: number, most_absolute: number | null, most_relative: number | null }} Differs */
/**
 * @typedef {object} Told
 * @property {Replica[]} replicas
 * @property {Gate | null} gate
 * @property {{ decision: "good" | "bad" | "not_yet", reason: string, findings: Finding[] } | null} verdict
 * @property {{ [outcome: string]: number }} copies
 * @property {{ [output: string]: Differs }} outputs
 */
/** What to do next. @typedef {{ text: string, commands: { what: string, command: string }[] }} NextStep */

/** Shares that a canary is given one after the other. */
const SHARES = [0.05, 0.5];

/**
 * The newest that any process follows; null: the model has no release.
 * @param {Told} told
 * @returns {Release | null}
 */
export function current(told) {
  const known = told.replicas.flatMap((each) => (each.release ? [each.release] : []));
  return known.reduce((/** @type {Release | null} */ newest, each) => (newest && newest.generation >= each.generation ? newest : each), null);
}

/**
 * Whether a candidate is on its way.
 * @param {Release} release
 */
export function isOpen({ stage }) {
  return stage === "gate" || stage === "shadow" || stage === "canary";
}

/**
 * How far it has come, in a sentence.
 * @param {Release} release
 */
export function stageInWords({ stage, stable, candidate, share, shadow }) {
  const copies = shadow ? `copies of ${part(shadow)} of the requests` : "no copies of requests";
  switch (stage) {
    case "gate":
      return `Version ${candidate} waits at the gate; version ${stable} answers everything`;
    case "shadow":
      return `Version ${candidate} is shown ${copies}; version ${stable} answers everything`;
    case "canary":
      return share >= 1 ? `Version ${candidate} answers all requests, before version ${stable} is given up` : `Version ${candidate} answers ${part(share)} of the requests, version ${stable} the others`;
    case "rolled_back":
      return `Version ${candidate} was taken back; version ${stable} answers everything`;
    default:
      return `Version ${stable} answers everything; none is on its way`;
  }
}

/**
 * A share: 0.05 → "5 %", 0.125 → "12.5 %".
 * @param {number} value
 */
export function part(value) {
  return `${number(value * 100, 3)}\u00a0%`;
}

/**
 * What all processes have counted of both sides since the release began.
 * @param {Told} told
 * @returns {{ stable: Counts, candidate: Counts, copies: Copies }}
 */
export function seen(told) {
  const steps = told.replicas.flatMap((each) => each.evidence.steps);
  return {
    stable: summed(steps.map((step) => step.stable), { requests: 0, errors: 0, slow: 0 }),
    candidate: summed(steps.map((step) => step.candidate), { requests: 0, errors: 0, slow: 0 }),
    copies: summed(steps.map((step) => step.copies), { copies: 0, failed: 0, differs: 0 }),
  };
}

/**
 * @template {{ [name: string]: number }} Numbers
 * @param {Numbers[]} parts
 * @param {Numbers} zero
 * @returns {Numbers}
 */
function summed(parts, zero) {
  const names = Object.keys(zero);
  return parts.reduce((sum, each) => /** @type {Numbers} */ (Object.fromEntries(names.map((name) => [name, sum[name] + each[name]]))), zero);
}

/**
 * A count, and what part of all it is: "3 (0.5 %)".
 * @param {number} count
 * @param {number} all
 */
export function ofAll(count, all) {
  return all && count ? `${count.toLocaleString("en")} (${percent(count / all)})` : count.toLocaleString("en");
}

/**
 * An e-value from its logarithm; at 1 and below it is no evidence.
 * @param {number | null} log
 */
export function evidence(log) {
  if (log === null) return "without bound";
  if (log <= 0) return "none";
  return log > 20 ? `10^${Math.floor(log / Math.LN10)}` : number(Math.exp(log), 3);
}

/**
 * A rate of harm: 0.012 → "+1.2 %"; allowed harm of 1 is any.
 * @param {number | null} value
 */
export function harm(value) {
  if (value === null) return "unknown";
  const text = `${(Math.abs(value) * 100).toFixed(2)}\u00a0%`;
  return value > 0 ? `+${text}` : value < 0 ? `\u2212${text}` : text;
}

/**
 * What stands between now and the next step.
 * @param {Told} told
 * @param {Release} release
 * @param {string} url of the server, as the command is to ask it
 * @returns {NextStep}
 */
export function nextStep(told, release, url) {
  const { model } = release;
  const promote = { what: nextStage(release), command: command("promote", model, "", `--url ${shellWord(url)}`) };
  const back = { what: `Take version ${release.candidate} back at once`, command: command("rollback", model) };
  const stopped = told.replicas.find((each) => each.stopped);
  if (isOpen(release) && stopped) return { text: `The brake has stopped version ${release.candidate}: ${stopped.stopped}`, commands: [back] };
  if (release.stage === "gate") return atTheGate(told.gate, release, promote, back);
  if (isOpen(release)) return underWay(told, release, promote, back);
  const newest = Math.max(...told.replicas.flatMap((each) => each.available), -1);
  if (newest > release.stable && newest !== release.candidate) {
    return { text: `Version ${newest} is newer, and gets no requests before it is released.`, commands: [{ what: "Begin its release", command: command("start", model, String(newest)) }] };
  }
  return { text: "Nothing: a version that appears gets no requests before somebody begins its release.", commands: [] };
}

/**
 * @param {Gate | null} gate
 * @param {Release} release
 * @param {{ what: string, command: string }} promote
 * @param {{ what: string, command: string }} back
 * @returns {NextStep}
 */
function atTheGate(gate, release, promote, back) {
  const checked = gate !== null && gate.candidate === release.candidate ? gate.progress : "none";
  const check = { what: "Check it, and read why", command: command("check", release.model, String(release.candidate)) };
  switch (checked) {
    case "passed":
      return { text: "Nothing that the gate has checked speaks against it: it waits for a person.", commands: [promote, back] };
    case "refused":
      return { text: "The gate has refused it: a server takes it back by itself.", commands: [check, back] };
    case "checking":
      return { text: "Wait until it is checked.", commands: [back] };
    default:
      return { text: "Nobody has checked it yet: going on checks it first.", commands: [check, promote, back] };
  }
}

/**
 * @param {Told} told
 * @param {Release} release
 * @param {{ what: string, command: string }} promote
 * @param {{ what: string, command: string }} back
 * @returns {NextStep}
 */
function underWay({ verdict }, release, promote, back) {
  const reason = verdict?.reason ?? "nobody has judged it";
  switch (verdict?.decision) {
    case "good":
      return { text: `Nothing speaks against the next step: ${reason}`, commands: [promote, back] };
    case "bad":
      return { text: `Version ${release.candidate} is bad: ${reason}`, commands: [back] };
    default:
      return { text: `Wait: ${reason}. Until then a promotion is refused.`, commands: [promote, back] };
  }
}

/** @param {Release} release */
function nextStage({ stage, share, candidate }) {
  if (stage === "gate") return `Show version ${candidate} copies of requests`;
  const larger = SHARES.find((each) => each > share);
  if (share >= SHARES[SHARES.length - 1] || larger === undefined) return `Have version ${candidate} answer everything`;
  return `Have version ${candidate} answer ${part(larger)} of the requests`;
}

/**
 * A command line; a model whose name begins with a dash comes after all options.
 * @param {string} action
 * @param {string} model
 * @param {string} [version]
 * @param {string} [options]
 */
function command(action, model, version = "", options = "") {
  const words = model.startsWith("-") ? [options, "--", shellWord(model), version] : [shellWord(model), version, options];
  return ["signet release", action, ...words].filter(Boolean).join(" ");
}
