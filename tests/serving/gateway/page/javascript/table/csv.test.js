import assert from "node:assert/strict";
import { test } from "node:test";

import { BrokenFile, delimiterOf, DELIMITERS, harmless, parse, saysDelimiter, write } from "../../../../../../serving/gateway/page/static/model/table/csv.js";

/** @param {string} text @param {string} [delimiter] */
const cells = (text, delimiter = ",") => parse(text, delimiter).map((record) => record.cells);

test("records as RFC 4180 and spreadsheets write them", () => {
  /** @type {[string, string[][]][]} */
  const table = [
    ["a,b\r\n1,2\r\n", [["a", "b"], ["1", "2"]]],
    ["a,b\n1,2", [["a", "b"], ["1", "2"]]],
    ["a,b\r1,2\r", [["a", "b"], ["1", "2"]]],
    ['a\n"x ""y"", z"\n', [["a"], ['x "y", z']]],
    ['a,b\n"one\r\ntwo",3\n', [["a", "b"], ["one\r\ntwo", "3"]]],
    ["a,b\n,\n", [["a", "b"], ["", ""]]],
    ["a,b\n1,", [["a", "b"], ["1", ""]]],
    ['a\n""\n', [["a"], [""]]],
    ["a\n\n  \nx\n", [["a"], ["x"]]],
    ["a\n5\" disc\n", [["a"], ['5" disc']]],
    ["a,b\n1\n1,2,3\n", [["a", "b"], ["1"], ["1", "2", "3"]]],
    ["", []],
  ];
  for (const [text, expected] of table) assert.deepEqual(cells(text), expected, JSON.stringify(text));
});

test("a record knows its line, whatever is in quotes before it", () => {
  assert.deepEqual(parse('a\n"1\r\n2\n3"\nx\n', ",").map(({ line }) => line), [1, 2, 5]);
});

test("broken quotes are told with their line", () => {
  assert.throws(() => parse('a\nb\n"never', ","), (error) => error instanceof BrokenFile && /line 3/.test(error.message));
  assert.throws(() => parse('a\n"x"y\n', ","), (error) => error instanceof BrokenFile && /line 2 .*“y”/.test(error.message));
});

test("the delimiter is the usual one, but where another alone fits", () => {
  assert.equal(delimiterOf("a;b\n1,5;2\n", ","), ";");
  assert.equal(delimiterOf("a\tb\n1\t2\n", ","), "\t");
  assert.equal(delimiterOf("a,b;c\n1,2;3\n", ","), ",");
  assert.equal(delimiterOf("text\none; two\n", ","), ",");
  assert.equal(delimiterOf("sep=|\r\na|b\r\n", ","), "|");
  assert.ok(saysDelimiter("sep=;\r\na;b\n") && saysDelimiter("sep=\t"));
  assert.ok(!saysDelimiter("sep=d\nad1\n") && !saysDelimiter("sep,x\n"));
});

test("random tables come back as they were, with any delimiter", () => {
  const random = seeded(21);
  const pieces = ["a", "ü", '"', '""', ",", ";", "\t", "|", "\r\n", "\n", "\r", " ", "=1+1", "😀", "\ufeff", ""];
  for (let round = 0; round < 400; round += 1) {
    const width = 1 + Math.floor(random() * 4);
    const table = Array.from({ length: 1 + Math.floor(random() * 5) }, () =>
      Array.from({ length: width }, () => Array.from({ length: Math.floor(random() * 4) }, () => pieces[Math.floor(random() * pieces.length)]).join("")),
    );
    const text = write(table);
    assert.deepEqual(cells(text), table, JSON.stringify(text));
    const delimiter = DELIMITERS[round % DELIMITERS.length];
    const other = table.map((row) => `${row.map((cell) => `"${cell.replaceAll('"', '""')}"`).join(delimiter)}\n`).join("");
    assert.deepEqual(cells(other, delimiter), table, JSON.stringify(other));
  }
});

test("what a spreadsheet would run is made a text, and numbers stay", () => {
  for (const text of ["=1+1", "+cmd", "-x", "@SUM(A1)", "\t=1", "\r=1", "-1+2"]) assert.equal(harmless(text), `'${text}`);
  for (const text of ["-1", "-Infinity", "+.5", "-1e-5", "a=b", "", "1-2"]) assert.equal(harmless(text), text);
});

/** @param {number} seed */
function seeded(seed) {
  let state = seed;
  return () => {
    state = (state * 1664525 + 1013904223) % 2 ** 32;
    return state / 2 ** 32;
  };
}
