import assert from "node:assert/strict";
import { test } from "node:test";

import { quantile } from "../../../../../../serving/gateway/page/static/live/quantile.js";
import { ticks } from "../../../../../../serving/gateway/page/static/live/ticks.js";

/** @param {[number, number][]} pairs */
const buckets = (...pairs) => pairs.map(([most, count]) => ({ most, count }));

test("a quantile lies on the line between the bounds of its bucket, as Prometheus says", () => {
  const all = buckets([0.1, 10], [0.2, 30], [0.4, 40], [Infinity, 40]);
  assert.equal(quantile(all, 0.25)?.value, 0.1);
  assert.equal(Number(quantile(all, 0.5)?.value.toFixed(6)), 0.15);
  assert.equal(Number(quantile(all, 0.99)?.value.toFixed(6)), 0.392);
  assert.equal(quantile([...all].reverse(), 0.25)?.value, 0.1);
});

test("within the first bucket no more is known than its bound, and beyond the last one neither", () => {
  assert.deepEqual(quantile(buckets([0.1, 10], [Infinity, 10]), 0.5), { value: 0.05, within: "at most", bound: 0.1 });
  assert.deepEqual(quantile(buckets([0.1, 1], [10, 2], [Infinity, 10]), 0.99), { value: 10, within: "over", bound: 10 });
});

test("nothing counted has no quantile", () => {
  for (const all of [[], buckets([1, 0], [Infinity, 0]), buckets([1, 5]), buckets([Infinity, 5])]) assert.equal(quantile(all, 0.5), null);
});

test("counts that were told at different moments make no nonsense", () => {
  const told = quantile(buckets([0.1, 10], [0.2, 9], [Infinity, 10]), 0.99);
  assert.ok(told && told.value > 0 && told.value <= 0.1);
});

test("ticks are round, and reach over the most", () => {
  assert.deepEqual(ticks(0), [0, 0.25, 0.5, 0.75, 1]);
  assert.deepEqual(ticks(18), [0, 5, 10, 15, 20]);
  assert.deepEqual(ticks(0.00037), [0, 0.0001, 0.0002, 0.0003, 0.0004]);
  for (const most of [1e-9, 0.3, 1, 7, 99.9, 100, 12345, 8e12, NaN, Infinity, -1]) {
    const all = ticks(most);
    assert.ok(all.length >= 3 && all.length <= 7 && all[0] === 0, String(all));
    if (most > 0 && most < Infinity) assert.ok(all[all.length - 1] >= most * (1 - 1e-9));
  }
});
