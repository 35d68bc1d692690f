/** What a part does to an answer, in numbers and words. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { effect, heat, readings, scaleOf, strength, together } from "../../../../../serving/gateway/page/static/model/try/influence/effect.js";

function output(name, holds = "numbers", more = {}) {
  return { name, dtype: "float32", shape: [-1], meaning: "", unit: "", values: "", labels: [], holds, ...more };
}

function only(outputs, base) {
  const found = readings({ outputs }, base);
  assert.equal(found.length, 1);
  return found[0];
}

const PLACES = ["bathroom", "kitchen", "garden"];

test("an answer and its chance are one reading", () => {
  const outputs = [output("answer", "text"), output("answer_probability"), output("age", "numbers", { unit: "years" }), output("place", "numbers", { labels: PLACES }), output("map")];
  const base = { answer: "yes", answer_probability: 0.9, age: [31], place: [0.1, 0.2, 0.7], map: [1, 2, 3] };
  assert.deepEqual(readings({ outputs }, base).map(({ name, kind, chance }) => [name, kind, chance]), [
    ["answer", "answer", "answer_probability"], ["age", "number", ""], ["place", "chances", ""], ["map", "tensor", ""],
  ]);
});

test("the effect of an unchanged answer is nothing, whatever the answer", () => {
  const outputs = [output("a", "text"), output("a_probability"), output("n"), output("c"), output("t"), output("b", "booleans"), output("s", "bytes"), output("nan")];
  const base = { a: "x", a_probability: 0.3, n: [-4], c: [0.5, 0.5], t: [[3, 4], [5, 6]], b: true, s: { b64: "AA==" }, nan: "NaN" };
  for (const reading of readings({ outputs }, base)) {
    const { delta, changed } = effect(reading, base, structuredClone(base));
    assert.equal(delta, 0, reading.name);
    assert.equal(changed, false);
  }
});

test("the noise of arithmetic is nothing", () => {
  assert.equal(effect(only([output("y")], { y: 1000 }), { y: 1000 }, { y: 1000.0001 }).delta, 0);
  const chances = only([output("c")], { c: [0.7, 0.3] });
  assert.equal(effect(chances, { c: [0.7, 0.3] }, { c: [0.6999999, 0.3000001] }).delta, 0);
});

test("numbers say by how much they change, with their unit", () => {
  const reading = only([output("depth", "numbers", { unit: "metres, for cameras 0.1 m apart" })], { depth: [2] });
  assert.deepEqual(effect(reading, { depth: [2] }, { depth: [0.5] }), { delta: 1.5, changed: false, words: "“depth” falls by 1.5 metres, to 0.5" });
  assert.equal(effect(reading, { depth: [2] }, { depth: [3] }).delta, -1);
  assert.equal(effect(reading, { depth: [2] }, { depth: ["Infinity"] }).words, "“depth” becomes infinite");
});

test("chances say what becomes of the winner's, and of the answer", () => {
  const reading = only([output("place", "numbers", { labels: PLACES })], { place: [0.9, 0.05, 0.05] });
  const base = { place: [0.9, 0.05, 0.05] };
  assert.equal(effect(reading, base, { place: [0.6, 0.3, 0.1] }).words, "the chance of “bathroom” falls by 30.0 points, to 60.0 %");
  const turned = effect(reading, base, { place: [0.2, 0.7, 0.1] });
  assert.equal(turned.changed, true);
  assert.equal(turned.words, "the answer becomes “kitchen” (70.0 %), and the chance of “bathroom” falls by 70.0 points, to 20.0 %");
  assert.ok(effect(reading, base, { place: [0.95, 0.03, 0.02] }).delta < 0);
});

test("a lone chance of something is that of one of two answers", () => {
  const reading = only([output("gender", "numbers", { meaning: "the chance of 'male'" })], { gender: [0.7] });
  assert.deepEqual([reading.kind, reading.measure], ["chances", "the chance of “male”"]);
  const turned = effect(reading, { gender: [0.7] }, { gender: [0.2] });
  assert.equal(turned.words, "the answer becomes “not male” (80.0 %), and the chance of “male” falls by 50.0 points, to 20.0 %");
  const down = only([output("gender", "numbers", { meaning: "the chance of 'male'" })], { gender: [0.3] });
  assert.equal(effect(down, { gender: [0.3] }, { gender: [0.4] }).words, "the chance of “not male” falls by 10.0 points, to 60.0 %");
});

test("scores of labels say what becomes of the highest", () => {
  const base = { place: [2.5, -1, 0] };
  const reading = only([output("place", "numbers", { labels: PLACES })], base);
  assert.equal(effect(reading, base, { place: [1.5, -1, 0] }).words, "the score of “bathroom” falls by 1, to 1.5");
  const turned = effect(reading, base, { place: [1, 3, 0] });
  assert.deepEqual([turned.changed, turned.delta], [true, 1.5]);
  assert.equal(turned.words, "the answer becomes “kitchen” (3), and the score of “bathroom” falls by 1.5, to 1");
});

test("an answer in words says what it becomes", () => {
  const outputs = [output("answer", "text"), output("answer_probability")];
  const base = { answer: "bathroom", answer_probability: 0.9 };
  const reading = only(outputs, base);
  const turned = effect(reading, base, { answer: "kitchen", answer_probability: 0.8 });
  assert.deepEqual([turned.changed, turned.words], [true, "the answer becomes “kitchen” (80.0 %)"]);
  assert.ok(turned.delta > 0);
  const doubtful = effect(reading, { answer: "bathroom", answer_probability: 0.37 }, { answer: "kitchen", answer_probability: 0.45 });
  assert.ok(doubtful.changed && doubtful.delta > 0); // another answer is never nothing
  const weaker = effect(reading, base, { answer: "bathroom", answer_probability: 0.89 });
  assert.ok(strength(turned) > strength(weaker) && strength(weaker) > 0);
  const bare = only([output("answer", "text")], { answer: "a" });
  assert.deepEqual(effect(bare, { answer: "a" }, { answer: "b" }), { delta: 1, changed: true, words: "the answer becomes “b”" });
});

test("other values say how far they are apart", () => {
  const reading = only([output("t")], { t: [3, 4] });
  assert.equal(effect(reading, { t: [3, 4] }, { t: [3, -1] }).delta, 1);
  assert.equal(effect(reading, { t: [3, 4] }, { t: [3, 4, 5] }).changed, true);
  const large = Array.from({ length: 50_000 }, () => 1);
  assert.equal(effect(only([output("t")], { t: large }), { t: large }, { t: large.map(() => 2) }).delta, 1);
});

test("a row that the model refuses has no heat, and stands last", () => {
  const reading = only([output("y")], { y: 1 });
  const refused = effect(reading, { y: 1 }, null);
  assert.equal(heat(refused, 1), 0);
  assert.ok(strength(refused) < 0);
  assert.deepEqual(together(reading, [refused]), { mean: 0, changed: 0, text: "refused" });
});

test("heat is full for the strongest, never more, and faint where all is small", () => {
  const base = { y: 100 };
  const reading = only([output("y")], base);
  const of = (...values) => {
    const all = values.map((y) => effect(reading, base, { y }));
    const scale = scaleOf(reading, base, all);
    return all.map((each) => heat(each, scale));
  };
  assert.deepEqual(of(50, 150, 100, 75), [1, -1, 0, 0.5]);
  assert.ok(of(99.9)[0] < 0.1);
  assert.deepEqual(of(100), [0]);
});

test("several effects have a mean size and a count of other answers", () => {
  const base = { c: [0.9, 0.1] };
  const reading = only([output("c")], base);
  const all = [[0.9, 0.1], [0.1, 0.9]].map((c) => effect(reading, base, { c }));
  assert.deepEqual(together(reading, all), { mean: 0.4, changed: 1, text: "40.0 points; another answer in 1 of 2" });
});
