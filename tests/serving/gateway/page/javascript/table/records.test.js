import assert from "node:assert/strict";
import { test } from "node:test";

import { BadRow, nearest, planOf, rowOf } from "../../../../../../serving/gateway/page/static/model/table/columns.js";
import { BrokenFile } from "../../../../../../serving/gateway/page/static/model/table/csv.js";
import { cellOf, MOST_ROWS, ofCsv, ofLines, ofRows, ofWhole, TooManyRows } from "../../../../../../serving/gateway/page/static/model/table/records.js";

/** @param {string} name @param {string} holds @param {number[] | null} shape @param {string} [dtype] */
const tensor = (name, holds, shape, dtype = holds === "numbers" ? "float32" : holds) => ({ name, holds, shape, dtype, meaning: "", unit: "", values: "", labels: [] });
/** @param {any[]} inputs @returns {any} */
const signature = (...inputs) => ({ name: "serving_default", inputs, outputs: [], in_rows: true, independent: true, servable: true, why: "", padding: null });

/** The rows of a table, or the errors of those that are none. @param {any} asked @param {any} table */
function rows(asked, table) {
  const plan = planOf(asked, table.columns);
  return table.records.map((/** @type {any} */ record) => {
    try {
      return rowOf(plan, record, table.texts, true);
    } catch (error) {
      assert.ok(error instanceof BadRow);
      return error.message;
    }
  });
}

test("cells are values as those of CSV bodies are", () => {
  const asked = signature(tensor("x", "numbers", [-1]), tensor("n", "numbers", [-1, 1], "int64"), tensor("ok", "booleans", [-1]), tensor("text", "text", [-1]), tensor("words", "text", [-1, -1]), tensor("m", "numbers", [-1, 2, 2]));
  const table = ofCsv(['id,x,n,ok,text,words,m', '7,.5,007,True," a ","[""to"",""be""]","[1,2,3,4]"', '8,NaN,-3,0,"{""b64"": ""/w==""}",[],"[[1,2],[3,4]]"', "9,1e400,2,1,,[],[]"].join("\n"), "x.csv");
  assert.deepEqual(planOf(asked, table.columns).carried, ["id"]);
  assert.deepEqual(rows(asked, table), [
    { x: 0.5, n: 7, ok: true, text: " a ", words: ["to", "be"], m: [[1, 2], [3, 4]] },
    { x: "NaN", n: -3, ok: false, text: { b64: "/w==" }, words: [], m: [[1, 2], [3, 4]] },
    { x: "Infinity", n: 2, ok: true, text: "", words: [], m: [] },
  ]);
});

test("columns side by side are one input, in the order of their numbers", () => {
  const header = Array.from({ length: 12 }, (_, place) => `x_${11 - place}`).join(",");
  const asked = signature(tensor("x", "numbers", [-1, 12]));
  const table = ofCsv(`${header}\n${Array.from({ length: 12 }, (_, place) => 11 - place).join(",")}\n`, "x.csv");
  assert.deepEqual(rows(asked, table), [{ x: Array.from({ length: 12 }, (_, place) => place) }]);
  assert.deepEqual(rows(signature(tensor("x", "numbers", [-1, 2, 2])), ofCsv("x_1_1,x_0_0,x_0_1,x_1_0\n4,1,2,3\n", "x.csv")), [{ x: [[1, 2], [3, 4]] }]);
  assert.throws(() => planOf(asked, ["x_0", "x_2"]), (error) => error instanceof BrokenFile && /not all from x_0 on/.test(error.message));
});

test("a missing column is told with what there is, and what may be meant", () => {
  const asked = signature(tensor("question", "text", [-1]), tensor("text", "text", [-1]));
  assert.throws(() => planOf(asked, ["Qestion", "text", "id"]), (error) => error instanceof BrokenFile && /input “question”.*there are “Qestion”, “text”, “id”.*“Qestion” may be meant for question/.test(error.message));
  assert.equal(nearest("left_camera", ["LeftCamera", "right_camera"]), "LeftCamera");
  assert.equal(nearest("age", ["zip", "town"]), null);
});

test("a bad row has its reason, and the others are good", () => {
  const asked = signature(tensor("n", "numbers", [-1], "int64"), tensor("w", "numbers", [-1]));
  const told = rows(asked, ofCsv('n,w\n1,2\n1\n1,2,3\n,1\n1.5,1\n99999999999999999999,1\n1,two\n1,"[1"\n', "x.csv"));
  assert.deepEqual(told[0], { n: 1, w: 2 });
  const reasons = [/line 3 has 1 cell, the header has 2/, /line 4 has 3 cells/, /n has no value: “n” is empty/, /n is the text “1.5”; it takes int64/, /browser would round/, /w is the text “two”/, /w is no JSON/];
  reasons.forEach((reason, place) => assert.match(told[place + 1], reason));
});

test("columns and inputs may be called as something that every object has", () => {
  const asked = signature(tensor("constructor", "numbers", [-1]));
  const table = ofLines('{"constructor":1,"toString":"a","__proto__":"b"}\n{"id":1}\n', ["constructor"]);
  const [good, missing] = rows(asked, table);
  assert.deepEqual(Object.entries(good), [["constructor", 1]]);
  assert.match(missing, /constructor has no value: “constructor” is missing/);
  assert.deepEqual(["toString", "__proto__"].map((name) => table.records.map((record) => cellOf(record, name))), [["a", undefined], ["b", undefined]]);
});

test("a line that says the delimiter is none of the rows, but one of the file's lines", () => {
  const { records, columns } = ofCsv("sep=;\r\na;b\r\n1;2\r\n1\r\n", "x.csv");
  assert.deepEqual(columns, ["a", "b"]);
  assert.deepEqual(records.map(({ error }) => error), ["", "line 4 has 1 cell, the header has 2"]);
  assert.throws(() => ofCsv("sep=;\n", "x.csv"), /no header, and no row/);
});

test("JSON comes as lines, as a list, and as a body of predict", () => {
  const asked = signature(tensor("x", "numbers", [-1]));
  const expected = [{ x: 1 }, { x: 2 }];
  assert.deepEqual(rows(asked, ofLines('{"x":1,"id":"a"}\r\n\r\n{"id":"b","x":2}\n', ["x"])), expected);
  assert.deepEqual(rows(asked, ofWhole('[{"x":1},2]', ["x"])), expected);
  assert.deepEqual(rows(asked, ofLines('{"instances": [{"x": 1}, {"x": 2}]}', ["x"])), expected);
  assert.deepEqual(rows(asked, ofLines('{\n "instances": [\n  1, 2]\n}', ["x"])), expected);
  assert.deepEqual(rows(asked, ofRows([{ x: 1 }, { x: 2 }], ["x"])), expected);
  assert.deepEqual(rows(asked, ofLines('{"x":NaN,"id":"NaN \\"NaN"}\n{"x":-Infinity}', ["x"])), [{ x: "NaN" }, { x: "-Infinity" }]);
  const [good, broken, missing, empty] = rows(asked, ofLines('{"x":1}\n{"x":\n{"y":1}\n{"x":null}\n', ["x"]));
  assert.deepEqual(good, { x: 1 });
  assert.match(broken, /^line 2 is no JSON/);
  assert.match(missing, /x has no value: “x” is missing/);
  assert.match(empty, /null/);
});

test("files without rows, and with too many, are refused in words", () => {
  assert.throws(() => ofCsv("a,b\r\n", "x.csv"), /header, “a”, “b”, and no row/);
  assert.throws(() => ofCsv("a,a\n1,2\n", "x.csv"), /two columns are called “a”/);
  assert.throws(() => ofWhole("[]", ["x"]), /empty/);
  assert.throws(() => ofLines('{"a": 1', ["x"]), /begins as JSON/);
  assert.throws(() => ofWhole('{"inputs": {}}', ["x"]), /“inputs”.*a list of rows/);
  const lines = "1\n".repeat(MOST_ROWS);
  assert.equal(ofCsv(`x\n${lines}`, "x.csv").records.length, MOST_ROWS);
  assert.throws(() => ofCsv(`x\n${lines}1\n`, "x.csv"), TooManyRows);
  assert.throws(() => ofLines(`${lines}1\n`, ["x"]), TooManyRows);
});

test("numbers that a browser rounds are told", () => {
  assert.equal(ofLines('{"x":1,"id":9007199254740993}', ["x"]).notes.length, 1);
  assert.equal(ofLines('{"x":1,"id":9007199254740991}', ["x"]).notes.length, 0);
});
