/**
 * The states of a model's versions in words. All functions are pure.
 *
 *     [{version: 3, state: "LOADING"}, {version: 2, state: "AVAILABLE"}] ──▶ "Version 2 is available", "Version 3 is loading"
 */

/** @typedef {import("../core/card.js").Version} Version */
/** @typedef {{ text: string, kind: "good" | "waiting" | "bad" | "gone" }} Sentence */

const MOST = 4;

/**
 * The state of one version.
 * @param {Version} version
 * @returns {Sentence}
 */
export function stateOf({ version, state, error }) {
  const name = `Version ${version}`;
  if (state === "AVAILABLE") {
    return error ? { text: `${name} is available; what has replaced it on disk is not: ${error}`, kind: "bad" } : { text: `${name} is available`, kind: "good" };
  }
  if (state === "LOADING") return { text: `${name} is loading`, kind: "waiting" };
  if (state === "START") return { text: `${name} waits to be loaded`, kind: "waiting" };
  if (state === "UNLOADING") return { text: `${name} is being unloaded`, kind: "gone" };
  return error ? { text: `${name} failed: ${error}`, kind: "bad" } : { text: `${name} is not served any more`, kind: "gone" };
}

/**
 * All that matters of the states: available ones together, each other one by itself; what has gone as long as none is available.
 * @param {Version[]} versions
 * @returns {Sentence[]}
 */
export function inWords(versions) {
  const good = versions.filter((each) => each.state === "AVAILABLE" && !each.error).map((each) => String(each.version));
  const others = versions.filter((each) => !good.includes(String(each.version))).map(stateOf);
  const available = versions.some((each) => each.state === "AVAILABLE");
  const told = others.filter((each) => each.kind !== "gone" || !available);
  /** @type {Sentence[]} */
  const sentences = good.length ? [{ text: `${named("Version", good)} ${good.length === 1 ? "is" : "are"} available`, kind: "good" }] : [];
  if (!versions.length) sentences.push({ text: "It has no version now", kind: "waiting" });
  const more = told.length - MOST;
  return [...sentences, ...told.slice(0, MOST), ...(more > 0 ? [{ text: `and ${more} more`, kind: /** @type {const} */ ("gone") }] : [])];
}

/**
 * "Version 1", "Versions 3, 2 and 1", "Versions 9, 8, 7, 6 and 5 more".
 * @param {string} word
 * @param {string[]} names
 */
function named(word, names) {
  if (names.length === 1) return `${word} ${names[0]}`;
  const shown = names.slice(0, names.length > MOST + 1 ? MOST : names.length - 1);
  const rest = names.length - shown.length;
  return `${word}s ${shown.join(", ")} and ${rest === 1 ? names[names.length - 1] : `${rest} more`}`;
}

/**
 * Labels in words: "stable is version 1, canary is version 2".
 * @param {{ [label: string]: number }} labels
 * @returns {string[]}
 */
export function labelsInWords(labels) {
  return Object.entries(labels).map(([label, version]) => `${label} is version ${version}`);
}
