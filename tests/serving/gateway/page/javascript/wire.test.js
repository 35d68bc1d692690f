import assert from "node:assert/strict";
import { test } from "node:test";

import { bodyText, readAnswer } from "../../../../../serving/gateway/page/static/core/wire.js";

/** A signature with outputs of these dtypes. */
function signature(...dtypes) {
  return { outputs: dtypes.map((dtype) => ({ name: dtype, dtype })) };
}

test("whole numbers of 64 bits keep their digits, and nothing else changes", () => {
  const text = String.raw`{"predictions":[{"id":-1253261109769874438,"ids":[9007199254740993,9007199254740991,1],"says":"\" 9007199254740993","x":0.12345678901234567891,"y":1.2345678901234567e+30,"z":9007199254740993.0}]}`;
  const [{ id, ids, says, x, y, z }] = readAnswer(text, signature("float32", "int64")).predictions;
  assert.equal(id, "-1253261109769874438");
  assert.deepEqual(ids, ["9007199254740993", 9007199254740991, 1]);
  assert.equal(says, '" 9007199254740993');
  assert.deepEqual([x, y, z], [0.12345678901234568, 1.2345678901234567e30, 9007199254740992]);
});

test("an answer without such outputs is read as it is", () => {
  assert.deepEqual(readAnswer('{"outputs": {"y": 9007199254740992}}', signature("float32")), { outputs: { y: 9007199254740992 } });
});

/** A signature with one input of each kind. */
const SIGNATURE = {
  inputs: [
    { name: "x", dtype: "float32", holds: "numbers" },
    { name: "n", dtype: "int64", holds: "numbers" },
    { name: "t", dtype: "string", holds: "text" },
  ],
};

test("zero keeps its minus where the dtype has one, and no words of a text are numbers", () => {
  const row = { x: [-0, 0, "NaN"], n: -0, t: "NaN" };
  assert.equal(bodyText({ instances: [row] }, SIGNATURE), '{"instances":[{"x":[-0.0,0,NaN],"n":0,"t":"NaN"}]}');
  assert.equal(bodyText({ inputs: { x: [[-0]] } }, SIGNATURE), '{"inputs":{"x":[[-0.0]]}}');
  assert.equal(bodyText({ inputs: { x: 1, n: -0 } }, SIGNATURE), '{"inputs":{"x":1,"n":0}}');
});
