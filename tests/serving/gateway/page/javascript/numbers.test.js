import assert from "node:assert/strict";
import { test } from "node:test";

import { count, duration, number, percent, points, quantity, signed, sizeText } from "../../../../../serving/gateway/page/static/core/numbers.js";

test("numbers have the digits that matter", () => {
  const cases = [
    [0, "0"], [-0, "0"], [3, "3"], [1234.5, "1,235"], [77.04646, "77.05"], [0.00012345, "0.000123"], [-0.5, "−0.5"],
    [1.2e-7, "1.20 × 10⁻⁷"], [-3.5e12, "−3.50 × 10¹²"], [NaN, "not a number"], [Infinity, "infinite"], [-Infinity, "−infinite"],
  ];
  for (const [value, text] of cases) assert.equal(number(value), text);
});

test("chances are never surer than they are", () => {
  const cases = [[0, "0.0 %"], [0.0004, "< 0.1 %"], [0.5, "50.0 %"], [0.9991, "> 99.9 %"], [1, "100.0 %"], [NaN, "not a number"]];
  for (const [value, text] of cases) assert.equal(percent(value), text);
});

test("differences have their sign, chances are points apart", () => {
  assert.deepEqual([signed(2), signed(-2), signed(0)], ["+2", "−2", "0"]);
  assert.deepEqual([points(0.223), points(-0.05), points(0), points(-1e-6)], ["22.3 points", "5.0 points", "0.0 points", "< 0.1 points"]);
});

test("units, counts, sizes and times", () => {
  assert.deepEqual([quantity(3, "years"), quantity(3), quantity(NaN, "years")], ["3 years", "3", "not a number"]);
  assert.deepEqual([count(1, "row"), count(3000, "row")], ["1 row", "3,000 rows"]);
  assert.deepEqual([sizeText(1), sizeText(12345), sizeText(2e6)], ["1 byte", "12.3 kB", "2 MB"]);
  assert.deepEqual([duration(0.1234), duration(1234)], ["0.12 ms", "1.23 s"]);
});
