import assert from "node:assert/strict";
import { test } from "node:test";

import { parse } from "../../../../../../serving/gateway/page/static/live/exposition.js";
import { kept, quantiles, sums, windows, KEPT_S } from "../../../../../../serving/gateway/page/static/live/ring.js";
import { LONGEST_S, look, step } from "../../../../../../serving/gateway/page/static/live/steps.js";

const WANTED = new Set(["c_total", "g", "h_bucket", "h_sum", "h_count"]);
const TYPES = "# TYPE c_total counter\n# TYPE g gauge\n# TYPE h histogram\n";

/** @param {string} text @param {number} seconds */
const seen = (text, seconds) => look(parse(TYPES + text), seconds * 1000, WANTED);
/** @param {string[]} texts a look every two seconds; empty: none then */
function steps(...texts) {
  /** @type {import("../../../../../../serving/gateway/page/static/live/steps.js").Step[]} */
  let all = [];
  /** @type {ReturnType<typeof seen> | null} */
  let before = null;
  texts.forEach((text, place) => {
    const now = text ? seen(text, place * 2) : null;
    if (now) all = kept(all, step(before, now, new Set(["g"])));
    before = now;
  });
  return all;
}
/** @param {ReturnType<typeof windows>[number]} window_ */
const total = (window_) => sums(window_, "c_total", () => "all").get("all") ?? 0;

test("a counter grows by what has come, and a new one by all that it has", () => {
  const [first, second] = steps('c_total{m="a"} 5\ng 3', 'c_total{m="a"} 8\nc_total{m="b"} 2\ng 4');
  assert.deepEqual([first.seconds, first.increases.size], [0, 0]);
  assert.equal(second.seconds, 2);
  assert.deepEqual(second.increases.get("c_total")?.map(({ value }) => value), [3, 2]);
  assert.equal(second.gauges.get("g")?.[0].value, 4);
  assert.ok(!second.increases.has("g"));
});

test("a counter that has fallen began anew: nothing is negative, and what came since counts", () => {
  const last = steps("c_total 100", "c_total 7").at(-1);
  assert.equal(last?.increases.get("c_total")?.[0].value, 7);
});

test("labels in another order are the same series", () => {
  assert.equal(steps('c_total{a="1",b="2"} 5', 'c_total{b="2",a="1"} 6').at(-1)?.increases.get("c_total")?.[0].value, 1);
});

test("after a server that was away, and after a long pause, there is a gap and no rate", () => {
  const away = windows(steps("c_total 1", "c_total 3", "", "c_total 9", "c_total 10"));
  assert.deepEqual(away.map(({ seconds }) => seconds), [0, 2, 0, 2]);
  assert.deepEqual(away.map(total), [0, 2, 0, 1]);
  const late = step(seen("c_total 1", 0), seen("c_total 90", LONGEST_S + 1), new Set());
  assert.deepEqual([late.seconds, late.increases.size], [0, 0]);
});

test("a clock that is set back is a gap", () => {
  assert.equal(step(seen("c_total 1", 10), seen("c_total 2", 5), new Set()).seconds, 0);
});

test("a window holds the looks of ten seconds", () => {
  const all = windows(steps(...Array.from({ length: 20 }, (_, place) => `c_total ${place * 10}`)));
  assert.deepEqual([all[19].seconds, total(all[19])], [10, 50]);
  assert.deepEqual([all[2].seconds, total(all[2])], [4, 20]);
});

test("no more than the last minutes are kept", () => {
  const looks = KEPT_S;
  const all = steps(...Array.from({ length: looks }, (_, place) => `c_total ${place}`));
  assert.equal(all.length, KEPT_S / 2);
  assert.equal(all.at(-1)?.at, (looks - 1) * 2000);
});

test("quantiles are those of what has come in the window", () => {
  const before = 'h_bucket{m="a",le="0.1"} 100\nh_bucket{m="a",le="1.0"} 100\nh_bucket{m="a",le="+Inf"} 100';
  const after = 'h_bucket{m="a",le="0.1"} 100\nh_bucket{m="a",le="1.0"} 110\nh_bucket{m="a",le="+Inf"} 110';
  const found = quantiles(windows(steps(before, after))[1], "h", ({ m }) => m, [0.5, 0.99]).get("a");
  assert.deepEqual(found?.map((each) => Number(each?.value.toFixed(3))), [0.55, 0.991]);
});
