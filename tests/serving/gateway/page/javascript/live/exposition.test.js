import assert from "node:assert/strict";
import { test } from "node:test";

import { ExpositionError, LIMITS, parse } from "../../../../../../serving/gateway/page/static/live/exposition.js";

/** @param {string} line */
function only(line) {
  const { samples } = parse(`${line}\n`);
  assert.equal(samples.length, 1);
  return samples[0];
}

test("names, labels and values are read", () => {
  const text = '# HELP a_total What "it" is\n# TYPE a_total counter\na_total{model="m",code="OK"} 1.5e+3\n\n# a remark\nb 2 1700000000\n';
  const { samples, types } = parse(text);
  assert.deepEqual(samples.map(({ name, labels, value }) => [name, { ...labels }, value]), [["a_total", { model: "m", code: "OK" }, 1500], ["b", {}, 2]]);
  assert.deepEqual([...types], [["a_total", "counter"]]);
});

test("all numbers of the format are read", () => {
  const table = { "+Inf": Infinity, "-Inf": -Infinity, NaN: NaN, "1e-05": 1e-5, "-0.5": -0.5, ".5": 0.5, "+3": 3, "7.": 7 };
  for (const [text, value] of Object.entries(table)) assert.deepEqual(only(`x ${text}`).value, value);
});

test("values of labels may hold whatever they like", () => {
  assert.equal(only('x{a="a\\\\b\\"c\\nd"} 1').labels.a, 'a\\b"c\nd');
  assert.equal(only('x{a="} 7, b=\\"{"} 1').labels.a, '} 7, b="{');
  assert.equal(only('x { a = "ü 😀" , } 1').labels.a, "ü 😀");
  assert.deepEqual(Object.entries(only('x{__proto__="p",constructor="c"} 1').labels), [["__proto__", "p"], ["constructor", "c"]]);
});

test("what is not in the format is an error that names its line", () => {
  const wrong = ["1x 2", "x", "x ", 'x{a="b"}', "x y", "x 1 2 3", "x 0x10", 'x{a="b"', 'x{a=b} 1', 'x{a="b" c="d"} 1', 'x{a="\\t"} 1', 'x{a="b",a="c"} 1', "x{,} 1", "x 1_000", 'x{a="b} 1', "# TYPE x thing", "# TYPE"];
  for (const line of wrong) assert.throws(() => parse(`good 1\n${line}\n`), { message: /^line 2 of the metrics: / }, line);
  assert.throws(() => parse("# TYPE x gauge\n# TYPE x counter\n"), ExpositionError);
});

test("a text has bounds", () => {
  assert.throws(() => parse("x".repeat(LIMITS.characters + 1)), ExpositionError);
  assert.throws(() => parse("x 1\n".repeat(LIMITS.samples + 1)), /more than 200000 samples/);
  const many = Array.from({ length: LIMITS.labels + 1 }, (_, place) => `a${place}="b"`).join();
  assert.throws(() => parse(`x{${many}} 1`), /more than 64 labels/);
  assert.throws(() => parse(`x ${"9".repeat(1000)}y`), (error) => /** @type {Error} */ (error).message.length < 200);
});

test("a line of many blanks, quotes or backslashes is an error like another", () => {
  for (const sign of [" ", '"', "\\", 'a="', "{", '\\"']) {
    assert.throws(() => parse(`x{a="${sign.repeat(200_000)}\ny`), ExpositionError);
  }
});
