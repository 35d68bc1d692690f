import assert from "node:assert/strict";
import { test } from "node:test";

import { FieldError } from "../../../../../serving/gateway/page/static/form/editor.js";
import { cellsOf, grown, pasted, used, valueOf } from "../../../../../serving/gateway/page/static/form/table.js";

let state = 7;

/** A whole number below another, the same ones in each run. */
function below(most) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state % most;
}

/** Nested lists of numbers. */
function filled(shape) {
  if (shape.length === 0) return [0, -0, 1.5, 1e-7, 123456, "NaN", "-Infinity"][below(7)];
  return Array.from({ length: shape[0] }, () => filled(shape.slice(1)));
}

test("a value is the same after it has been in cells", () => {
  for (let round = 0; round < 500; round += 1) {
    const lengths = below(2) ? [1 + below(20)] : [1 + below(9), 1 + below(9)];
    const shape = lengths.map((size) => (below(2) ? -1 : size));
    const value = filled(lengths);
    const cells = cellsOf(value, shape);
    assert.ok(cells);
    assert.deepEqual(valueOf(cells, shape, "double"), value);
  }
});

test("nothing is an empty list where the length is open", () => {
  assert.deepEqual(valueOf(cellsOf([], [-1]), [-1], "float32"), []);
  assert.deepEqual(valueOf(cellsOf([], [-1, 3]), [-1, 3], "float32"), []);
  assert.deepEqual(valueOf(cellsOf([], [-1, -1]), [-1, -1], "float32"), []);
});

test("what is no grid has no cells", () => {
  for (const value of [1, "a", null, [[1], [1, 2]], [1, null], ["a"], [true], [[]], [[[1]]]]) assert.equal(cellsOf(value, [-1]) && cellsOf(value, [-1, -1]), null);
  assert.equal(cellsOf([1, 2], [3]), null);
  assert.equal(cellsOf(new Array(401).fill(0), [-1]), null);
});

test("an open length has always one more place than is filled", () => {
  assert.deepEqual(grown([], [-1]), [[""]]);
  assert.deepEqual(grown([["1", "2"]], [-1]), [["1", "2", ""]]);
  assert.deepEqual(grown([["1", "", "", ""]], [-1]), [["1", ""]]);
  assert.deepEqual(grown([["1", "2"]], [-1, 2]), [["1", "2"], ["", ""]]);
  assert.deepEqual(grown([["1"]], [-1, -1]), [["1", ""], ["", ""]]);
  assert.deepEqual(grown([], [2, 2]), [["", ""], ["", ""]]);
  assert.deepEqual(used([["1", ""], ["", ""]], [-1, -1]), [1, 1]);
});

test("a full grid is full", () => {
  assert.deepEqual(used(grown([new Array(400).fill("1")], [-1]), [-1]), [1, 400]);
  assert.equal(grown([new Array(400).fill("1")], [-1])[0].length, 400);
});

test("a block is put in from a place on", () => {
  assert.deepEqual(pasted(grown([], [-1, 3]), [-1, 3], [0, 0], [["1", "2", "3"], ["4", "5", "6"]]), [["1", "2", "3"], ["4", "5", "6"], ["", "", ""]]);
  assert.deepEqual(pasted(grown([["1", "2"]], [-1]), [-1], [0, 1], [["7"], ["8"], ["9"]]), [["1", "7", "8", "9", ""]]);
  assert.equal(pasted(grown([], [2, 2]), [2, 2], [1, 0], [["1"], ["2"]]), null);
  assert.equal(pasted(grown([], [-1]), [-1], [0, 0], [new Array(401).fill("1")]), null);
});

test("a wrong cell is named with its place", () => {
  assert.throws(() => valueOf([["1", "x"], ["2", "3"]], [2, 2], "float32"), (error) => {
    assert.ok(error instanceof FieldError);
    assert.match(error.message, /row 1, column 2: "x" is no number/);
    assert.deepEqual(error.place, [0, 1]);
    return true;
  });
  assert.throws(() => valueOf([["1", "", "3", ""]], [-1], "float32"), /place 2: a number is missing here/);
  assert.throws(() => valueOf([["", ""]], [2], "float32"), /place 1/);
});
