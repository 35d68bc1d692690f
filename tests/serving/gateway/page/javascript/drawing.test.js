import assert from "node:assert/strict";
import { test } from "node:test";

import { penRadius, stroke } from "../../../../../serving/gateway/page/static/form/drawing.js";

const BLANK = new Array(64).fill(0);
const RADIUS = penRadius(8, 8);

test("a line down the middle of a column fills it, softly on both sides", () => {
  const ink = stroke(BLANK, 8, [3.5, 2], [3.5, 6], RADIUS, false);
  const row = ink.slice(4 * 8, 5 * 8);
  assert.equal(row[3], 1);
  assert.ok(row[2] > 0 && row[2] < 1 && row[2] === row[4], String(row));
  assert.deepEqual([row[0], row[1], row[5], row[6], row[7]], [0, 0, 0, 0, 0]);
  assert.deepEqual(ink.slice(0, 8), new Array(8).fill(0));
  assert.deepEqual(BLANK, new Array(64).fill(0));
});

test("a pen that passes twice adds nothing", () => {
  const once = stroke(BLANK, 8, [1, 1], [6, 6], RADIUS, false);
  assert.deepEqual(stroke(once, 8, [6, 6], [1, 1], RADIUS, false), once);
});

test("the eraser takes away what the pen covers", () => {
  const full = new Array(64).fill(1);
  const ink = stroke(full, 8, [3.5, 3.5], [3.5, 3.5], RADIUS, true);
  assert.equal(ink[3 * 8 + 3], 0);
  assert.ok(ink[3 * 8 + 2] > 0 && ink[3 * 8 + 2] < 1);
  assert.equal(ink[0], 1);
});

test("all shares lie between none and all, also off the paper", () => {
  for (const [from, to] of [[[-5, -5], [12, 12]], [[8, 0], [0, 8]], [[100, 100], [100, 100]]]) {
    for (const share of stroke(BLANK, 8, from, to, RADIUS, false)) assert.ok(share >= 0 && share <= 1);
  }
});
