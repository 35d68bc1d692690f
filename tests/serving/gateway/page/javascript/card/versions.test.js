import assert from "node:assert/strict";
import { test } from "node:test";

import { shortened } from "../../../../../../serving/gateway/page/static/card/shortened.js";
import { phrase } from "../../../../../../serving/gateway/page/static/card/tensors.js";
import { inWords, labelsInWords, stateOf } from "../../../../../../serving/gateway/page/static/card/versions.js";

const version = (number, state = "AVAILABLE", error = "") => ({ version: number, state, error });
const said = (...versions) => inWords(versions).map((each) => each.text);

test("versions that are available are told together", () => {
  assert.deepEqual(said(version(1)), ["Version 1 is available"]);
  assert.deepEqual(said(version(2), version(1)), ["Versions 2 and 1 are available"]);
  assert.deepEqual(said(version(3), version(2), version(1)), ["Versions 3, 2 and 1 are available"]);
  const many = Array.from({ length: 100 }, (_, place) => version(100 - place));
  assert.deepEqual(said(...many), ["Versions 100, 99, 98, 97 and 96 more are available"]);
});

test("each state has its words, and an error its reason", () => {
  for (const [state, text, kind] of [
    ["START", "Version 1 waits to be loaded", "waiting"],
    ["LOADING", "Version 1 is loading", "waiting"],
    ["AVAILABLE", "Version 1 is available", "good"],
    ["UNLOADING", "Version 1 is being unloaded", "gone"],
    ["END", "Version 1 is not served any more", "gone"],
  ]) {
    assert.deepEqual(stateOf(version(1, state)), { text, kind });
  }
  assert.deepEqual(stateOf(version(1, "END", "no SavedModel")), { text: "Version 1 failed: no SavedModel", kind: "bad" });
  assert.equal(stateOf(version(1, "AVAILABLE", "it is cut off")).text, "Version 1 is available; what has replaced it on disk is not: it is cut off");
});

test("what has gone is of interest only while nothing is available", () => {
  assert.deepEqual(said(version(2), version(1, "END")), ["Version 2 is available"]);
  assert.deepEqual(said(version(1, "END")), ["Version 1 is not served any more"]);
  assert.deepEqual(said(version(3, "END", "bad"), version(2)), ["Version 2 is available", "Version 3 failed: bad"]);
  assert.deepEqual(said(), ["It has no version now"]);
});

test("a hundred failures are some, and a number", () => {
  const many = Array.from({ length: 100 }, (_, place) => version(place, "END", "bad"));
  assert.equal(said(...many).length, 5);
  assert.equal(said(...many)[4], "and 96 more");
});

test("labels say their versions", () => {
  assert.deepEqual(labelsInWords({ stable: 1, canary: 2 }), ["stable is version 1", "canary is version 2"]);
});

test("a tensor is told by its meaning and unit, or by its type", () => {
  const tensor = { name: "x", dtype: "float32", shape: null, meaning: "how far", unit: "metres", values: "", labels: [], holds: /** @type {const} */ ("numbers") };
  assert.equal(phrase(tensor), "how far (metres)");
  assert.equal(phrase({ ...tensor, unit: "" }), "how far");
  assert.equal(phrase({ ...tensor, meaning: "", unit: "" }), "float32");
  assert.equal(phrase({ ...tensor, meaning: "", unit: "", labels: ["a", "b"] }), "one of 2 labels");
});

test("long texts are cut between words, and never within a character", () => {
  assert.equal(shortened("one two three", 20), "one two three");
  assert.equal(shortened("one two three", 9), "one two…");
  assert.equal(shortened("x".repeat(100_000), 10), `${"x".repeat(9)}…`);
  assert.equal(shortened("abc😀def", 5), "abc…");
});
