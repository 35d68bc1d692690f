import assert from "node:assert/strict";
import { test } from "node:test";

import { keysOf, told } from "../../../../../../serving/gateway/page/static/model/table/cells.js";
import { toCsv, toJsonLines } from "../../../../../../serving/gateway/page/static/model/table/download.js";
import { keyOfText, sorted } from "../../../../../../serving/gateway/page/static/model/table/sorting.js";

/** @param {any} more @returns {any} */
const tensor = (more) => ({ name: "y", dtype: "float32", shape: [-1, 1], meaning: "", unit: "", values: "", labels: [], holds: "numbers", ...more });

test("numbers go as numbers, then words, and what is missing last, either way", () => {
  const texts = ["10", "b", "", "9", "-1", "a10", "a9", " ", "1e3"];
  assert.deepEqual(sorted(texts, keyOfText, false), ["-1", "9", "10", "1e3", "a9", "a10", "b", "", " "]);
  assert.deepEqual(sorted(texts, keyOfText, true), ["b", "a10", "a9", "1e3", "10", "9", "-1", "", " "]);
});

test("equal ones stay in order", () => {
  const items = Array.from({ length: 100 }, (_, place) => ({ place, key: place % 3 }));
  for (const descending of [false, true]) {
    const order = sorted(items, ({ key }) => key, descending);
    order.slice(1).forEach((item, at) => assert.ok(order[at].key !== item.key || order[at].place < item.place));
  }
});

test("chances go by the label that they favour, then by how much", () => {
  const output = tensor({ labels: ["no", "yes"], shape: [-1, 2], meaning: "the chances" });
  const values = [[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], undefined];
  assert.deepEqual(sorted(values, (value) => keysOf(output, value), false), [[0.8, 0.2], [0.3, 0.7], [0.1, 0.9], undefined]);
  assert.equal(told(output, [0.1, 0.9]), "yes · 90.0 %");
});

test("files have full values, and texts that no spreadsheet runs", () => {
  /** @type {any} */
  const signature = { in_rows: true, inputs: [], outputs: [tensor({ name: "d", shape: [-1, 2] }), tensor({ name: "t", holds: "text", shape: [-1] }), tensor({ name: "id", shape: [-1] })] };
  /** @type {any[]} */
  const items = [
    { record: { values: { id: "7", text: "=1+1" } }, prediction: { d: [0.1, 1 / 3], t: "@x", id: "NaN" }, error: "" },
    { record: { values: { id: "-8", text: 'a "b"\n' } }, prediction: null, error: "row, bad" },
  ];
  const { text, changed } = toCsv(signature, ["id", "text"], items);
  assert.equal(changed, 2);
  assert.equal(text, `id,text,d_0,d_1,t,answer_id,error\r\n7,'=1+1,0.1,0.3333333333333333,'@x,NaN,""\r\n-8,"a ""b""\n","","","","","row, bad"\r\n`);
  assert.deepEqual(toJsonLines(signature, ["id", "text"], items).trim().split("\n").map((line) => JSON.parse(line)), [
    { id: "7", text: "=1+1", d: [0.1, 1 / 3], t: "@x", answer_id: "NaN" },
    { id: "-8", text: 'a "b"\n', error: "row, bad" },
  ]);
});
