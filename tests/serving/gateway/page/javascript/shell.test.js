import assert from "node:assert/strict";
import { test } from "node:test";

import { shellWord } from "../../../../../serving/gateway/page/static/core/shell.js";

test("a word stays one, and no name becomes another command", () => {
  assert.equal(shellWord("team/two-cameras_2.1"), "team/two-cameras_2.1");
  assert.equal(shellWord("a; rm -rf ~"), "'a; rm -rf ~'");
  assert.equal(shellWord("it's $(x)"), "'it'\\''s $(x)'");
  assert.equal(shellWord(""), "''");
});
