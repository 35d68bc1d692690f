import assert from "node:assert/strict";
import { test } from "node:test";

import { askAll, chunksOf, Stopped } from "../../../../../../serving/gateway/page/static/model/table/asking.js";

/** @param {number} status @param {string} [message] */
const failure = (status, message = `status ${status}`) => Object.assign(new Error(message), { status });
/** @param {number} count @returns {any[]} */
const numbered = (count) => Array.from({ length: count }, (_, place) => ({ place: place + 1, row: { x: place + 1 } }));

/**
 * Asks an oracle for rows.
 * @param {any[]} rows
 * @param {(values: number[]) => void} check throws where it refuses
 * @param {AbortSignal} [signal]
 */
async function asked(rows, check, signal = new AbortController().signal) {
  const answers = new Map();
  const errors = new Map();
  /** @type {number[]} */
  const sizes = [];
  let inFlight = 0;
  let most = 0;
  const done = askAll(
    rows,
    {
      mostRows: 100,
      async ask(values) {
        sizes.push(values.length);
        inFlight += 1;
        most = Math.max(most, inFlight);
        await new Promise((resolve) => setImmediate(resolve));
        inFlight -= 1;
        check(values.map(({ x }) => /** @type {number} */ (x)));
        return values.map(({ x }) => ({ y: /** @type {number} */ (x) * 2 }));
      },
      answered: (place, prediction) => answers.set(place, prediction.y),
      refused: (place, error) => errors.set(place, error),
      waiting() {},
      pause: async () => {},
    },
    signal,
  );
  return { answers, errors, sizes, most: () => most, end: await done.then(() => null, (error) => error) };
}

test("all rows are asked, a hundred at a time, two in flight", async () => {
  const { answers, errors, sizes, most, end } = await asked(numbered(1010), () => {});
  assert.equal(end, null);
  assert.equal(answers.size, 1010);
  assert.ok([...answers].every(([place, value]) => value === place * 2));
  assert.equal(errors.size, 0);
  assert.equal(sizes.length, 11);
  assert.equal(most(), 2);
});

test("the bad rows are found, wherever they are, and no good one is lost", async () => {
  let seed = 4;
  for (let round = 0; round < 40; round += 1) {
    const bad = new Set(Array.from({ length: round % 9 }, () => (seed = (seed * 48271) % 2147483647) % 230 + 1));
    const { answers, errors, end, sizes } = await asked(numbered(230), (values) => {
      const found = values.find((value) => bad.has(value));
      if (found !== undefined) throw failure(400, `row ${found}`);
    });
    assert.equal(end, null);
    assert.deepEqual(new Set(errors.keys()), bad);
    assert.ok([...errors].every(([place, message]) => message === `row ${place}`));
    assert.equal(answers.size, 230 - bad.size);
    assert.ok(sizes.length <= 3 + bad.size * 16);
  }
});

test("where all rows fail it is not the rows", async () => {
  const { errors, sizes, end } = await asked(numbered(5000), () => {
    throw failure(400, "wrong shape");
  });
  assert.ok(end instanceof Stopped);
  assert.match(end.message, /wrong shape/);
  assert.ok(errors.size <= 52 && sizes.length < 300);
});

test("a busy server is asked again, one that is away is not", async () => {
  let tries = 0;
  const busy = await asked(numbered(1), () => {
    tries += 1;
    if (tries < 4) throw failure(429);
  });
  assert.equal(busy.answers.size, 1);
  const never = await asked(numbered(300), () => {
    throw failure(503, "no model server");
  });
  assert.ok(never.end instanceof Stopped);
  const away = await asked(numbered(300), () => {
    throw failure(0, "no answer");
  });
  assert.ok(away.end instanceof Stopped && away.sizes.length <= 2 && away.errors.size === 0);
});

test("it ends when it is told to, and answers that came stay", async () => {
  const stop = new AbortController();
  const { answers, end } = await asked(numbered(1000), (values) => values.includes(250) && stop.abort(), stop.signal);
  assert.equal(end, stop.signal.reason);
  assert.ok(answers.size >= 200 && answers.size < 1000);
});

test("large rows go in smaller requests", () => {
  const rows = Array.from({ length: 10 }, (_, place) => ({ place, row: { x: "a".repeat(200_000) } }));
  assert.deepEqual(chunksOf(rows, 100).map((chunk) => chunk.length), [2, 2, 2, 2, 2]);
  assert.deepEqual(chunksOf([], 100), []);
});
