import assert from "node:assert/strict";
import { test } from "node:test";

import { carried, namedInput, readRow } from "../../../../../serving/gateway/page/static/core/row.js";

/** A signature with these inputs. */
function signature(name, inputs, in_rows = true) {
  const told = Object.entries(inputs).map(([input, [holds, shape]]) => ({ name: input, dtype: "", shape, meaning: "", unit: "", values: "", labels: [], holds }));
  return { name, inputs: told, outputs: [], servable: true, in_rows, independent: true, why: "", padding: null };
}

const TEXTS = signature("from_text", { text: ["text", [-1]], question: ["text", [-1]] });

for (const [message, found] of [
  ["input 'text' has shape (1, 3); the model takes (None, 64)", { name: "text", place: [] }],
  ["input 'question'[0][12] is the string \"a\"; the model takes numbers (float)", { name: "question", place: [0, 12] }],
  ["'instances'[0]: missing input 'question'. Signature 'from_text' takes: text: string (None,)", { name: "question", place: [] }],
  ["missing inputs 'question', 'text'", { name: "question", place: [] }],
  ["row 0: input 'text'[3] is null", { name: "text", place: [3] }],
  ["input 'question'[0] is the string \"input 'text'\"; the model takes", { name: "question", place: [0] }],
  ["input 'tex' is unknown", null],
  ["the server is overloaded", null],
]) {
  test(`${message.slice(0, 40)} names ${found?.name ?? "none"}`, () => assert.deepEqual(namedInput(message, ["text", "question"]), found));
}

test("names are quoted as Python does it", () => {
  assert.equal(namedInput('input "it\'s"[1] is', ["it's"])?.name, "it's");
  assert.equal(namedInput("input 'a\\\\b' is", ["a\\b"])?.name, "a\\b");
  assert.equal(namedInput("input '\"\\'' is", ["\"'"])?.name, "\"'");
});

test("a link's row is taken, and what is wrong with it is told", () => {
  assert.deepEqual(readRow(undefined, TEXTS), { row: null, problem: "" });
  assert.deepEqual(readRow('{"text":"a","question":"b"}', TEXTS), { row: { text: "a", question: "b" }, problem: "" });
  assert.match(readRow('{"text":', TEXTS).problem, /not JSON/);
  assert.match(readRow("[1]", TEXTS).problem, /no object/);
  assert.match(readRow("null", TEXTS).problem, /no object/);
  const odd = readRow('{"text":"a","qustion":"b"}', TEXTS);
  assert.deepEqual(odd.row, { text: "a" });
  assert.match(odd.problem, /"qustion", which from_text does not take/);
});

test("another signature takes what is edited in the same way", () => {
  const numbers = signature("serving_default", { text: ["numbers", [-1, -1]], question: ["text", [-1]] });
  assert.deepEqual(carried({ text: "a", question: "b" }, TEXTS, numbers), { question: "b" });
  assert.deepEqual(carried({ text: "a" }, TEXTS, numbers), {});
  const columns = signature("all", { text: ["text", [-1]] }, false);
  assert.deepEqual(carried({ text: "a" }, TEXTS, columns), {});
});
