import assert from "node:assert/strict";
import { test } from "node:test";

import { inRange, rangeOf } from "../../../../../serving/gateway/page/static/core/range.js";
import { block, numberText, readJson, readNumber } from "../../../../../serving/gateway/page/static/core/written.js";

/** A tensor of a card. */
function tensor(shape, more = {}) {
  return { name: "x", dtype: "float32", shape, meaning: "", unit: "", values: "", labels: [], holds: "numbers", ...more };
}

for (const [text, dtype, value] of [
  ["1e-3", "float32", 0.001],
  [" 12. ", "float32", 12],
  [".5", "float32", 0.5],
  ["+4", "int32", 4],
  ["1e3", "int32", 1000],
  ["\u22122.5", "float32", -2.5],
  ["NaN", "float32", "NaN"],
  ["inf", "half", "Infinity"],
  ["-Infinity", "double", "-Infinity"],
  ["1e300", "double", 1e300],
  ["-128", "int8", -128],
]) {
  test(`${text} is a ${dtype}`, () => assert.equal(readNumber(text, dtype), value));
}

for (const [text, dtype, said] of [
  ["", "float32", /missing/],
  ["0x10", "float32", /"0x10" is no number/],
  ["1 2", "float32", /no number/],
  ["1,5", "float32", /after a point, 1\.5/],
  ["1.5", "int32", /no whole number, which int32 takes/],
  ["128", "int8", /from -128 to 127/],
  ["-1", "uint8", /from 0 to 255/],
  ["9007199254740993", "int64", /more digits/],
  ["99999999999999999999", "int64", /from -9223372036854775808 to 9223372036854775807/],
  ["NaN", "int32", /int32 has no NaN/],
  ["1e39", "float32", /beyond float32/],
  ["70000", "half", /beyond half/],
]) {
  test(`${text || "nothing"} is no ${dtype}`, () => assert.throws(() => readNumber(text, dtype), said));
}

test("numbers are read as they are shown", () => {
  const bits = new DataView(new ArrayBuffer(8));
  let state = 1;
  for (let round = 0; round < 2000; round += 1) {
    for (const at of [0, 4]) bits.setUint32(at, (state = (Math.imul(state, 1664525) + 1013904223) >>> 0));
    const value = bits.getFloat64(0);
    if (Number.isFinite(value)) assert.ok(Object.is(readNumber(numberText(value), "double"), value), numberText(value));
  }
  assert.ok(Object.is(readNumber(numberText(-0), "double"), -0));
});

test("any JSON is a value", () => {
  for (const value of [null, true, "a", { b64: "AA==" }, [[1, 2], [3, 4]], [], ["NaN"]]) assert.deepEqual(readJson(JSON.stringify(value), tensor([-1]), true), value);
});

test("bare words of JSON are words", () => {
  assert.deepEqual(readJson('[NaN, -Infinity, Infinity, 1]', tensor([-1, 4]), true), ["NaN", "-Infinity", "Infinity", 1]);
  assert.deepEqual(readJson('["say NaN", "a \\" NaN"]', tensor([-1, 4], { holds: "text" }), true), ["say NaN", 'a " NaN']);
});

test("lines of numbers are rows", () => {
  assert.deepEqual(readJson("1,2\n3,4\n", tensor([-1, -1, 2]), true), [[1, 2], [3, 4]]);
  assert.deepEqual(readJson("1\n2\n3", tensor([-1, 3]), true), [1, 2, 3]);
  assert.deepEqual(readJson("1;2;NaN", tensor([-1, 3]), true), [1, 2, "NaN"]);
  assert.deepEqual(readJson("1 2\n3 4\n5 6\n7 8", tensor([-1, 2, 2, 2]), true), [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]);
  assert.deepEqual(readJson("1,2,3", tensor([-1, 3]), false), [[1, 2, 3]]);
});

test("what is neither says why", () => {
  assert.throws(() => readJson("[1, 2", tensor([-1]), true), /this is not JSON: /);
  assert.throws(() => readJson("a,b", tensor([-1]), true), /this is not JSON: /);
  assert.throws(() => readJson("1,2", tensor([-1], { holds: "text" }), true), /this is not JSON: /);
  assert.throws(() => readJson(" ", tensor([-1]), true), /missing/);
  assert.throws(() => readJson("[9007199254740993]", tensor([-1, 1], { dtype: "int64" }), true), /without loss/);
});

test("a block has cells", () => {
  assert.deepEqual(block("1\t2\r\n3\t4\r\n"), [["1", "2"], ["3", "4"]]);
  assert.deepEqual(block("1, 2,3"), [["1", "2", "3"]]);
  assert.deepEqual(block("1;2"), [["1", "2"]]);
  assert.deepEqual(block("7"), [["7"]]);
});

for (const [values, range] of [
  ["0 (paper) to 16 (ink)", [0, 16]],
  ["0 to 255", [0, 255]],
  ["0 to 1, a row sums to 1", [0, 1]],
  ["-1 to 1", [-1, 1]],
  ["0–255", [0, 255]],
  ["between 0.5 and 2", [0.5, 2]],
  ["0 or 1; zeros: padding", [0, 1]],
  ["any number", [0, 1]],
]) {
  test(`the range of "${values}"`, () => assert.deepEqual(rangeOf(tensor([-1, 64], { values }), [], [0, 1]), range));
}

test("without words the range is that of known values, or of the dtype", () => {
  assert.deepEqual(rangeOf(tensor([-1, 64]), [[0, 3, 0.5], [16, 2]], [0, 1]), [0, 16]);
  assert.deepEqual(rangeOf(tensor([-1, 64]), [[0, 0.97]], [0, 1]), [0, 1]);
  assert.deepEqual(rangeOf(tensor([-1, 64]), [[3, 251]], [0, 1]), [0, 255]);
  assert.deepEqual(rangeOf(tensor([-1, 64], { dtype: "uint8" }), [], [0, 1]), [0, 255]);
  assert.deepEqual(rangeOf(tensor([-1, 64]), [], [0, 255]), [0, 255]);
});

test("a share of a range is whole where there are steps enough", () => {
  assert.equal(inRange(0.3, [0, 16], "float32"), 5);
  assert.equal(inRange(1 / 3, [0, 1], "float32"), 0.333);
  assert.equal(inRange(0.7, [0, 1], "int32"), 1);
  assert.equal(inRange(0, [-1, 1], "float32"), -1);
});

test("whole numbers that would lose digits are refused in lines, too", () => {
  const ids = { name: "ids", dtype: "int64", shape: [-1, -1], meaning: "", unit: "", values: "", labels: [], holds: "numbers" };
  assert.throws(() => readJson("9007199254740993,1", ids, true), /more digits/);
  assert.deepEqual(readJson("9007199254740991,1", ids, true), [9007199254740991, 1]);
});
