import assert from "node:assert/strict";
import { test } from "node:test";

import { difference } from "../../../../../../serving/gateway/page/static/model/compare/cards.js";
import { differences, differing, sentence } from "../../../../../../serving/gateway/page/static/model/compare/differences.js";
import { signatureChanges } from "../../../../../../serving/gateway/page/static/model/compare/signature_changes.js";

/** @param {string} name @param {any} [more] @returns {any} */
const tensor = (name, more = {}) => ({ name, dtype: "float32", shape: [-1, 1], meaning: "", unit: "", values: "", labels: [], holds: "numbers", ...more });

test("figures are apart as they are written, and what is not told by nothing", () => {
  assert.equal(difference("error", 3, 2), "\u22121");
  assert.equal(difference("accuracy", 0.9, 0.953), "+5.3 points");
  assert.equal(difference("parameters", 10, 1010), "+1,000");
  for (const missing of [null, undefined]) assert.equal(difference("error", 3, missing) + difference("error", missing, 3), "");
});

test("each kind of output says how it differs", () => {
  const chances = tensor("digit", { labels: ["zero", "one"], shape: [-1, 2] });
  const text = tensor("answer", { holds: "text" });
  /** @type {[any, any, any, string][]} */
  const table = [
    [tensor("age", { unit: "years" }), [31.2], [29.1], "age 2.1 years lower"],
    [tensor("age"), 1, 1.5, "age 0.5 higher"],
    [tensor("age"), [1], [1.000001], ""],
    [tensor("age"), ["NaN"], ["NaN"], ""],
    [tensor("age"), [1], ["NaN"], "age not a number instead of 1"],
    [chances, [0.9, 0.1], [0.2, 0.8], "digit one (80.0 %) instead of zero (90.0 %)"],
    [chances, [0.9, 0.1], [0.85, 0.15], "digit zero both times, 5 points lower"],
    [chances, [0.9, 0.1], [0.9, 0.1], ""],
    [tensor("v", { shape: [-1, 3] }), [1, 2, 3], [1, 2, 5], "v most at place 3 of 3: 5 instead of 3"],
    [tensor("v"), [1, 2], [1, 2, 3], "v has the shape (3) instead of (2)"],
    [text, "yes", "no", "answer “no” instead of “yes”"],
    [text, "yes", "yes", ""],
    [text, ["a", "b"], ["a", "c"], "answer at 1 of 2 places"],
  ];
  for (const [output, one, other, expected] of table) {
    const [found] = differences([output], { [output.name]: one }, { [output.name]: other });
    assert.deepEqual(found, { name: output.name, same: expected === "", text: expected });
  }
});

test("a sentence says which outputs differ, and which do not", () => {
  const outputs = [tensor("answer", { holds: "text" }), tensor("age", { unit: "years" }), tensor("old")];
  assert.equal(sentence(differences(outputs, { answer: "x", age: 3 }, { answer: "x", age: 1 }), "Version 1", "Version 2"), "Version 2 against version 1: age 2 years lower. Same: answer.");
  assert.equal(sentence(differences(outputs, { answer: "x" }, { answer: "x" }), "A", "B"), "Same answer: answer.");
  assert.equal(sentence(differences(outputs, { old: 1, age: 1 }, { age: 1 }), "A", "B"), "B against a: old is in the first answer only. Same: age.");
});

test("inputs that differ are found by name", () => {
  assert.deepEqual(differing([tensor("a"), tensor("b")], { a: [1], b: 2 }, { a: [1], b: 3 }), ["b"]);
});

test("what callers of one version would miss in the other comes first", () => {
  /** @param {string} name @param {any[]} inputs @param {any[]} outputs @returns {any} */
  const signature = (name, inputs, outputs) => ({ name, inputs, outputs });
  const before = [signature("serving_default", [tensor("x"), tensor("y")], [tensor("age"), tensor("old")]), signature("gone", [], [])];
  const after = [signature("serving_default", [tensor("x", { shape: [-1, 2] }), tensor("z")], [tensor("age"), tensor("new")])];
  assert.deepEqual(signatureChanges("version 1", before, "version 2", after), [
    { breaks: true, text: "serving_default: input x is float32 (any, 1) in version 1, float32 (any, 2) in version 2" },
    { breaks: true, text: "serving_default: input y is in version 1 only: calls that send it would be refused" },
    { breaks: true, text: "serving_default: input z is in version 2 only: calls without it would be refused" },
    { breaks: true, text: "serving_default: output old is in version 1 only: its callers would miss it" },
    { breaks: true, text: "version 2 has no signature gone, which version 1 has: its callers would get an error" },
    { breaks: false, text: "serving_default: output new is in version 2 only" },
  ]);
  assert.deepEqual(signatureChanges("a", before, "b", before), []);
});
