/** Which rows are asked to see what changes an answer: each differs from the row in exactly its part. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { background, boxes, MOST_BYTES, MOST_PATCHES, MOST_VARIANTS, NEIGHBOURS, plan, runs, shares, without, words } from "../../../../../serving/gateway/page/static/model/try/influence/plan.js";

/** A tensor as the card has it. */
function tensor(name, shape, holds = "numbers", more = {}) {
  return { name, dtype: holds === "text" ? "string" : "float32", shape, meaning: "", unit: "", values: "", labels: [], holds, ...more };
}

/** A signature that takes rows. */
function signature(inputs, outputs = [tensor("y", [-1])], more = {}) {
  return { name: "serving_default", inputs, outputs, servable: true, in_rows: true, independent: true, why: "", padding: null, ...more };
}

/** Numbers that look random, the same in each run. */
function seeded(seed) {
  let state = seed;
  return (below) => {
    state = (state * 48271) % 2147483647;
    return state % below;
  };
}

const TEXT = signature([tensor("text", [-1], "text")]);
const VOCABULARY = ["Mary", "don't", "moved", "to", "3.5", "Zürich", "Wörter", "x", "poison", "the"];
const BETWEEN = [" ", ", ", ". ", "  ", "\n", " – ", "; "];

function texts(variants, input = "text") {
  return variants.map(({ row }) => row[input]);
}

test("leaving out words keeps the others, in order", () => {
  const random = seeded(7);
  for (let round = 0; round < 100; round += 1) {
    const said = Array.from({ length: 1 + random(30) }, () => VOCABULARY[random(VOCABULARY.length)]);
    const text = said.reduce((sum, word) => sum + BETWEEN[random(BETWEEN.length)] + word, random(2) ? " " : "") + [".", "?", ""][random(3)];
    const { variants } = plan(TEXT, { text }, []);
    const spoken = words(text).map((span) => text.slice(...span));
    assert.equal(variants.length, spoken.length);
    variants.forEach(({ row, part }, place) => {
      assert.equal(text.slice(...part.span), spoken[place]);
      assert.deepEqual(words(row.text).map((span) => row.text.slice(...span)), spoken.filter((_, each) => each !== place));
    });
  }
});

test("what is left of a text is well-formed", () => {
  const cases = [
    ["John went home.", 1, "John home."],
    ["John went home.", 2, "John went."],
    ["John went home.", 0, "went home."],
    ["(really)", 0, "()"],
    ["a, b, c", 1, "a,, c"],
    ["one", 0, ""],
    ["one\ntwo three", 1, "one\nthree"],
    ["one two\nthree", 1, "one\nthree"],
    ["猫、犬", 1, "猫、"],
  ];
  for (const [text, place, left] of cases) assert.equal(without(text, words(text)[place]), left, text);
});

test("a text of many words is cut into groups of neighbours, which cover all of them", () => {
  const text = Array.from({ length: 1000 }, (_, place) => `w${place}`).join(" ");
  const { variants, sections } = plan(TEXT, { text }, []);
  assert.equal(variants.length, MOST_VARIANTS);
  assert.match(sections[0].how, /Groups of neighbouring words/);
  const sizes = variants.map(({ row }) => words(row.text).length);
  assert.equal(sizes.reduce((sum, left) => sum + 1000 - left, 0), 1000);
});

test("of a long text no request is larger than its bound", () => {
  const text = `${"a".repeat(100_000)} `.repeat(20);
  const { variants, base } = plan(TEXT, { text }, []);
  const bytes = [base, ...variants.map(({ row }) => row)].reduce((sum, row) => sum + JSON.stringify(row).length, 0);
  assert.ok(variants.length > 0 && bytes <= MOST_BYTES, `${variants.length} variants of ${bytes} bytes`);
});

test("large answers leave room for fewer variants", () => {
  const text = Array.from({ length: 100 }, (_, place) => `w${place}`).join(" ");
  assert.equal(plan(TEXT, { text }, [], new Map(), { readings: 1, bytes: 1 << 20 }).variants.length, 31);
  assert.equal(plan(TEXT, { text }, [], new Map(), { readings: 1, bytes: 1 << 26 }).variants.length, 0);
});

test("cells become what is usual at their place, one in each variant", () => {
  const random = seeded(3);
  const of = signature([tensor("x", [-1, 3, 4])]);
  for (let round = 0; round < 20; round += 1) {
    const grid = () => Array.from({ length: 3 }, () => Array.from({ length: 4 }, () => random(5)));
    const [x, ...others] = [grid(), grid(), grid(), grid()];
    for (const { row, part } of plan(of, { x }, others.map((each) => ({ x: each }))).variants) {
      const differing = x.flat().flatMap((value, place) => (value === row.x.flat()[place] ? [] : [place]));
      assert.deepEqual(differing, part.places);
      assert.equal(differing.length, 1);
      assert.deepEqual(row.x.map((each) => each.length), [4, 4, 4]);
      const known = others.map((each) => each.flat()[differing[0]]);
      const [was, is] = [x.flat()[differing[0]], row.x.flat()[differing[0]]];
      assert.ok(known.every((each) => each === was) ? is === 0 : known.includes(is));
    }
  }
});

test("cells without examples become 0, where they are not", () => {
  const { variants, sections } = plan(signature([tensor("x", [-1, 4])]), { x: [5, 0, -1, 2] }, []);
  assert.deepEqual(texts(variants, "x"), [[0, 0, -1, 2], [5, 0, 0, 2], [5, 0, -1, 0]]);
  assert.equal(variants[0].part.lead, "With 0 in place of 5 at place 1");
  assert.equal(sections[0].how, "Each cell is replaced by 0, one at a time.");
});

test("cells are named as the form names them", () => {
  const names = (of, x) => plan(signature([of]), { x }, []).variants.map(({ part }) => part.label);
  assert.deepEqual(names(tensor("x", [-1, 2], "numbers", { labels: ["age", "weight"] }), [3, 4]), ["age (3)", "weight (4)"]);
  assert.deepEqual(names(tensor("x", [-1, 2, 2]), [[0, 7], [8, 0]]), ["row 1, column 2 (7)", "row 2, column 1 (8)"]);
});

test("cells that are as in all examples become 0", () => {
  const { variants } = plan(signature([tensor("x", [-1, 3])]), { x: [5, 0, 2] }, [{ x: [5, 0, 3] }, { x: [5, 0, 3] }]);
  assert.deepEqual(texts(variants, "x"), [[0, 0, 2], [5, 0, 3]]);
});

test("steps of a sequence become padding, and padding stays what it is", () => {
  const of = signature([tensor("ids", [-1, -1])], undefined, { padding: { value: 9, inputs: { ids: [1] } } });
  const { variants } = plan(of, { ids: [4, 5, 9, 9] }, [{ ids: [1, 1, 1, 1] }]);
  assert.deepEqual(texts(variants, "ids"), [[9, 5, 9, 9], [4, 9, 9, 9]]);
});

test("steps of several numbers go together", () => {
  const of = signature([tensor("chars", [-1, -1, 2])], undefined, { padding: { value: 0, inputs: { chars: [1] } } });
  const { variants } = plan(of, { chars: [[1, 0], [0, 1], [0, 0]] }, []);
  assert.deepEqual(texts(variants, "chars"), [[[0, 0], [0, 1], [0, 0]], [[1, 0], [0, 0], [0, 0]]]);
});

test("pictures are blanked to the median of their border, patch by patch", () => {
  const image = Array.from({ length: 20 }, (_, row) => Array.from({ length: 20 }, (_, column) => [row === 0 ? 9 : 3, row * 20 + column + 100, 7]));
  const { variants, sections } = plan(signature([tensor("image", [-1, -1, -1, 3])]), { image }, []);
  assert.ok(variants.length <= MOST_PATCHES);
  assert.deepEqual(sections[0].dims, [20, 20, 3]);
  const covered = new Set();
  for (const { row, part } of variants) {
    const { top, left, height, width } = part.box;
    image.forEach((line, y) => line.forEach((pixel, x) => {
      const inside = y >= top && y < top + height && x >= left && x < left + width;
      if (inside) covered.add(y * 20 + x);
      if (inside) assert.equal(row.image[y][x][0], 3);
      else assert.deepEqual(row.image[y][x], pixel);
    }));
  }
  assert.equal(covered.size, 400);
});

test("paper that is blank stays out", () => {
  const pixels = new Array(64).fill(0);
  pixels[27] = 16;
  const { variants } = plan(signature([tensor("pixels", [-1, 64])]), { pixels }, []);
  assert.equal(variants.length, 1);
  assert.deepEqual(variants[0].row.pixels, new Array(64).fill(0));
});

test("boxes cover a picture once, and are no more than allowed", () => {
  for (const [height, width, limit] of [[8, 8, 64], [64, 64, 49], [1, 300, 64], [17, 5, 10], [3, 3, 1]]) {
    const found = boxes(height, width, limit);
    assert.ok(found.length <= limit);
    assert.equal(found.reduce((sum, box) => sum + box.height * box.width, 0), height * width);
  }
  assert.deepEqual(boxes(8, 8, 0), []);
});

test("the background is the border's median", () => {
  assert.deepEqual(background([1, 1, 1, 1, 50, 1, 2, 2, 1], [3, 3, 1]), [1]);
  assert.deepEqual(background([4], [1, 1, 1]), [4]);
});

test("a single number becomes the examples' lowest, median and highest; a boolean is flipped", () => {
  const of = signature([tensor("age", [-1]), tensor("member", [-1], "booleans")]);
  const rows = [3, 40, 20, 90].map((age) => ({ age, member: true }));
  const { variants } = plan(of, { age: 40, member: true }, rows);
  const own = (input) => texts(variants.filter((each) => each.input === input && each.part.kind === "value"), input);
  assert.deepEqual(own("age"), [3, 20, 90]);
  assert.deepEqual(own("member"), [false]);
});

test("inputs are replaced as a whole by other examples', in the row's own shape", () => {
  const padding = { value: 0, inputs: { ids: [1] } };
  const of = signature([tensor("ids", [-1, -1]), tensor("text", [-1], "text")], undefined, { padding });
  const examples = [{ ids: [1, 2, 3], text: "a" }, { ids: [7], text: "b" }, { ids: [4, 4, 4, 4], text: "a" }, { ids: [5, 5, 5], text: "c" }, { ids: [6, 6, 6], text: "d" }];
  const wholes = plan(of, examples[0], examples).variants.filter(({ part }) => part.kind === "whole");
  assert.deepEqual(texts(wholes.filter(({ input }) => input === "ids"), "ids"), [[7, 0, 0], [4, 4, 4], [5, 5, 5]]);
  assert.deepEqual(texts(wholes.filter(({ input }) => input === "text")), ["b", "c", "d"]);
  assert.ok(wholes.every(({ row, input }) => Object.keys(row).every((name) => name === input || row[name] === examples[0][name])));
  assert.ok(wholes.length <= 2 * NEIGHBOURS);
});

test("a lone input is replaced as a whole only where there are several outputs", () => {
  const kinds = (readings) => plan(TEXT, { text: "a b" }, [{ text: "c" }], new Map(), { readings, bytes: 1 }).variants.map(({ part }) => part.kind);
  assert.deepEqual(kinds(1), ["words", "words"]);
  assert.deepEqual(kinds(2), ["words", "words", "whole"]);
});

test("of a signature that takes columns all of them are cut", () => {
  const of = signature([tensor("x", [3])], undefined, { in_rows: false });
  assert.deepEqual(texts(plan(of, { x: [1, 0, 2] }, []).variants, "x"), [[0, 0, 2], [1, 0, 0]]);
});

test("several inputs share what a request may hold", () => {
  const long = Array.from({ length: 300 }, (_, place) => `w${place}`).join(" ");
  const { variants } = plan(signature([tensor("text", [-1], "text"), tensor("question", [-1], "text")]), { text: long, question: "Where is Mary" }, []);
  assert.equal(variants.filter(({ input }) => input === "question").length, 3);
  assert.equal(variants.length, MOST_VARIANTS);
  assert.deepEqual(shares([300, 3, 300], 200), [98, 3, 99]);
  assert.deepEqual(shares([1, 1], 0), [0, 0]);
});

test("runs are even, in order and whole", () => {
  assert.deepEqual(runs(5, 2), [[0, 2], [2, 5]]);
  assert.deepEqual(runs(2, 5), [[0, 1], [1, 2]]);
  assert.deepEqual(runs(0, 5), []);
});

test("ragged values and inputs that nobody knows are left alone", () => {
  assert.deepEqual(plan(signature([tensor("x", [-1, -1, -1])]), { x: [[1], [1, 2]] }, []).variants, []);
  assert.deepEqual(plan(signature([tensor("x", [-1, 2], "other")]), { x: [1, 2] }, []).variants, []);
  assert.deepEqual(plan(signature([tensor("x", [-1, 2])]), {}, []).variants, []);
});

test("inputs are called as they like, also as what each object has", () => {
  const two = signature([tensor("constructor", [-1, 2]), tensor("__proto__", [-1], "text")], undefined, { padding: { value: 0, inputs: {} } });
  const row = JSON.parse('{"constructor": [1, 2], "__proto__": "some words"}');
  const { base, variants } = plan(two, row, [JSON.parse('{"constructor": [3, 4], "__proto__": "others"}')]);
  assert.deepEqual(Object.keys(base), ["constructor", "__proto__"]);
  assert.deepEqual(new Set(variants.map(({ input }) => input)), new Set(["constructor", "__proto__"]));
  assert.equal(plan(two, {}, []).variants.length, 0);
});

test("emoji are words, whole, with all that they are joined of", () => {
  const text = "gut 👍🏽 e\u0301t 👨‍👩‍👧 🇩🇪!";
  assert.deepEqual(words(text).map((span) => text.slice(...span)), ["gut", "👍🏽", "e\u0301t", "👨‍👩‍👧", "🇩🇪"]);
});
