import assert from "node:assert/strict";
import { test } from "node:test";

import { path, pointAt } from "../../../../../../serving/gateway/page/static/live/chart.js";
import { parse } from "../../../../../../serving/gateway/page/static/live/exposition.js";
import { FOLLOWED, panels, requestsSince, seenSince, WANTED } from "../../../../../../serving/gateway/page/static/live/panels.js";
import { kept, windows } from "../../../../../../serving/gateway/page/static/live/ring.js";
import { models } from "../../../../../../serving/gateway/page/static/live/states.js";
import { look, step } from "../../../../../../serving/gateway/page/static/live/steps.js";

const TYPES = ["signet_requests", "signet_shed_total"].map((name) => `# TYPE ${name} counter\n`).join("");

/** @param {...string} texts a look every two seconds */
function seen(...texts) {
  /** @type {import("../../../../../../serving/gateway/page/static/live/steps.js").Step[]} */
  let steps = [];
  /** @type {ReturnType<typeof look> | null} */
  let before = null;
  texts.forEach((text, place) => {
    const now = look(parse(TYPES + text), place * 2000, WANTED);
    steps = kept(steps, step(before, now, FOLLOWED));
    before = now;
  });
  return windows(steps);
}

test("what came in a gap is not known, so nothing is said of the time before it", () => {
  const at = (/** @type {number} */ time, /** @type {number} */ seconds) => ({ at: time, seconds, steps: [] });
  assert.equal(seenSince([at(1000, 0), at(3000, 2), at(5000, 4)]), 1000);
  assert.equal(seenSince([at(1000, 0), at(3000, 2), at(60_000, 0), at(62_000, 2)]), 60_000);
});

/** @param {string} model @param {number} count @param {string} [code] */
const asked = (model, count, code = "OK") => `signet_requests_total{model="${model}",protocol="v1",code="${code}"} ${count}\n`;
/** @param {ReturnType<typeof panels>} all @param {string} key */
function latest(all, key) {
  const panel = all.find((each) => each.key === key);
  assert.ok(panel, key);
  return Object.fromEntries(panel.lines.map(({ name, points }) => [name, points.at(-1)?.value]));
}

test("rates are by model, and errors by code", () => {
  const all = panels(seen("", asked("a", 8) + asked("b", 2) + asked("a", 1, "NOT_FOUND")), "");
  assert.deepEqual(latest(all, "requests"), { a: 4.5, b: 1 });
  assert.deepEqual(latest(all, "errors"), { NOT_FOUND: 0.5 });
});

test("of one model only its own counts", () => {
  const windows_ = seen("", asked("a", 8) + asked("b", 2, "INTERNAL"));
  assert.deepEqual(latest(panels(windows_, "a"), "requests"), { a: 4 });
  assert.deepEqual(latest(panels(windows_, "a"), "errors"), {});
  assert.deepEqual([requestsSince(windows_, "", 0), requestsSince(windows_, "b", 0), requestsSince(windows_, "", 3000)], [10, 2, 0]);
});

test("of a hundred models six have a line, and the rest their sum", () => {
  const many = Array.from({ length: 100 }, (_, place) => asked(`m${place}`, place + 1)).join("");
  const all = panels(seen("", many), "");
  assert.deepEqual(latest(all, "requests"), { m94: 47.5, m95: 48, m96: 48.5, m97: 49, m98: 49.5, m99: 50, "94 others": (94 * 95) / 4 });
});

test("the first look shows nothing yet, and no panel of what there is not", () => {
  const all = panels(seen(asked("a", 8)), "");
  assert.deepEqual(latest(all, "requests"), {});
  assert.deepEqual(all.map(({ key }) => key), ["requests", "errors", "p50", "p99", "stages", "work", "rows"]);
  const shed = panels(seen('signet_shed_total{reason="too_late"} 0', 'signet_shed_total{reason="too_late"} 4'), "");
  assert.deepEqual(latest(shed, "shed"), { "too late": 2 });
});

test("versions and releases are told in words", () => {
  const text = [
    'signet_model_available{model="b"} 0',
    'signet_model_available{model="a"} 1',
    'signet_model_state{model="a",version="9",state="AVAILABLE"} 1',
    'signet_model_state{model="a",version="10",state="LOADING"} 1',
    'signet_model_state{model="a",version="10",state="AVAILABLE"} 0',
    'signet_failed_versions{model="b",reason="broken"} 1',
    'signet_release_stage{model="a",stage="canary"} 1',
    'signet_release_share{model="a"} 0.1',
    'signet_release_missing{model="a",side="candidate"} 0',
  ].join("\n");
  assert.deepEqual(models(look(parse(text), 0, WANTED)), [
    { name: "a", available: true, versions: [{ version: "10", state: "LOADING" }, { version: "9", state: "AVAILABLE" }], failed: [], release: "canary, candidate gets 10 %" },
    { name: "b", available: false, versions: [], failed: ["1 broken"], release: "" },
  ]);
});

test("a line breaks at gaps, and a moment has the value beside it", () => {
  const points = [1, 2, null, 4].map((value, place) => ({ at: place * 2000, value }));
  assert.equal(path(points, (at) => at / 1000, (value) => value), "M0.0 1.0L2.0 2.0M6.0 4.0");
  assert.equal(pointAt(points, 2900)?.value, 2);
  assert.equal(pointAt(points, 20_000), null);
});
