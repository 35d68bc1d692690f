/**
 * Quantiles of histograms, as Prometheus's histogram_quantile finds them: between the bounds of a bucket by a straight line.
 *
 *     [{ most: 0.01, count: 5 }, { most: 0.1, count: 9 }, { most: Infinity, count: 10 }], 0.5 ──▶ 0.01
 */

/** @typedef {{ most: number, count: number }} Bucket count: of all that are not above `most` */
/** @typedef {{ value: number, within: "" | "at most" | "over", bound: number }} Quantile within: where no more is known than that it is so to the bound */

/**
 * Null where nothing has been counted.
 * @param {Bucket[]} buckets in any order; the last bound is infinite
 * @param {number} part 0.99: 99 % are not above it
 * @returns {Quantile | null}
 */
export function quantile(buckets, part) {
  const sorted = [...buckets].sort((one, other) => one.most - other.most);
  const last = sorted.at(-1);
  if (!last || last.most !== Infinity || sorted.length < 2) return null;
  for (let place = 1; place < sorted.length; place += 1) {
    // Parts of a sum are told at slightly different moments: none may count less than the one before.
    sorted[place] = { most: sorted[place].most, count: Math.max(sorted[place].count, sorted[place - 1].count) };
  }
  const all = sorted[sorted.length - 1].count;
  if (!(all > 0)) return null;
  const rank = part * all;
  const place = sorted.findIndex(({ count }) => count >= rank);
  if (place === sorted.length - 1) {
    const bound = sorted[place - 1].most;
    return { value: bound, within: "over", bound };
  }
  const { most, count } = sorted[place];
  if (place === 0 && most <= 0) return { value: most, within: "at most", bound: most };
  const least = place === 0 ? 0 : sorted[place - 1].most;
  const below = place === 0 ? 0 : sorted[place - 1].count;
  const value = least + (most - least) * ((rank - below) / (count - below));
  return { value, within: place === 0 ? "at most" : "", bound: most };
}
