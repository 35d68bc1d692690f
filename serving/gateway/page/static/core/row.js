/**
 * A row that comes from elsewhere, and errors that name one of its inputs. All functions are pure.
 *
 *     a link's JSON ──readRow──▶ row, problem      row of one signature ──carried──▶ what another takes of it
 *     "input 'question'[0] is the string …" ──namedInput──▶ { name: "question", place: [0] }
 */
import { shapeOfOne } from "./shapes.js";

/**
 * What a link or another signature gives a form: the inputs that are there, and the names that are not.
 * @param {string | undefined} text JSON of a row
 * @param {import("./card.js").Signature} signature
 * @returns {{ row: import("./card.js").Row | null, problem: string }}
 */
export function readRow(text, signature) {
  if (!text) return { row: null, problem: "" };
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { row: null, problem: `The values in this link are not JSON: ${/** @type {Error} */ (error).message}` };
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    return { row: null, problem: "The values in this link are no object with a value for each input" };
  }
  const names = signature.inputs.map((input) => input.name);
  const unknown = Object.keys(value).filter((name) => !names.includes(name));
  const row = Object.fromEntries(Object.entries(value).filter(([name]) => names.includes(name)));
  const problem = unknown.length ? `This link has values for ${unknown.map((name) => `"${name.slice(0, 40)}"`).join(", ")}, which ${signature.name} does not take` : "";
  return { row, problem };
}

/**
 * What of a row another signature takes as it is: inputs of the same name that are edited in the same way.
 * @param {import("./card.js").Row} row
 * @param {import("./card.js").Signature} from
 * @param {import("./card.js").Signature} to
 * @returns {import("./card.js").Row}
 */
export function carried(row, from, to) {
  const kept = to.inputs.filter((input) => {
    const before = from.inputs.find((each) => each.name === input.name);
    if (!before || !Object.hasOwn(row, input.name)) return false;
    const [was, is] = [before, input].map((each, index) => JSON.stringify([each.holds, shapeOfOne(each, (index ? to : from).in_rows)]));
    return was === is;
  });
  return Object.fromEntries(kept.map(({ name }) => [name, row[name]]));
}

/**
 * Which input an error of the server names, and where in it: `input 'question'[0][2] is …`.
 * @param {string} message
 * @param {string[]} names
 * @returns {{ name: string, place: number[] } | null} the first that it names
 */
export function namedInput(message, names) {
  let first = null;
  let at = Infinity;
  for (const name of names) {
    for (const said of [`input ${quoted(name)}`, `inputs ${quoted(name)}`]) {
      const found = message.indexOf(said);
      if (found < 0 || found >= at) continue;
      at = found;
      const place = /^(?:\[\d+\])*/.exec(message.slice(found + said.length))?.[0] ?? "";
      first = { name, place: [...place.matchAll(/\d+/g)].map(Number) };
    }
  }
  return first;
}

/** A name as Python writes it between quotes. @param {string} name */
function quoted(name) {
  const mark = name.includes("'") && !name.includes('"') ? '"' : "'";
  return mark + name.replace(/\\/g, "\\\\").replaceAll(mark, `\\${mark}`) + mark;
}
