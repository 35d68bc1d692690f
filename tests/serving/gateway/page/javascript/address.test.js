import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { LONGEST, format, parse, update } from "../../../../../serving/gateway/page/static/core/address.js";

/** @type {string[]} */
let written;

beforeEach(() => {
  written = [];
  globalThis.history = { replaceState: (_state, _title, hash) => written.push(hash) };
});

test("a hash says path and query", () => {
  const { path, query } = parse("#/models/digits/try?signature=from_text&row=%7B%22a%22%3A1%7D");
  assert.deepEqual(path, ["models", "digits", "try"]);
  assert.deepEqual([...query], [["signature", "from_text"], ["row", '{"a":1}']]);
});

test("nothing is the start", () => {
  for (const hash of ["", "#", "#/", "/"]) assert.deepEqual(parse(hash), { path: [], query: new Map() });
  assert.equal(format([]), "#/");
});

test("whatever is written is read again", () => {
  const awkward = ["a b", "50 %", "%41", "a/b", "a?b", "a#b", "a&b=c", "a+b", "ü–😀", '{"text": "?"}', "'"];
  for (const name of awkward) {
    const query = new Map([["row", name], [name, "x"]]);
    const hash = format(["models", name, "try"], query);
    assert.match(hash, /^#[\x21-\x7e]+$/);
    assert.deepEqual(parse(hash), { path: ["models", name, "try"], query });
  }
});

test("a stray % stays as it was typed", () => {
  assert.deepEqual(parse("#/models/50%").path, ["models", "50%"]);
});

test("an update is written, and an empty value goes away", () => {
  const address = parse("#/models/digits?signature=a&version=2");
  assert.equal(update(address, { signature: "b", version: "" }), true);
  assert.deepEqual(written, ["#/models/digits?signature=b"]);
  assert.deepEqual([...address.query], [["signature", "b"]]);
});

test("what would make the URL too long is left out", () => {
  const address = parse("#/models/digits?signature=a");
  assert.equal(update(address, { row: "x".repeat(LONGEST) }), false);
  assert.deepEqual(written, ["#/models/digits?signature=a"]);
  assert.equal(address.query.has("row"), false);
});
