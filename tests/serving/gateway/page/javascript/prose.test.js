import assert from "node:assert/strict";
import { test } from "node:test";

import { pieces } from "../../../../../serving/gateway/page/static/core/prose.js";

/** Code stands in brackets. */
function told(text) {
  return pieces(text).map((piece) => (piece.code ? `[${piece.text}]` : piece.text)).join("");
}

for (const [text, shown] of [
  ["`from_text` needs none", "[from_text] needs none"],
  ["of `a` or `b`", "of [a] or [b]"],
  ["``", "``"],
  ["5` of 6", "5` of 6"],
  ["`a` and `", "[a] and `"],
  ["`a\nb`", "`a\nb`"],
  ["`<b>`", "[<b>]"],
  ["", ""],
]) {
  test(`${JSON.stringify(text)} is shown as ${JSON.stringify(shown)}`, () => assert.equal(told(text), shown));
}
