/**
 * What a file is, by what is in it, and its text. All functions are pure.
 *
 *     bytes ──kindOf──▶ csv, jsonl, json: text, read here         parquet, arrow: read by the gateway, as no browser can
 */
import { BrokenFile } from "./csv.js";

/** @typedef {"csv" | "jsonl" | "json" | "parquet" | "arrow"} Kind */

/** @type {[number[], string][]} What other files begin with, and what to do with such a one. */
const OTHERS = [
  [[0x50, 0x4b, 0x03, 0x04], "a ZIP archive, as .xlsx files are: save the table as CSV"],
  [[0xd0, 0xcf, 0x11, 0xe0], "an old Office document: save the table as CSV"],
  [[0x1f, 0x8b], "compressed by gzip: unpack it first; signet score takes it as it is"],
  [[0x28, 0xb5, 0x2f, 0xfd], "compressed by Zstandard: unpack it first; signet score takes it as it is"],
  [[0x25, 0x50, 0x44, 0x46], "a PDF document"],
  [[0x89, 0x50, 0x4e, 0x47], "a picture"],
  [[0xff, 0xd8, 0xff], "a picture"],
  [[0x4f, 0x62, 0x6a, 0x01], "an Avro file: signet score does not read it either; write it as Parquet"],
];
const TABLES = "expected a table as CSV, TSV, JSON lines, a JSON list, Parquet or Arrow";

/**
 * @param {Uint8Array} bytes
 * @param {string} name of the file, for messages and for what its contents leave open
 * @returns {{ kind: Kind, text: string, notes: string[] }} text: empty for what is read elsewhere. Throws BrokenFile
 */
export function kindOf(bytes, name) {
  if (!bytes.length) throw new BrokenFile(`${name} is empty; ${TABLES}`);
  if (begins(bytes, [0x50, 0x41, 0x52, 0x31])) return { kind: "parquet", text: "", notes: renamed(name, ["parquet", "pq"], "Parquet") };
  if (begins(bytes, [...new TextEncoder().encode("ARROW1")])) return { kind: "arrow", text: "", notes: renamed(name, ["arrow", "feather", "ipc"], "an Arrow file") };
  if (begins(bytes, [0xff, 0xff, 0xff, 0xff])) return { kind: "arrow", text: "", notes: renamed(name, ["arrow", "arrows", "ipc"], "an Arrow stream") };
  const other = OTHERS.find(([magic]) => begins(bytes, magic));
  if (other) throw new BrokenFile(`${name} is ${other[1]}; ${TABLES}`);
  const { text, notes } = decoded(bytes, name);
  const start = text.trimStart()[0];
  if (start === undefined) throw new BrokenFile(`${name} has nothing but blanks; ${TABLES}`);
  if (start === "[") return { kind: "json", text, notes: [...notes, ...renamed(name, ["json", "jsonl", "ndjson"], "JSON")] };
  if (start === "{") return { kind: "jsonl", text, notes: [...notes, ...renamed(name, ["json", "jsonl", "ndjson"], "JSON")] };
  return { kind: "csv", text, notes: [...notes, ...renamed(name, ["csv", "tsv", "tab", "txt"], "text with columns")] };
}

/**
 * The text of bytes without its byte order mark, and what is worth telling of its encoding.
 * @param {Uint8Array} bytes
 * @param {string} name
 */
function decoded(bytes, name) {
  const wide = wideEncoding(bytes);
  if (wide) return { text: new TextDecoder(wide).decode(bytes), notes: [`Its encoding is ${wide.toUpperCase()}.`] };
  try {
    return { text: readable(new TextDecoder("utf-8", { fatal: true }).decode(bytes), name), notes: [] };
  } catch (error) {
    if (error instanceof BrokenFile) throw error;
  }
  if (hasLetters(bytes)) throw new BrokenFile(`${name} is broken as UTF-8: some of its letters are right, others are no text`);
  const text = readable(new TextDecoder("windows-1252").decode(bytes), name);
  return { text, notes: ["It is no UTF-8, so it is read as Windows-1252 (Latin-1): look at its umlauts and accents."] };
}

/** @param {string} text @param {string} name */
function readable(text, name) {
  const odd = (text.slice(0, 1 << 16).match(/[\0-\x08\x0e-\x1a\x1c-\x1f\x80-\x9f]/g) ?? []).length;
  if (text.includes("\0") || odd > 8) throw new BrokenFile(`${name} is no text, and none of the tables that begin with a mark; ${TABLES}`);
  return text;
}

/** @param {Uint8Array} bytes */
function wideEncoding(bytes) {
  if (begins(bytes, [0xff, 0xfe])) return "utf-16le";
  if (begins(bytes, [0xfe, 0xff])) return "utf-16be";
  const head = bytes.subarray(0, 1 << 10);
  const zeros = [0, 1].map((first) => head.filter((byte, place) => place % 2 === first && byte === 0).length);
  const half = head.length / 2;
  if (half >= 2 && zeros[1] > 0.9 * half && zeros[0] === 0) return "utf-16le";
  if (half >= 2 && zeros[0] > 0.9 * half && zeros[1] === 0) return "utf-16be";
  return "";
}

/**
 * Whether bytes that are no UTF-8 have letters of it nevertheless: two bytes or more that belong together.
 * @param {Uint8Array} bytes
 */
function hasLetters(bytes) {
  const text = new TextDecoder("utf-8").decode(bytes);
  return /[^\0-\x7f\ufffd]/.test(text);
}

/** @param {string} name @param {string[]} endings @param {string} what */
function renamed(name, endings, what) {
  const ending = /\.([^.]+)$/.exec(name)?.[1].toLowerCase() ?? "";
  return !ending || endings.includes(ending) ? [] : [`It is called .${ending.slice(0, 12)}, but is ${what}, and is read as such.`];
}

/** @param {Uint8Array} bytes @param {number[]} magic */
function begins(bytes, magic) {
  return magic.every((byte, place) => bytes[place] === byte);
}
