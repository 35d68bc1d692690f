/**
 * Prometheus's text format, read strictly and within bounds: what is not as it should be is an error that names its line.
 *
 *     # TYPE signet_requests_total counter
 *     signet_requests_total{model="digits",code="OK"} 12.0 ──parse──▶ { name, labels: { model, code }, value: 12 }
 *
 * Source: Prometheus's "Exposition formats", text-based format 0.0.4.
 */

/** @typedef {{ [label: string]: string }} Labels */
/** @typedef {{ name: string, labels: Labels, value: number }} Sample */
/** @typedef {{ samples: Sample[], types: Map<string, string> }} Exposition types: by the name of the family */

export const LIMITS = { characters: 16 << 20, samples: 200_000, labels: 64 };

/** A text that is not in the format. */
export class ExpositionError extends Error {
  /** @param {number} line counted from 1 @param {string} what */
  constructor(line, what) {
    super(`line ${line} of the metrics: ${what}`);
  }
}

const NAME = /[a-zA-Z_:][a-zA-Z0-9_:]*/y;
const LABEL = /[a-zA-Z_][a-zA-Z0-9_]*/y;
const QUOTED = /"((?:[^"\\\n]|\\[\\"n])*)"/y;
const BLANK = /[ \t]*/y;
const VALUE = /([^ \t]+)(?:[ \t]+-?\d+)?[ \t]*$/y;  // and when it was, which nothing here says
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;
const COMMENT = /^#(?:[ \t]+(TYPE|HELP)(?:[ \t]+|$))?/;
const TYPE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)[ \t]+(counter|gauge|histogram|summary|untyped)[ \t]*$/;
const WORDS = new Map([["+inf", Infinity], ["inf", Infinity], ["-inf", -Infinity], ["nan", NaN], ["+nan", NaN], ["-nan", NaN]]);

/**
 * All samples of a text, in order. Throws ExpositionError.
 * @param {string} text
 * @returns {Exposition}
 */
export function parse(text) {
  if (text.length > LIMITS.characters) throw new ExpositionError(1, `more than ${LIMITS.characters} characters`);
  /** @type {Sample[]} */
  const samples = [];
  /** @type {Map<string, string>} */
  const types = new Map();
  let number = 0;
  for (let start = 0; start < text.length; ) {
    let end = text.indexOf("\n", start);
    if (end < 0) end = text.length;
    const line = text.slice(start, end).trim();
    start = end + 1;
    number += 1;
    if (line === "") continue;
    const comment = COMMENT.exec(line);
    if (comment) {
      if (comment[1] === "TYPE") addType(types, line.slice(comment[0].length), number);
      continue;
    }
    if (samples.length === LIMITS.samples) throw new ExpositionError(number, `more than ${LIMITS.samples} samples`);
    samples.push(sample(line, number));
  }
  return { samples, types };
}

/** @param {Map<string, string>} types @param {string} said @param {number} number */
function addType(types, said, number) {
  const found = TYPE.exec(said);
  if (!found) throw new ExpositionError(number, `no name and type: ${shown(said)}`);
  if (types.has(found[1])) throw new ExpositionError(number, `a second type of ${found[1]}`);
  types.set(found[1], found[2]);
}

/** @param {string} line @param {number} number @returns {Sample} */
function sample(line, number) {
  const name = at(NAME, line, 0)?.[0];
  if (name === undefined) throw new ExpositionError(number, `no name of a metric: ${shown(line)}`);
  let place = skip(line, name.length);
  /** @type {Labels} */
  let labels = {};
  if (line[place] === "{") [labels, place] = labelsOf(line, place + 1, number);
  else if (place === name.length) throw new ExpositionError(number, `no value behind ${shown(line)}`);
  place = skip(line, place);
  const rest = at(VALUE, line, place);
  if (!rest) throw new ExpositionError(number, `no value where one should be: ${shown(line.slice(place))}`);
  return { name, labels, value: valueOf(rest[1], number) };
}

/** @param {string} line @param {number} place behind the brace @param {number} number @returns {[Labels, number]} */
function labelsOf(line, place, number) {
  /** @type {Labels} */
  const labels = {};
  let count = 0;
  for (;;) {
    place = skip(line, place);
    if (line[place] === "}") return [labels, place + 1];
    const name = at(LABEL, line, place)?.[0];
    if (name === undefined) throw new ExpositionError(number, `no name of a label: ${shown(line.slice(place))}`);
    place = skip(line, place + name.length);
    if (line[place] !== "=") throw new ExpositionError(number, `no = behind the label ${name}`);
    place = skip(line, place + 1);
    const quoted = at(QUOTED, line, place);
    if (!quoted) throw new ExpositionError(number, `the value of the label ${name} is no quoted text: ${shown(line.slice(place))}`);
    if (Object.hasOwn(labels, name)) throw new ExpositionError(number, `the label ${name} is there twice`);
    if (++count > LIMITS.labels) throw new ExpositionError(number, `more than ${LIMITS.labels} labels`);
    // A label may be called as something that every object has.
    Object.defineProperty(labels, name, { value: unescaped(quoted[1]), enumerable: true });
    place = skip(line, place + quoted[0].length);
    if (line[place] === ",") place += 1;
    else if (line[place] !== "}") throw new ExpositionError(number, `neither , nor } behind the label ${name}`);
  }
}

/** @param {string} text @param {number} number */
function valueOf(text, number) {
  const word = WORDS.get(text.toLowerCase());
  if (word !== undefined) return word;
  if (!NUMBER.test(text)) throw new ExpositionError(number, `${shown(text)} is no number`);
  return Number(text);
}

/** @param {string} text */
function unescaped(text) {
  return text.includes("\\") ? text.replace(/\\(.)/g, (_, sign) => (sign === "n" ? "\n" : sign)) : text;
}

/** @param {RegExp} pattern sticky @param {string} text @param {number} place */
function at(pattern, text, place) {
  pattern.lastIndex = place;
  return pattern.exec(text);
}

/** @param {string} line @param {number} place */
function skip(line, place) {
  at(BLANK, line, place);
  return Math.max(place, BLANK.lastIndex);
}

/** @param {string} text */
function shown(text) {
  return JSON.stringify(text.slice(0, 60));
}
