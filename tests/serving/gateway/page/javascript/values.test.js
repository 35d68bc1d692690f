import assert from "node:assert/strict";
import { test } from "node:test";

import { fitsShape, flat, isNest, kindOf, nested, padSides, sizes } from "../../../../../serving/gateway/page/static/core/values.js";

/** A tensor of a card. */
function tensor(shape, holds = "numbers", more = {}) {
  return { name: "x", dtype: "float32", shape, meaning: "", unit: "", values: "", labels: [], holds, ...more };
}

const PICTURE = { meaning: "a picture of 8 x 8 pixels" };

for (const [shape, holds, more, kind] of [
  [[-1], "text", {}, "text"],
  [[-1, 1], "text", {}, "text"],
  [[-1, 3], "text", {}, "json"],
  [[-1], "bytes", {}, "picture"],
  [[-1], "booleans", {}, "boolean"],
  [[-1, 3], "booleans", {}, "json"],
  [[-1], "numbers", {}, "number"],
  [[-1, 1], "numbers", {}, "number"],
  [[-1, 7], "numbers", {}, "grid"],
  [[-1, -1], "numbers", {}, "grid"],
  [[-1, 4, 5], "numbers", {}, "grid"],
  [[-1, -1, 5], "numbers", {}, "grid"],
  [[-1, 64], "numbers", {}, "grid"], // facts of a customer
  [[-1, 64], "numbers", PICTURE, "pad"],
  [[-1, 8, 8], "numbers", {}, "grid"],
  [[-1, 8, 8], "numbers", PICTURE, "pad"],
  [[-1, 28, 28, 1], "numbers", {}, "pad"],
  [[-1, 64, 64, 1], "numbers", {}, "pixels"],
  [[-1, 64, 64], "numbers", PICTURE, "pixels"],
  [[-1, -1, -1, 3], "numbers", {}, "pixels"],
  [[-1, 4, 4, 3], "numbers", {}, "json"],
  [[-1, -1, 128], "numbers", {}, "json"],
  [[-1, 500], "numbers", {}, "json"],
  [[-1, 2, 2, 2], "numbers", {}, "json"],
  [[-1, 0], "numbers", {}, "json"],
  [null, "numbers", {}, "json"],
  [[-1], "other", {}, "json"],
]) {
  test(`the editor of ${holds} ${JSON.stringify(shape)}${more.meaning ? " of a picture" : ""} is ${kind}`, () => {
    assert.equal(kindOf(tensor(shape, holds, more), true), kind);
  });
}

test("columns have the axis of rows in their shape", () => {
  assert.equal(kindOf(tensor([-1], "text"), false), "json");
  assert.equal(kindOf(tensor([-1]), false), "grid");
  assert.equal(kindOf(tensor([]), false), "number");
});

test("a pad has the sides of its picture", () => {
  assert.deepEqual(padSides([64]), [8, 8]);
  assert.deepEqual(padSides([8, 8, 1]), [8, 8]);
  assert.deepEqual(padSides([6, 10]), [6, 10]);
  for (const shape of [[65], [8, 8, 3], [-1, 8], [5, 5], [64, 64], []]) assert.equal(padSides(shape), null);
});

test("nested lists are flat again", () => {
  for (const shape of [[3], [2, 3], [2, 3, 4], [1, 1]]) {
    const list = Array.from({ length: shape.reduce((product, size) => product * size, 1) }, (_, place) => place);
    const value = nested(list, shape);
    assert.deepEqual(flat(value), list);
    assert.deepEqual(sizes(value), shape);
    assert.ok(isNest(value, shape, (each) => typeof each === "number"));
  }
  assert.equal(nested([7], []), 7);
});

test("uneven lists are no nest", () => {
  assert.ok(!isNest([[1], [1, 2]], [2, 1], () => true));
  assert.ok(!isNest([1, [2]], [2], (each) => typeof each === "number"));
  assert.ok(fitsShape([3, 5], [-1, 5]));
  assert.ok(!fitsShape([3, 5], [3]));
});
