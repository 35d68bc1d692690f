import assert from "node:assert/strict";
import { test } from "node:test";

import { parts } from "../../../../../serving/gateway/page/static/model/try/time/time.js";

/** Names and milliseconds. */
function told(ms, stages) {
  return parts({ ms, stages: Object.entries(stages).map(([name, each]) => ({ name, ms: each })) }).map((part) => [part.name, part.ms]);
}

test("what no stage has is the server's rest, and what the server has not is between", () => {
  assert.deepEqual(told(10, { read: 1, model: 2, total: 4 }), [["read", 1], ["model", 2], ["the server's rest", 1], ["between", 6]]);
});

test("without a total the stages are all that the server says", () => {
  assert.deepEqual(told(10, { model: 2 }), [["model", 2], ["between", 8]]);
  assert.deepEqual(told(10, {}), [["between", 10]]);
});

test("clocks that differ make no part negative, and shares are of all", () => {
  assert.deepEqual(told(3, { model: 5, total: 4.9 }), [["model", 5], ["between", 0]]);
  const shares = parts({ ms: 0, stages: [] }).map((part) => part.share);
  assert.deepEqual(shares, [0]);
});
