import assert from "node:assert/strict";
import { test } from "node:test";

import { flattened } from "../../../../../../../serving/gateway/page/static/model/about/facts.js";

test("nested facts become rows", () => {
  assert.deepEqual(flattened({ preset: "quick", recipe: { batch_rows: 32, by: true }, list: [1, "b"], none: null, empty: "", nested: [{ a: 1 }] }), [
    ["preset", "quick"],
    ["recipe, batch rows", "32"],
    ["recipe, by", "yes"],
    ["list", "1, b"],
    ["nested, 0, a", "1"],
  ]);
});
