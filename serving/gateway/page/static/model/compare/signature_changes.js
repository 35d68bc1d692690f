/**
 * What callers of one version would notice of another one's signatures. Pure.
 */
import { shapeText } from "../../core/shapes.js";

/** @typedef {import("../../core/card.js").Signature} Signature */
/** @typedef {import("../../core/card.js").Tensor} Tensor */

/**
 * Sentences, those that break callers first; none where nothing differs.
 * @param {string} from the name of the version that callers know, such as "version 1"
 * @param {Signature[]} before
 * @param {string} to
 * @param {Signature[]} after
 * @returns {{ breaks: boolean, text: string }[]} breaks: whether calls that were right get errors, or miss a name
 */
export function signatureChanges(from, before, to, after) {
  const found = pairs(before, after).flatMap(([name, one, other]) => {
    if (!other) return [{ breaks: true, text: `${to} has no signature ${name}, which ${from} has: its callers would get an error` }];
    if (!one) return [{ breaks: false, text: `${to} has the signature ${name}, which ${from} has not` }];
    return [
      ...tensorChanges(`${name}: input`, from, one.inputs, to, other.inputs, true),
      ...tensorChanges(`${name}: output`, from, one.outputs, to, other.outputs, false),
    ];
  });
  return [...found.filter((each) => each.breaks), ...found.filter((each) => !each.breaks)];
}

/**
 * @param {string} what
 * @param {string} from
 * @param {Tensor[]} before
 * @param {string} to
 * @param {Tensor[]} after
 * @param {boolean} inputs
 */
function tensorChanges(what, from, before, to, after, inputs) {
  return pairs(before, after).flatMap(([name, one, other]) => {
    if (!other) return [{ breaks: true, text: `${what} ${name} is in ${from} only: ${inputs ? "calls that send it would be refused" : "its callers would miss it"}` }];
    if (!one) return [{ breaks: inputs, text: `${what} ${name} is in ${to} only${inputs ? ": calls without it would be refused" : ""}` }];
    const [first, second] = [typeOf(one), typeOf(other)];
    return first === second ? [] : [{ breaks: true, text: `${what} ${name} is ${first} in ${from}, ${second} in ${to}` }];
  });
}

/** @param {Tensor} tensor */
function typeOf({ dtype, shape }) {
  return `${dtype} ${shapeText(shape)}`;
}

/**
 * What has the same name on both sides, in the order of both.
 * @template {{ name: string }} Named
 * @param {Named[]} before
 * @param {Named[]} after
 * @returns {[string, Named | undefined, Named | undefined][]}
 */
function pairs(before, after) {
  const names = new Set([...before, ...after].map((each) => each.name));
  return [...names].map((name) => [name, before.find((each) => each.name === name), after.find((each) => each.name === name)]);
}
