/**
 * The records of a file: what its columns are called, and what each row has in them. All functions are pure.
 *
 *     CSV, JSON lines, a JSON list, or what the gateway has read ──▶ Table { columns, records }
 *
 * A row that is broken has its error; the others are as good as ever.
 */
import { cut } from "../../core/cut.js";
import { BrokenFile, delimiterOf, parse, saysDelimiter } from "./csv.js";

/** @typedef {{ place: number, values: { [column: string]: unknown }, error: string }} FileRecord place: from 1 */
/**
 * @typedef {object} Table
 * @property {string[]} columns
 * @property {FileRecord[]} records
 * @property {boolean} texts whether all values are the texts of cells
 * @property {string[]} notes what is worth telling of how it was read
 */

/** Rows that the page asks for; files of any size are for `signet score`. */
export const MOST_ROWS = 10_000;

const NAMES = new Map([[";", "semicolons"], ["\t", "tabs"], ["|", "bars"], [" ", "blanks"]]);

/** There are more rows than the page takes. */
export class TooManyRows extends BrokenFile {}

/**
 * @param {string} text
 * @param {string} name of the file: .tsv says tabs
 * @returns {Table} Throws BrokenFile
 */
export function ofCsv(text, name) {
  const usual = /\.(tsv|tab)$/i.test(name) ? "\t" : ",";
  const delimiter = delimiterOf(text, usual);
  const said = saysDelimiter(text) ? 1 : 0;
  const [header, ...rows] = parse(text, delimiter, MOST_ROWS + 2 + said).slice(said);
  if (!header) throw new BrokenFile("there is no header, and no row");
  const columns = header.cells;
  const twice = columns.find((column, place) => columns.indexOf(column) !== place);
  if (twice !== undefined) throw new BrokenFile(`two columns are called “${twice}”; each needs a name of its own`);
  if (!rows.length) throw new BrokenFile(`there is a header, ${listed(columns)}, and no row below it`);
  checkCount(rows.length);
  const records = rows.map(({ cells, line }, place) => ({
    place: place + 1,
    values: Object.fromEntries(columns.map((column, at) => [column, cells[at] ?? ""])),
    error: cells.length === columns.length ? "" : `line ${line} has ${cells.length === 1 ? "1 cell" : `${cells.length} cells`}, the header has ${columns.length}`,
  }));
  const notes = delimiter === "," ? [] : [`Its columns are separated by ${NAMES.get(delimiter) ?? `“${delimiter}”`}.`];
  return { columns, records, texts: true, notes };
}

/**
 * Lines of JSON, or one object with `instances`, as predict takes it.
 * @param {string} text
 * @param {string[]} inputs of the signature: of one input, a line may be its bare value
 * @returns {Table} Throws BrokenFile
 */
export function ofLines(text, inputs) {
  const lines = text.split(/\r?\n/).map((line, place) => ({ line, number: place + 1 })).filter(({ line }) => line.trim());
  if (!isJson(lines[0].line) && !(lines.length > 1 && isJson(lines[1].line))) return ofWhole(text, inputs); // one value over several lines
  if (lines.length === 1 && Object.hasOwn(parsed(lines[0].line), "instances") && !inputs.includes("instances")) return ofWhole(text, inputs);
  checkCount(lines.length);
  return table(
    lines.map(({ line, number }) => {
      try {
        return { value: parsed(line), error: "" };
      } catch (error) {
        return { value: {}, error: `line ${number} is no JSON: ${/** @type {Error} */ (error).message}` };
      }
    }),
    inputs,
  );
}

/**
 * A list of rows, or an object with `instances`.
 * @param {string} text
 * @param {string[]} inputs
 * @returns {Table} Throws BrokenFile
 */
export function ofWhole(text, inputs) {
  let value;
  try {
    value = parsed(text);
  } catch (error) {
    throw new BrokenFile(`it begins as JSON, but is none: ${/** @type {Error} */ (error).message}`);
  }
  const rows = Array.isArray(value) ? value : value.instances;
  if (!Array.isArray(rows)) {
    throw new BrokenFile(`it is one object of JSON with ${listed(Object.keys(value))}; expected a list of rows, a row a line, or {"instances": […]}`);
  }
  if (!rows.length) throw new BrokenFile("its list of rows is empty");
  checkCount(rows.length);
  return table(rows.map((row) => ({ value: row, error: "" })), inputs);
}

/**
 * @param {{ [column: string]: unknown }[]} rows
 * @param {string[]} columns
 * @returns {Table}
 */
export function ofRows(rows, columns) {
  const records = rows.map((values, place) => ({ place: place + 1, values, error: "" }));
  return { columns, records, texts: false, notes: rounded(records) };
}

/**
 * Names as a message has them, however many there are.
 * @param {string[]} names
 */
export function listed(names) {
  const some = names.slice(0, 12).map((name) => `“${cut(name, 40)}”`);
  return names.length > some.length ? `${some.join(", ")} and ${names.length - some.length} more` : some.join(", ");
}

/**
 * What a row has in a column; undefined where it has none: a column may be called `constructor`, as something that every object has.
 * @param {FileRecord} record
 * @param {string} column
 */
export function cellOf({ values }, column) {
  return Object.hasOwn(values, column) ? values[column] : undefined;
}

/** @param {{ value: any, error: string }[]} rows @param {string[]} inputs */
function table(rows, inputs) {
  const records = rows.map(({ value, error }, index) => {
    const place = index + 1;
    if (value !== null && typeof value === "object" && !Array.isArray(value) && !Object.hasOwn(value, "b64")) return { place, values: value, error };
    if (inputs.length === 1) return { place, values: { [inputs[0]]: value }, error };
    return { place, values: {}, error: error || `row ${place} is ${JSON.stringify(value).slice(0, 40)}; expected an object with ${listed(inputs)}` };
  });
  const columns = [...new Set(records.flatMap(({ values }) => Object.keys(values)))];
  return { columns, records, texts: false, notes: rounded(records) };
}

/** @param {FileRecord[]} records */
function rounded(records) {
  const column = records.flatMap(({ values }) => Object.entries(values)).find(([, value]) => typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value))?.[0];
  return column === undefined ? [] : [`Whole numbers beyond 9,007,199,254,740,991, as in the column “${column}”, are rounded by browsers; signet score keeps them.`];
}

/** @param {number} rows */
function checkCount(rows) {
  if (rows > MOST_ROWS) throw new TooManyRows(`it has more than ${MOST_ROWS.toLocaleString("en")} rows`);
}

/** @param {string} text */
function isJson(text) {
  try {
    parsed(text);
    return true;
  } catch {
    return false;
  }
}

/**
 * JSON, with NaN and Infinity as other programs write them: as words, which stand for them in rows.
 * @param {string} text
 * @returns {any}
 */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    const plain = text.replace(/("(?:[^"\\]|\\.)*")|-?\bInfinity\b|\bNaN\b/g, (word, quoted) => quoted ?? `"${word}"`);
    if (plain === text) throw error;
    return JSON.parse(plain);
  }
}
