import assert from "node:assert/strict";
import { test } from "node:test";

import { baselines, besideStrongest, direction, figure, firstOfEach, standing } from "../../../../../../serving/gateway/page/static/card/scores.js";

const NB = "\u00a0";

/** @param {Partial<import("../../../../../../serving/gateway/page/static/core/card.js").Score>} some */
const score = (some) => ({ output: "y", metric: "accuracy", value: 0.9, baselines: {}, ceiling: null, ...some });

test("a metric's name tells which way is better, or does not", () => {
  for (const metric of ["accuracy", "Accuracy, new names"]) assert.equal(direction(metric), 1);
  for (const metric of ["mean error in years", "errors", "Error"]) assert.equal(direction(metric), -1);
  for (const metric of ["mean distance", "inaccuracy", "terror", "accuracy error", ""]) assert.equal(direction(metric), 0);
});

test("accuracies are parts of a hundred, other figures numbers", () => {
  assert.equal(figure("accuracy", 0.9666), `96.7${NB}%`);
  assert.equal(figure("accuracy", 97), "97");
  assert.equal(figure("mean error", 0.9666), "0.967");
  assert.equal(figure("accuracy", null), "not told");
});

test("the strongest baseline is the one to stand beside", () => {
  const digits = score({ value: 0.97, baselines: { commonest: 0.1, svm: 0.99, forest: 0.97 } });
  assert.deepEqual(baselines(digits).map((each) => each.name), ["svm", "forest", "commonest"]);
  assert.equal(besideStrongest(digits), `not as good as svm, 99.0${NB}%`);
  const age = score({ metric: "mean error in years", value: 3.3, baselines: { "one guess": 15.6, words: 6.9 } });
  assert.equal(besideStrongest(age), "better than words, 6.9");
  assert.equal(besideStrongest(score({ value: 0.5, baselines: { a: 0.5 } })), `as good as a, 50.0${NB}%`);
});

test("nobody is called better where the metric does not tell", () => {
  const turned = score({ metric: "mean distance", value: 1, baselines: { "left in place": 2, other: 0.5 } });
  assert.equal(standing(turned, 2), "unknown");
  assert.equal(besideStrongest(turned), "beside left in place, 2");
});

test("what is not told is nobody's baseline", () => {
  const some = score({ baselines: /** @type {any} */ ({ a: null, b: 0.2 }) });
  assert.deepEqual(baselines(some), [{ name: "b", value: 0.2 }]);
  assert.equal(besideStrongest(score({})), "");
  assert.equal(standing(score({ value: /** @type {any} */ (null) }), 1), "unknown");
});

test("each output has its first figure", () => {
  const all = [score({ metric: "accuracy, met" }), score({ metric: "accuracy, new" }), score({ output: "z" })];
  assert.deepEqual(firstOfEach(all), [all[0], all[2]]);
});
