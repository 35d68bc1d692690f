/** Many rows are asked about in one request, in fewer at a time where that is too much, and alone where rows depend on each other. */
import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import { createServer } from "node:http";
import { after, before, beforeEach, test } from "node:test";

globalThis.crypto ??= webcrypto;
globalThis.sessionStorage = { getItem: () => null };
const { run } = await import("../../../../../serving/gateway/page/static/model/try/influence/run.js");

const real = globalThis.fetch;
/** Of each request: how many rows, and whether it asked to be alone. */
let asked;
let underWay;
let most;
/** What the server says to rows: status, or 200 for an answer. */
let judge;

const server = createServer((request, response) => {
  const chunks = [];
  underWay += 1;
  most = Math.max(most, underWay);
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const { instances } = JSON.parse(Buffer.concat(chunks).toString());
    asked.push([instances.length, request.headers["x-signet-batching"] === "off"]);
    const status = judge(instances.map(({ x }) => x));
    setImmediate(() => {
      underWay -= 1;
      response.writeHead(status, { "Content-Type": "application/json" });
      response.end(JSON.stringify(status === 200 ? { predictions: instances.map(({ x }) => ({ y: 2 * x })) } : { error: `said ${status}` }));
    });
  });
});

before(async () => {
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  globalThis.fetch = (path, options) => real(`http://127.0.0.1:${server.address().port}/${path}`, options);
});

after(() => {
  server.closeAllConnections();
  server.close();
});

beforeEach(() => {
  [asked, underWay, most, judge] = [[], 0, 0, () => 200];
});

function call(independent) {
  const tensor = { name: "y", holds: "numbers" };
  return { model: "m", signature: { name: "serving_default", inputs: [], outputs: [tensor], in_rows: true, independent } };
}

function rows(count) {
  return Array.from({ length: count }, (_, x) => ({ x }));
}

function ys(result) {
  return result.predictions.map((each) => each && each.y);
}

test("independent rows are one request", async () => {
  const progress = [];
  const result = await run(call(true), rows(201), new AbortController().signal, (done, of) => progress.push([done, of]));
  assert.deepEqual(asked, [[201, false]]);
  assert.deepEqual(ys(result), rows(201).map(({ x }) => 2 * x));
  assert.equal(result.requests, 1);
  assert.deepEqual(progress, [[0, 201], [201, 201]]);
});

test("rows that depend on each other are a request each, at most four at a time", async () => {
  const result = await run(call(false), rows(30), new AbortController().signal, () => {});
  assert.deepEqual(asked, new Array(30).fill([1, true]));
  assert.deepEqual(ys(result), rows(30).map(({ x }) => 2 * x));
  assert.ok(most <= 4, `${most} at a time`);
});

for (const status of [413, 504]) {
  test(`too much at once, ${status}, is asked in halves`, async () => {
    judge = (xs) => (xs.length > 5 ? status : 200);
    const result = await run(call(true), rows(10), new AbortController().signal, () => {});
    assert.deepEqual(asked.map(([many]) => many), [10, 5, 5]);
    assert.deepEqual(ys(result), rows(10).map(({ x }) => 2 * x));
    assert.match(result.note, new RegExp(`said ${status}`));
  });
}

test("a row that the model refuses is found, and the others answered", async () => {
  judge = (xs) => (xs.includes(6) ? 400 : 200);
  const result = await run(call(true), rows(9), new AbortController().signal, () => {});
  assert.deepEqual(ys(result), rows(9).map(({ x }) => (x === 6 ? null : 2 * x)));
});

test("a refused first row, or many refused ones, are an error in the server's words", async () => {
  judge = (xs) => (xs.includes(0) ? 400 : 200);
  await assert.rejects(run(call(true), rows(4), new AbortController().signal, () => {}), /said 400/);
  judge = (xs) => (xs.some((x) => x > 0) ? 400 : 200);
  asked = [];
  await assert.rejects(run(call(false), rows(100), new AbortController().signal, () => {}), /said 400/);
  assert.ok(asked.length < 20, `${asked.length} requests`);
});

test("other errors are not asked again", async () => {
  judge = () => 500;
  await assert.rejects(run(call(true), rows(4), new AbortController().signal, () => {}), /said 500/);
  assert.equal(asked.length, 1);
});

test("who cancels gets no more requests", async () => {
  const stop = new AbortController();
  const progress = (done) => done > 2 && stop.abort();
  await assert.rejects(run(call(false), rows(200), stop.signal, progress), { name: "AbortError" });
  assert.ok(asked.length < 12, `${asked.length} requests`);
});
