/** The order of rows by a column. All functions are pure. */

/** @typedef {number | string | null} Key null: there is no value */
/** @typedef {Key | Key[]} Keys of a row: the first decides, the next where that is equal */

const WORDS = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/**
 * The rows in order. What is equal stays as it was; what has no value is last, whichever way.
 * @template Item
 * @param {Item[]} items
 * @param {(item: Item) => Keys} keyOf
 * @param {boolean} descending
 * @returns {Item[]}
 */
export function sorted(items, keyOf, descending) {
  const keyed = items.map((item) => ({ item, keys: [keyOf(item)].flat() }));
  keyed.sort((one, two) => compare(one.keys, two.keys, descending));
  return keyed.map(({ item }) => item);
}

/**
 * The key of a cell's text: a number where it is one.
 * @param {string} text
 * @returns {Key}
 */
export function keyOfText(text) {
  const bare = text.trim();
  if (!bare) return null;
  const value = Number(bare);
  return Number.isNaN(value) ? text : value;
}

/** @param {Key[]} one @param {Key[]} other @param {boolean} descending */
function compare(one, other, descending) {
  for (let at = 0; at < Math.max(one.length, other.length); at += 1) {
    const [first, second] = [missing(one[at]), missing(other[at])];
    if (first !== second) return first ? 1 : -1;
    if (first) continue;
    const order = compareKeys(/** @type {number | string} */ (one[at]), /** @type {number | string} */ (other[at]));
    if (order) return descending ? -order : order;
  }
  return 0;
}

/** @param {Key | undefined} key */
function missing(key) {
  return key === null || key === undefined || Number.isNaN(key);
}

/** Numbers before words. @param {number | string} one @param {number | string} other */
function compareKeys(one, other) {
  if (typeof one === "number" && typeof other === "number") return one < other ? -1 : one > other ? 1 : 0;
  if (typeof one !== typeof other) return typeof one === "number" ? -1 : 1;
  return WORDS.compare(String(one), String(other));
}
