import assert from "node:assert/strict";
import { test } from "node:test";

import { limited } from "../../../../../../serving/gateway/page/static/models/loading.js";

test("no more calls than that run at once, in order, whatever becomes of them", async () => {
  const few = limited(2);
  let running = 0;
  let most = 0;
  /** @type {number[]} */
  const begun = [];
  const call = (number) => few(async () => {
    begun.push(number);
    most = Math.max(most, (running += 1));
    await new Promise((resolve) => setImmediate(resolve));
    running -= 1;
    if (number % 3 === 0) throw new Error("bad");
    return number;
  });
  const ended = await Promise.allSettled(Array.from({ length: 20 }, (_, number) => call(number)));
  assert.equal(most, 2);
  assert.deepEqual(begun, [...begun].sort((a, b) => a - b));
  assert.deepEqual(ended.map((each) => each.status === "fulfilled"), Array.from({ length: 20 }, (_, number) => number % 3 !== 0));
});
