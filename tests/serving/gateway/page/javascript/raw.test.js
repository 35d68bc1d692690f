import assert from "node:assert/strict";
import { test } from "node:test";

import { textOf } from "../../../../../serving/gateway/page/static/model/try/raw/raw.js";

const LONG = `"${"a".repeat(80)} \\" b"`;

test("JSON is set out in lines where only blanks change", () => {
  assert.equal(textOf(`{"a":${LONG},"b":[1,2.5]}`), `{\n  "a": ${LONG},\n  "b": [1, 2.5]\n}`);
});

for (const text of ['{"id": 9223372036854775807}', '{"y": [1.0, 1e-7]}', '{"x": -0.0}', '{"x": NaN}', '{"a": 1, "a": 2}', '{"b": 1, "1": 2}', '{"t": "\\u0041"}', "not JSON"]) {
  test(`${text} is shown as it came`, () => assert.equal(textOf(text), text));
}
