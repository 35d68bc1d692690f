/**
 * Which rows to ask about: the row itself, and for each part of each input one that differs from it in that part alone.
 *
 *     signature, row, examples ──outline of each input──▶ how many parts each may have ──▶ { base, variants, sections }
 *
 * What stands in for a part: nothing for words, padding for steps, the examples' median for numbers, the background for
 * patches of pictures, and for an input as a whole that of another example. All variants have the shapes of the row, so that
 * they fit into one request. All functions are pure.
 */
import { flat, kindOf, nested, padSides, sizes } from "../../../core/values.js";

/** @typedef {import("../../../core/card.js").Row} Row */
/** @typedef {import("../../../core/card.js").Signature} Signature */
/** @typedef {import("../../../core/card.js").Tensor} Tensor */
/** Pixels of a picture. @typedef {{ top: number, left: number, height: number, width: number }} Box */
/**
 * What is left out of an input, or replaced in it.
 * @typedef {object} Part
 * @property {"words" | "cells" | "patch" | "value" | "whole"} kind
 * @property {string} label what it is: “kitchen”, row 2, column 3
 * @property {string} lead how a sentence about it begins: Without “kitchen”
 * @property {[number, number]} [span] of words: their place in the text
 * @property {number[]} [places] of cells, in the flat list of values
 * @property {Box} [box] of a patch
 */
/** @typedef {{ input: string, part: Part, row: Row }} Variant */
/**
 * An input as it is shown.
 * @typedef {object} Section
 * @property {string} input
 * @property {"text" | "cells" | "picture" | "value"} layout
 * @property {string} how what was done to its parts
 * @property {number[]} dims of cells and pictures: (height, width, channels) for the latter
 */
/** @typedef {{ base: Row, variants: Variant[], sections: Section[] }} Plan */
/**
 * The bytes of a picture, which only a browser can take apart.
 * @typedef {object} Blanked
 * @property {number} height
 * @property {number} width
 * @property {unknown} whole the picture as it is, written as its variants are
 * @property {{ box: Box, value: unknown }[]} patches
 */
/**
 * How an input is taken apart.
 * @typedef {object} Outline
 * @property {Section["layout"]} layout
 * @property {number[]} dims
 * @property {number} wanted how many parts it has
 * @property {(limit: number) => { how: string, pieces: { part: Part, value: unknown }[] }} cut into at most so many
 */

/** Variants of one row. */
export const MOST_VARIANTS = 200;
/** Bytes of the request. */
export const MOST_BYTES = 8 << 20;
/** Bytes of the answer to it. */
const MOST_ANSWER_BYTES = 32 << 20;
/** Patches of one picture. */
export const MOST_PATCHES = 64;
/** Other examples whose inputs are put into the row. */
export const NEIGHBOURS = 3;

/**
 * @param {Signature} signature
 * @param {Row} row
 * @param {Row[]} examples
 * @param {Map<string, Blanked>} [pictures] by input
 * @param {{ readings: number, bytes: number }} [answer] to the row: of how many things it tells, and how long it is
 * @returns {Plan}
 */
export function plan(signature, row, examples, pictures = new Map(), answer = { readings: 1, bytes: 1 }) {
  /** @type {Row} */
  const base = Object.fromEntries(Object.entries(row).map(([name, value]) => [name, pictures.get(name)?.whole ?? value]));
  const wholes = signature.inputs.length > 1 || answer.readings > 1 ? swapped(signature, base, examples) : [];
  const outlines = signature.inputs.flatMap((tensor) => {
    const found = outline(tensor, signature, valueIn(base, tensor.name), others(tensor.name, row, examples), pictures.get(tensor.name));
    return found && found.wanted ? [{ input: tensor.name, ...found }] : [];
  });
  const room = Math.max(0, roomFor(base, answer.bytes) - wholes.length);
  const limits = shares(outlines.map((each) => each.wanted), room);
  const cuts = outlines.map((each, place) => ({ ...each, ...each.cut(limits[place]) }));
  return {
    base,
    sections: cuts.map(({ input, layout, dims, how }) => ({ input, layout, dims, how })),
    variants: [
      ...cuts.flatMap(({ input, pieces }) => pieces.map(({ part, value }) => ({ input, part, row: { ...base, [input]: value } }))),
      ...wholes.slice(0, roomFor(base, answer.bytes)),
    ],
  };
}

/**
 * How many variants of a row a request may hold.
 * @param {Row} row
 * @param {number} answerBytes of the answer to one
 */
function roomFor(row, answerBytes) {
  const rows = Math.min(MOST_BYTES / JSON.stringify(row).length, MOST_ANSWER_BYTES / answerBytes);
  return Math.max(0, Math.min(MOST_VARIANTS, Math.floor(rows) - 1));
}

/**
 * Fair shares of what there is: who wants little gets it, the others share the rest evenly.
 * @param {number[]} wanted
 * @param {number} available
 */
export function shares(wanted, available) {
  const given = wanted.map(() => 0);
  let left = available;
  const order = wanted.map((_, place) => place).sort((a, b) => wanted[a] - wanted[b]);
  order.forEach((place, done) => {
    given[place] = Math.min(wanted[place], Math.floor(left / (order.length - done)));
    left -= given[place];
  });
  return given;
}

/** Emoji and flags, which say as much as words. */
const SYMBOL = /\p{Extended_Pictographic}|\p{Regional_Indicator}/u;

/**
 * The words of a text, each with its place; emoji are words, too.
 * @param {string} text
 * @returns {[number, number][]}
 */
export function words(text) {
  const segments = new Intl.Segmenter(undefined, { granularity: "word" }).segment(text);
  return [...segments].filter((each) => each.isWordLike || SYMBOL.test(each.segment)).map(({ index, segment }) => [index, index + segment.length]);
}

/**
 * A text without what stands at a place, and without the blanks that would be one too many.
 * @param {string} text
 * @param {[number, number]} span
 */
export function without(text, [start, end]) {
  const before = text.slice(0, start);
  const after = text.slice(end);
  if (before.trim() === "") return before + after.replace(/^\s+/, "");
  if (!/\s$/.test(before)) return before + after;
  if (/^[^\S\n]/.test(after)) return before + after.replace(/^[^\S\n]+/, "");
  return /^[\p{L}\p{N}]/u.test(after) ? before + after : before.replace(/[^\S\n]+$/, "") + after;
}

/**
 * @param {Tensor} tensor
 * @param {Signature} signature
 * @param {unknown} value
 * @param {unknown[]} known other values of this input
 * @param {Blanked | undefined} blanked
 * @returns {Outline | null} null: it cannot be taken apart
 */
function outline(tensor, signature, value, known, blanked) {
  if (blanked) return ofBytes(blanked);
  if (tensor.holds === "bytes" || tensor.holds === "other" || value === undefined) return null;
  const dims = sizes(value);
  const list = flat(value);
  if (dims.reduce((product, size) => product * size, 1) !== list.length) return null; // ragged
  if (list.length === 1 && tensor.holds === "text") return typeof list[0] === "string" ? ofText(list[0], dims) : null;
  if (list.length === 1) return ofOne(tensor, list[0], dims, known.map((each) => flat(each)[0]));
  if (tensor.holds === "numbers") {
    const sides = pictureSides(tensor, signature, dims);
    if (sides) return ofPixels(list, dims, sides);
    const padding = signature.padding;
    const axis = paddedAxes(tensor.name, signature).map((each) => each - Number(signature.in_rows)).find((each) => each >= 0 && each < dims.length);
    if (padding && axis !== undefined) return ofSteps(list, dims, axis, padding.value);
  }
  return ofCells(tensor, list, dims, known);
}

/** @param {string} text @param {number[]} dims @returns {Outline} */
function ofText(text, dims) {
  const spans = words(text);
  return {
    layout: "text",
    dims,
    wanted: spans.length,
    cut(limit) {
      const pieces = runs(spans.length, limit).map(([from, to]) => {
        const span = /** @type {[number, number]} */ ([spans[from][0], spans[to - 1][1]]);
        const label = `“${shortened(text.slice(...span))}”`;
        /** @type {Part} */
        const part = { kind: "words", label, lead: `Without ${label}`, span };
        return { part, value: nested([without(text, span)], dims) };
      });
      const how = pieces.length < spans.length ? "Groups of neighbouring words are left out, one group at a time." : "Words are left out, one at a time.";
      return { how, pieces };
    },
  };
}

/**
 * A single number or boolean.
 * @param {Tensor} tensor
 * @param {unknown} value
 * @param {number[]} dims
 * @param {unknown[]} known
 * @returns {Outline}
 */
function ofOne(tensor, value, dims, known) {
  const flips = tensor.holds === "booleans";
  const sorted = known.map(Number).filter(Number.isFinite).sort((a, b) => a - b);
  /** @type {[unknown, string][]} */
  const instead = flips
    ? [[!value, "the opposite"]]
    : sorted.length
      ? [[sorted[0], "the examples' lowest"], [median(sorted), "the examples' median"], [sorted[sorted.length - 1], "the examples' highest"]]
      : [[Number(value) === 0 ? 1 : 0, "which stands in: there are no other examples"]];
  const fresh = instead.filter(([other], place) => other !== value && instead.findIndex(([first]) => first === other) === place);
  return {
    layout: "value",
    dims,
    wanted: fresh.length,
    cut(limit) {
      const pieces = fresh.slice(0, limit).map(([other, what]) => {
        /** @type {Part} */
        const part = { kind: "value", label: `${other} (${what})`, lead: `With ${other} in place of ${value}` };
        return { part, value: nested([other], dims) };
      });
      return { how: flips ? "It is flipped." : "It is replaced by other values.", pieces };
    },
  };
}

/**
 * Cells, each replaced by what is usual at its place.
 * @param {Tensor} tensor
 * @param {unknown[]} list
 * @param {number[]} dims
 * @param {unknown[]} known
 * @returns {Outline}
 */
function ofCells(tensor, list, dims, known) {
  const alike = known.map(flat).filter((each) => each.length === list.length);
  const how = { numbers: alike.length ? "the median of the examples there (where it is that already, by their farthest, or 0)" : "0", booleans: "the opposite", text: "an empty text", bytes: "", other: "" }[tensor.holds];
  const usual = list.map((value, place) => neutral(tensor, value, alike.map((each) => each[place])));
  return ofPlaces(list, dims, list.map((_, place) => [place]), (place) => usual[place], (place) => placeText(place, dims, tensor.labels), {
    one: `Each cell is replaced by ${how}, one at a time.`,
    many: `Groups of neighbouring cells are replaced, each cell by ${how}.`,
  });
}

/** @param {Tensor} tensor @param {unknown} value @param {unknown[]} known */
function neutral(tensor, value, known) {
  if (tensor.holds === "booleans") return !value;
  if (tensor.holds === "text") return "";
  const sorted = known.map(Number).filter(Number.isFinite).sort((a, b) => a - b);
  if (!sorted.length) return 0;
  const middle = median(sorted);
  if (middle !== Number(value)) return middle;
  const [low, high] = [sorted[0], sorted[sorted.length - 1]]; // it is the usual one: the farthest says more
  const farthest = middle - low > high - middle ? low : high;
  return farthest === middle ? 0 : farthest;
}

/**
 * Steps of a sequence that may be padded, each replaced by padding.
 * @param {unknown[]} list
 * @param {number[]} dims
 * @param {number} axis
 * @param {number} padding
 * @returns {Outline}
 */
function ofSteps(list, dims, axis, padding) {
  const inner = dims.slice(axis + 1).reduce((product, size) => product * size, 1);
  const stepOf = (/** @type {number} */ place) => Math.floor(place / inner) % dims[axis];
  /** @type {number[][]} */
  const steps = Array.from({ length: dims[axis] }, () => []);
  list.forEach((_, place) => steps[stepOf(place)].push(place));
  return ofPlaces(list, dims, steps, () => padding, (place) => `step ${stepOf(place) + 1}`, {
    one: `Each step is replaced by padding (${padding}), one at a time.`,
    many: `Groups of neighbouring steps are replaced by padding (${padding}).`,
  });
}

/**
 * @param {unknown[]} list
 * @param {number[]} dims
 * @param {number[][]} parts the places of each
 * @param {(place: number) => unknown} instead
 * @param {(place: number) => string} named
 * @param {{ one: string, many: string }} how
 * @returns {Outline}
 */
function ofPlaces(list, dims, parts, instead, named, how) {
  const live = parts.filter((places) => places.some((place) => instead(place) !== list[place]));
  return {
    layout: "cells",
    dims,
    wanted: live.length,
    cut(limit) {
      const pieces = runs(live.length, limit).map(([from, to]) => {
        const places = live.slice(from, to).flat();
        const [first, last] = [places[0], places[places.length - 1]];
        const single = places.length === 1;
        const label = to - from === 1 ? `${named(first)}${single ? ` (${list[first]})` : ""}` : `${named(first)} to ${named(last)}`;
        const lead = single ? `With ${JSON.stringify(instead(first))} in place of ${JSON.stringify(list[first])} at ${named(first)}` : `Without ${label}`;
        const changed = list.slice();
        for (const place of places) changed[place] = instead(place);
        return { part: /** @type {Part} */ ({ kind: "cells", label, lead, places }), value: nested(changed, dims) };
      });
      return { how: pieces.length < live.length ? how.many : how.one, pieces };
    },
  };
}

/**
 * Height, width and channels of what is a picture.
 * @param {Tensor} tensor
 * @param {Signature} signature
 * @param {number[]} dims
 * @returns {[number, number, number] | null}
 */
function pictureSides(tensor, signature, dims) {
  const kind = kindOf(tensor, signature.in_rows);
  if (kind === "pixels" && (dims.length === 2 || dims.length === 3)) return [dims[0], dims[1], dims[2] ?? 1];
  const sides = kind === "pad" ? padSides(dims) : null;
  return sides && [...sides, 1];
}

/**
 * @param {unknown[]} list
 * @param {number[]} dims
 * @param {[number, number, number]} sides
 * @returns {Outline}
 */
function ofPixels(list, dims, sides) {
  const [height, width, channels] = sides;
  const ground = background(list.map(Number), sides);
  return {
    layout: "picture",
    dims: sides,
    wanted: boxes(height, width, MOST_PATCHES).length,
    cut(limit) {
      const cut = boxes(height, width, Math.min(limit, MOST_PATCHES));
      const pieces = cut.flatMap((box) => {
        const places = placesOf(box, sides);
        if (places.every((place) => Number(list[place]) === ground[place % channels])) return [];
        const changed = list.slice();
        for (const place of places) changed[place] = ground[place % channels];
        return [{ part: patch(box), value: nested(changed, dims) }];
      });
      return { how: blankedHow(cut[0], `the median of the border (${ground.join(", ")})`), pieces };
    },
  };
}

/** @param {Blanked} blanked @returns {Outline} */
function ofBytes({ height, width, patches }) {
  return {
    layout: "picture",
    dims: [height, width, 3],
    wanted: patches.length,
    cut(limit) {
      const pieces = patches.slice(0, limit).map(({ box, value }) => ({ part: patch(box), value }));
      return { how: blankedHow(patches[0].box, "the median of the border"), pieces };
    },
  };
}

/** @param {Box | undefined} box @param {string} to */
function blankedHow(box, to) {
  if (!box) return "";
  const what = box.height * box.width === 1 ? "Pixels" : `Patches of ${box.width} × ${box.height} pixels`;
  return `${what} are blanked to ${to}, one at a time.`;
}

/** @param {Box} box @returns {Part} */
function patch(box) {
  const single = box.height * box.width === 1;
  const rows = single ? `row ${box.top + 1}` : `rows ${box.top + 1} to ${box.top + box.height}`;
  const columns = single ? `column ${box.left + 1}` : `columns ${box.left + 1} to ${box.left + box.width}`;
  return { kind: "patch", label: `${rows}, ${columns}`, lead: `With ${rows}, ${columns} blanked`, box };
}

/**
 * A picture cut into at most so many squares, in rows from the top left.
 * @param {number} height
 * @param {number} width
 * @param {number} limit
 * @returns {Box[]}
 */
export function boxes(height, width, limit) {
  if (limit < 1 || height < 1 || width < 1) return [];
  let side = Math.max(1, Math.floor(Math.sqrt((height * width) / limit)));
  while (Math.ceil(height / side) * Math.ceil(width / side) > limit) side += 1;
  /** @type {Box[]} */
  const found = [];
  for (let top = 0; top < height; top += side) {
    for (let left = 0; left < width; left += side) {
      found.push({ top, left, height: Math.min(side, height - top), width: Math.min(side, width - left) });
    }
  }
  return found;
}

/**
 * The median of the border's pixels, for each channel.
 * @param {ArrayLike<number>} list
 * @param {[number, number, number]} sides
 */
export function background(list, [height, width, channels]) {
  return Array.from({ length: channels }, (_, channel) => {
    /** @type {number[]} */
    const border = [];
    for (let row = 0; row < height; row += 1) {
      const step = row === 0 || row === height - 1 ? 1 : Math.max(1, width - 1);
      for (let column = 0; column < width; column += step) border.push(list[(row * width + column) * channels + channel]);
    }
    return median(border.sort((a, b) => a - b));
  });
}

/** @param {Box} box @param {[number, number, number]} sides */
function placesOf(box, [, width, channels]) {
  /** @type {number[]} */
  const places = [];
  for (let row = box.top; row < box.top + box.height; row += 1) {
    for (let place = (row * width + box.left) * channels; place < (row * width + box.left + box.width) * channels; place += 1) places.push(place);
  }
  return places;
}

/**
 * Rows in which one input is that of another example.
 * @param {Signature} signature
 * @param {Row} base
 * @param {Row[]} examples
 * @returns {Variant[]}
 */
function swapped(signature, base, examples) {
  return signature.inputs.flatMap((tensor) => {
    const fitting = others(tensor.name, base, examples)
      .map((value) => fitted(value, valueIn(base, tensor.name), tensor, signature))
      .filter((value) => value !== undefined && JSON.stringify(value) !== JSON.stringify(valueIn(base, tensor.name)));
    return fitting.slice(0, NEIGHBOURS).map((value) => {
      /** @type {Part} */
      const part = { kind: "whole", label: tensor.name, lead: `With another example's ${tensor.name}` };
      return { input: tensor.name, part, row: { ...base, [tensor.name]: value } };
    });
  });
}

/**
 * The values of an input in other rows, each once.
 * @param {string} input
 * @param {Row} row
 * @param {Row[]} examples
 */
function others(input, row, examples) {
  const own = JSON.stringify(valueIn(row, input));
  const found = new Map(examples.filter((each) => Object.hasOwn(each, input)).map((each) => [JSON.stringify(each[input]), each[input]]));
  found.delete(own);
  return [...found.values()];
}

/**
 * A value in the shape of another one: cut or padded where it may be; undefined where it cannot be.
 * @param {unknown} value
 * @param {unknown} like
 * @param {Tensor} tensor
 * @param {Signature} signature
 */
function fitted(value, like, tensor, signature) {
  const [from, to] = [sizes(value), sizes(like)];
  if (from.length !== to.length) return undefined;
  const axes = paddedAxes(tensor.name, signature);
  const free = from.every((size, axis) => size === to[axis] || axes.includes(axis + Number(signature.in_rows)));
  return free ? resized(value, to, signature.padding?.value ?? 0) : undefined;
}

/** @param {unknown} value @param {number[]} dims @param {number} padding @returns {unknown} */
function resized(value, dims, padding) {
  if (!dims.length) return value ?? padding;
  const list = Array.isArray(value) ? value : [];
  return Array.from({ length: dims[0] }, (_, place) => resized(list[place], dims.slice(1), padding));
}

/** What a row says itself: an input may be called as what all objects have. @param {Row} row @param {string} input */
function valueIn(row, input) {
  return Object.hasOwn(row, input) ? row[input] : undefined;
}

/** @param {string} input @param {Signature} signature @returns {number[]} */
function paddedAxes(input, { padding }) {
  return padding && Object.hasOwn(padding.inputs, input) ? padding.inputs[input] : [];
}

/**
 * n things in at most so many runs of neighbours, as even as can be.
 * @param {number} n
 * @param {number} limit
 * @returns {[number, number][]}
 */
export function runs(n, limit) {
  const many = Math.min(n, limit);
  return Array.from({ length: many }, (_, run) => [Math.floor((run * n) / many), Math.floor(((run + 1) * n) / many)]);
}

/**
 * The middle one, the lower of two: always a value that was there.
 * @param {number[]} sorted
 */
function median(sorted) {
  return sorted[(sorted.length - 1) >> 1];
}

/**
 * A cell as the form names it.
 * @param {number} place
 * @param {number[]} dims
 * @param {string[]} labels of the last axis
 */
function placeText(place, dims, labels) {
  const index = dims.map((size, axis) => Math.floor(place / dims.slice(axis + 1).reduce((product, each) => product * each, 1)) % size);
  const last = index[index.length - 1];
  if (index.length > 2) return `place (${index.map((each) => each + 1).join(", ")})`;
  const column = labels[last] ?? `${index.length === 1 ? "place" : "column"} ${last + 1}`;
  return index.length === 1 ? column : `row ${index[0] + 1}, ${column}`;
}

/** @param {string} text */
function shortened(text) {
  return text.length > 60 ? `${text.slice(0, 40)} … ${text.slice(-15)}` : text;
}
