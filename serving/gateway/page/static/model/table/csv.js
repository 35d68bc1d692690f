/**
 * CSV as RFC 4180 has it, and as spreadsheets write it: a byte order mark, `sep=;`, other delimiters. All functions are pure.
 *
 *     'id;text\r\n1;"a ""b"""\r\n' ──delimiterOf──▶ ";" ──parse──▶ [{cells: ["id", "text"], line: 1}, {cells: ["1", 'a "b"'], line: 2}]
 */

/** @typedef {{ cells: string[], line: number }} CsvRecord line: its first one, from 1 */

/** The file is not what it seems to be. */
export class BrokenFile extends Error {}

export const DELIMITERS = [",", ";", "\t", "|"];
const SAMPLE = 20;
const SAID = /^sep=([^\w"\r\n])(?:\r\n?|\n|$)/i;

/**
 * The records of a text; blank lines are none. Throws BrokenFile.
 * @param {string} text
 * @param {string} delimiter
 * @param {number} [most] records; beyond, reading ends
 * @returns {CsvRecord[]}
 */
export function parse(text, delimiter, most = Infinity) {
  /** @type {CsvRecord[]} */
  const records = [];
  /** @type {string[]} */
  let cells = [];
  const stop = new RegExp(`[\\r\\n${delimiter === "\t" ? "\\t" : `\\${delimiter}`}]`, "g");
  let line = 1;
  let began = 1;
  let at = 0;

  /** Ends the record; at is at its line's end, or at that of the text. */
  function endRecord() {
    const blank = cells.length === 1 && cells[0].trim() === "" && text[at - 1] !== '"';
    if (!blank) records.push({ cells, line: began });
    cells = [];
    if (text[at] === "\r" && text[at + 1] === "\n") at += 1;
    at += 1;
    line += 1;
    began = line;
  }

  while (at < text.length && records.length < most) {
    if (text[at] === '"') {
      const { cell, end, lines } = quoted(text, at, line);
      cells.push(cell);
      line += lines;
      at = end;
      if (at < text.length && text[at] !== delimiter && text[at] !== "\n" && text[at] !== "\r") {
        throw new BrokenFile(`line ${line} is no CSV: after a quoted cell comes “${text[at]}”; expected the delimiter or the line's end`);
      }
    } else {
      stop.lastIndex = at;
      const found = stop.exec(text);
      const end = found ? found.index : text.length;
      cells.push(text.slice(at, end));
      at = end;
    }
    if (at < text.length && text[at] === delimiter) {
      at += 1;
      if (at === text.length) cells.push("");
      else continue;
    }
    if (at < text.length && text[at] !== "\r" && text[at] !== "\n") continue;
    endRecord();
  }
  if (cells.length && records.length < most) endRecord();
  return records;
}

/**
 * The delimiter of a text: the usual one, but for another with which alone all first rows have the same several cells.
 * @param {string} text
 * @param {string} usual
 */
export function delimiterOf(text, usual) {
  const said = SAID.exec(text);
  if (said) return said[1];
  const widths = new Map(DELIMITERS.map((each) => [each, width(text, each)]));
  if ((widths.get(usual) ?? 0) > 1) return usual;
  const others = DELIMITERS.filter((each) => (widths.get(each) ?? 0) > 1);
  return others.length === 1 ? others[0] : usual;
}

/**
 * Whether its first line is Excel's `sep=;`, which is no record.
 * @param {string} text
 */
export function saysDelimiter(text) {
  return SAID.test(text);
}

/**
 * Records as CSV, with CRLF.
 * @param {string[][]} records
 */
export function write(records) {
  return records.map((cells) => `${cells.map(written).join(",")}\r\n`).join("");
}

/** Characters that make a spreadsheet take a cell for a formula. */
const FORMULA = /^[=+\-@\t\r]/;
const NUMBER = /^[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|Infinity)$/i;

/**
 * A text that no spreadsheet runs as a formula: one that begins as such gets an apostrophe before it, which shows that it is
 * a text. Numbers stay.
 * @param {string} text
 */
export function harmless(text) {
  return FORMULA.test(text) && !NUMBER.test(text) ? `'${text}` : text;
}

/** @param {string} text */
function written(text) {
  return text === "" || /[,;"\r\n\t|]|^\s|\s$|^\ufeff/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/**
 * A cell in quotes.
 * @param {string} text
 * @param {number} start of its first quote
 * @param {number} line
 */
function quoted(text, start, line) {
  let cell = "";
  let from = start + 1;
  for (;;) {
    const end = text.indexOf('"', from);
    if (end < 0) throw new BrokenFile(`the quote that opens in line ${line} is never closed`);
    cell += text.slice(from, end);
    if (text[end + 1] !== '"') return { cell, end: end + 1, lines: lineEnds(cell) };
    cell += '"';
    from = end + 2;
  }
}

/** @param {string} text */
function lineEnds(text) {
  return (text.match(/\r\n|\r|\n/g) ?? []).length;
}

/**
 * The cells of each of the first records; 0 where they differ.
 * @param {string} text
 * @param {string} delimiter
 */
function width(text, delimiter) {
  try {
    const records = parse(text, delimiter, SAMPLE);
    const widths = new Set(records.map((record) => record.cells.length));
    return widths.size === 1 ? [...widths][0] : 0;
  } catch {
    return 0;
  }
}
