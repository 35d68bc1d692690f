import assert from "node:assert/strict";
import { test } from "node:test";

import { changeInWords } from "../../../../../../serving/gateway/page/static/answer/answer.js";
import { range } from "../../../../../../serving/gateway/page/static/answer/pixels.js";
import { brief, headline, items, jsonHead, outputsWithChances, same, shown, words } from "../../../../../../serving/gateway/page/static/answer/shown.js";
import { cut } from "../../../../../../serving/gateway/page/static/core/cut.js";

/** A tensor of an output. */
function tensor(given = {}) {
  return { name: "y", dtype: "float32", shape: [-1], meaning: "", unit: "", values: "", labels: [], holds: "numbers", ...given };
}

/** A signature with these outputs. */
function signature(...outputs) {
  return { name: "s", inputs: [], outputs, servable: true, in_rows: true, independent: true, why: "", padding: null };
}

const TEXT = { dtype: "string", holds: "text" };

test("one line says what matters, with unit and chance", () => {
  const digits = tensor({ labels: ["zero", "one", "two"], values: "0 to 1, a row sums to 1" });
  const cases = [
    [tensor({ unit: "years" }), [77.04646], "77.05 years"],
    [tensor({ unit: "metres, for cameras 0.1 m apart whose picture spans 53 degrees" }), 0.7, "0.7 metres"],
    [tensor({ unit: "that of x and y" }), 3, "3"],
    [tensor({ meaning: "the chance that both are alike" }), 0.98712, "98.7 %"],
    [tensor({ meaning: "the chance of 'male'", values: "0 to 1; above one half: male" }), [0.0327], "not male · 96.7 %"],
    [tensor({ meaning: "the chance of 'male'" }), 0.9999, "male · > 99.9 %"],
    [tensor({ values: "0 to 1" }), 1.5, "1.5"],
    [tensor({ values: "0 to 10" }), 0.5, "0.5"],
    [digits, [0.2, 0.7, 0.1], "one · 70.0 %"],
    [tensor({ labels: ["a", "b"], unit: "kg" }), [-3, -5], "a · −3 kg"],
    [tensor(), [0.1, 0.7, 0.2], "1 · 70.0 %"],
    [tensor(), [0.5, -0.866, -0.5], "0.5 · −0.866 · −0.5"],
    [tensor(), "NaN", "not a number"],
    [tensor(), ["-Infinity", "NaN"], "−infinite · not a number"],
    [tensor(), [1, 2, 3, 4, 5, 6, 7], "7 numbers, 1 to 7"],
    [tensor(TEXT), "NaN", "NaN"],
    [tensor(TEXT), "", "(an empty text)"],
    [tensor(TEXT), ["a", "b"], "a · b"],
    [tensor({ dtype: "bool", holds: "booleans" }), false, "no"],
    [tensor({ holds: "bytes" }), { b64: "iVBORw0KGgo=" }, "a PNG picture, 8 bytes"],
    [tensor({ holds: "bytes" }), { b64: "/wBB" }, "3 bytes"],
    [tensor(), [[1, 2], [3, 4]], "2 × 2 numbers"],
    [tensor(), [[1], [2, 3]], "[[1], [2, 3]]"],
    [tensor(), null, "null"],
    [tensor(), [], "[]"],
    [tensor({ holds: "other" }), { a: [true] }, '{"a": [true]}'],
  ];
  for (const [of, value, said] of cases) assert.equal(headline(of, value), said);
});

test("a text and its chance are told together", () => {
  const outputs = [tensor({ name: "income", ...TEXT }), tensor({ name: "income_probability", values: "0 to 1" }), tensor({ name: "age", unit: "years" })];
  const prediction = { age: 41, income: "40,000 to 49,999 a year", income_probability: 0.632 };
  assert.deepEqual(items(signature(...outputs), prediction).map((item) => item.name), ["income", "age"]);
  assert.equal(brief(signature(...outputs), prediction), "income: 40,000 to 49,999 a year · 63.2 %; age: 41 years");
  const other = { ...prediction, income_probability: "NaN" };
  assert.deepEqual(items(signature(...outputs), other).map((item) => item.name), ["income", "income_probability", "age"]);
});

test("an output that holds the chance of a text is one, though no card says so", () => {
  const outputs = outputsWithChances(signature(tensor({ name: "income", ...TEXT }), tensor({ name: "income_chance" }), tensor({ name: "age_chance" })));
  assert.deepEqual(outputs.map((output) => headline(output, 0.99999)), ["1", "> 99.9 %", "1"]);
});

test("what the signature does not know of is shown, and what is missing is not", () => {
  const told = items(signature(tensor({ name: "gone" })), { __proto__: null, more: { deep: [1] }, constructor: "x" });
  assert.deepEqual(told.map((item) => [item.name, words(item.shown)]), [["more", '{"deep": [1]}'], ["constructor", "x"]]);
  assert.equal(brief(signature(), {}), "");
});

test("bars come by size, those that are no number last, and equal ones in order", () => {
  const { bars } = shown(tensor({ labels: ["a", "b", "c", "d", "e"] }), [1, "NaN", 3, 1, "Infinity"]);
  assert.deepEqual(bars.map((bar) => bar.label), ["e", "c", "a", "d", "b"]);
});

test("a million numbers are bounded, and quick enough to wait for", () => {
  const many = Float32Array.from({ length: 1e6 }, (_, place) => (place * 7919) % 1e6);
  const values = [...many];
  const labels = values.map(String);
  const bars = shown(tensor({ labels }), values);
  assert.equal(bars.bars.length, 1000);
  assert.equal(bars.total, 1e6);
  assert.equal(bars.bars[0].value, 999999);
  assert.equal(shown(tensor(), values).kind, "strip");
  assert.equal(headline(tensor(), values), "1,000,000 numbers, 0 to 999,999");
  assert.ok(same(values, [...values]));
  const { text, whole } = jsonHead(values, 200);
  assert.ok(!whole && text.length === 201);
});

test("rows of columns are tables, and heights by widths by colours are pictures", () => {
  const table = shown(tensor({ labels: ["a", "b"], values: "0 to 1" }), [[0.1, 0.9], [0.5, 0.5]]);
  assert.deepEqual(table, { kind: "table", labels: ["a", "b"], chances: true, rows: [[0.1, 0.9], [0.5, 0.5]] });
  const grey = Array.from({ length: 4 }, () => Array.from({ length: 5 }, () => [16]));
  const picture = shown(tensor(), [grey]);
  assert.deepEqual({ ...picture, values: picture.values.length }, { kind: "picture", height: 4, width: 5, channels: 1, values: 20 });
  assert.equal(shown(tensor(), Array.from({ length: 3 }, () => [[1, 2], [3, 4]])).kind, "json");
});

test("pixels are bytes by what their numbers mean", () => {
  assert.deepEqual(range([0, 0.5, 1]), { from: 0, to: 1 });
  assert.deepEqual(range([0, 200]), { from: 0, to: 255 });
  assert.deepEqual(range([0, 16]), { from: 0, to: 16 });
  assert.deepEqual(range([-1, 1]), { from: -1, to: 1 });
});

test("JSON is cut where it is too long, however deep", () => {
  assert.deepEqual(jsonHead({ a: [1, "x", null] }, 100), { text: '{"a": [1, "x", null]}', whole: true });
  let deep = [];
  for (let depth = 0; depth < 1000; depth += 1) deep = [deep];
  assert.ok(jsonHead(deep, 1000).text.includes("…"));
  assert.deepEqual(jsonHead("x".repeat(1e6), 10), { text: '"xxxxxxxxx…', whole: false });
});

test("two answers are the same as far as float32 can say", () => {
  assert.ok(same([0.1, "NaN", { b64: "AA==" }], [0.10000000149, "NaN", { b64: "AA==" }]));
  for (const [a, b] of [[1, 1.1], [[1], [1, 2]], ["a", "b"], [1, "1"], [{ b64: "AA==" }, { b64: "AQ==" }], [null, 0]]) assert.ok(!same(a, b));
});

test("what has changed is said in words", () => {
  const chance = tensor({ meaning: "the chance that both are alike" });
  const labelled = tensor({ labels: ["a", "b"], values: "0 to 1" });
  const text = (said, value) => ({ ...shown(tensor(TEXT), said), chance: value });
  const cases = [
    [shown(tensor({ unit: "years" }), 77), shown(tensor({ unit: "years" }), 72.5), "▲ more by 4.5: before 72.5 years"],
    [shown(chance, 0.2), shown(chance, 0.6), "▼ less by 40.0 points: before 60.0 %"],
    [shown(labelled, [0.9, 0.1]), shown(labelled, [0.8, 0.2]), "The same answer; ▲ more by 10.0 points: before 80.0 %"],
    [shown(labelled, [0.9, 0.1]), shown(labelled, [0.2, 0.8]), "Changed: before b · 80.0 %"],
    [text("cat", 0.9), text("cat", 0.5), "The same answer; its chance ▲ more by 40.0 points: before 50.0 %"],
    [text("cat", 0.9), text("dog", 0.5), "Changed: before dog · 50.0 %"],
    [shown(tensor(), "NaN"), shown(tensor(), 1), "Changed: before 1"],
  ];
  for (const [now, before, said] of cases) assert.equal(changeInWords(now, before), said);
});

test("a chance that rounding puts beyond 1 leaves none for the other answer, and not less", () => {
  const told = shown({ name: "p", dtype: "float32", shape: [-1, 1], meaning: "the chance of 'spam'", unit: "", values: "0 to 1", labels: [], holds: "numbers" }, [1.0000001]);
  assert.deepEqual(told.bars.map(({ label, value }) => [label, value]), [["spam", 1.0000001], ["not spam", 0]]);
});

test("a text is cut between its characters", () => assert.equal(cut("ab😀cd", 4), "ab…"));

test("an answer that is the same while others change is not more by nothing", () => {
  const bars = (...values) => ({ kind: "bars", chances: true, unit: "", total: 3, bars: values.map((value, place) => ({ label: "abc"[place], value })) });
  assert.equal(changeInWords(bars(0.5, 0.3, 0.2), bars(0.5, 0.25, 0.25)), "The same answer; 50.0 % as before, other numbers differ");
});
