/**
 * What has happened between one look at the metrics and the next. All functions are pure.
 *
 *     Exposition ──look──▶ Look ──step(before, after)──▶ Step: increases of counters, and gauges as they stand
 *
 * A counter that has fallen began anew with its server: what it has now came since. After a pause or a server that was away
 * a step is a gap: what came meanwhile is known, but not when.
 */

/** @typedef {import("./exposition.js").Labels} Labels */
/** @typedef {import("./exposition.js").Sample} Sample */
/**
 * @typedef {object} Look
 * @property {number} at in ms since 1970
 * @property {Map<string, Sample>} values by name and labels
 * @property {Map<string, Sample[]>} families by name of the sample
 * @property {Set<string>} lasting names of those that count since the start of the server
 * @property {Map<string, number[]>} bounds of the buckets, by name of the histogram
 */
/** @typedef {{ labels: Labels, value: number }} Value */
/**
 * @typedef {object} Step
 * @property {number} at when it ended, in ms since 1970
 * @property {number} seconds how long it was; 0: a gap, or the first look
 * @property {Map<string, Value[]>} increases of counters and of the parts of histograms, by name of sample, those above 0
 * @property {Map<string, Value[]>} gauges by name, of those that are followed
 * @property {Map<string, number[]>} bounds of the buckets, by name of the histogram
 */

/** Seconds of a step beyond which it is a gap: browsers and servers are late, but not so late. */
export const LONGEST_S = 6;

/**
 * The metrics as they are compared.
 * @param {import("./exposition.js").Exposition} exposition
 * @param {number} at in ms
 * @param {Set<string>} wanted names of samples: others are left out
 * @returns {Look}
 */
export function look({ samples, types }, at, wanted) {
  const values = new Map();
  const families = new Map();
  const lasting = new Set();
  /** @type {Map<string, Set<number>>} */
  const bounds = new Map();
  for (const sample of samples) {
    if (!wanted.has(sample.name)) continue;
    values.set(keyOf(sample), sample);
    const family = families.get(sample.name);
    if (family) family.push(sample);
    else families.set(sample.name, [sample]);
    if (isLasting(sample.name, types)) lasting.add(sample.name);
    if (sample.labels.le !== undefined) {
      const histogram = sample.name.replace(/_bucket$/, "");
      bounds.set(histogram, (bounds.get(histogram) ?? new Set()).add(numberOf(sample.labels.le)));
    }
  }
  return { at, values, families, lasting, bounds: new Map([...bounds].map(([name, each]) => [name, [...each]])) };
}

/**
 * @param {Look | null} before null: it is the first one, or the one before has failed
 * @param {Look} after
 * @param {Set<string>} followed names of gauges that the step keeps
 * @returns {Step}
 */
export function step(before, after, followed) {
  const seconds = before ? (after.at - before.at) / 1000 : 0;
  const gap = !before || seconds > LONGEST_S || seconds <= 0;
  const increases = new Map();
  const gauges = new Map();
  for (const [name, samples] of after.families) {
    if (followed.has(name)) {
      gauges.set(name, samples);
    } else if (!gap && after.lasting.has(name)) {
      const grown = samples.map((sample) => grownBy(before.values, sample)).filter(({ value }) => value > 0);
      if (grown.length) increases.set(name, grown);
    }
  }
  return { at: after.at, seconds: gap ? 0 : seconds, increases, gauges, bounds: after.bounds };
}

/**
 * The bound of a bucket.
 * @param {string} text
 */
export function numberOf(text) {
  return text === "+Inf" ? Infinity : Number(text);
}

/** @param {Map<string, Sample>} before @param {Sample} sample @returns {Value} */
function grownBy(before, sample) {
  const was = before.get(keyOf(sample))?.value ?? 0;
  return { labels: sample.labels, value: sample.value >= was ? sample.value - was : sample.value };
}

/** @param {Sample} sample */
function keyOf({ name, labels }) {
  return JSON.stringify([name, ...Object.entries(labels).sort(([one], [other]) => (one < other ? -1 : 1))]);
}

/** @param {string} name of a sample @param {Map<string, string>} types */
function isLasting(name, types) {
  const type = types.get(name) ?? types.get(name.replace(/_total$/, ""));
  if (type === "counter") return true;
  const histogram = /^(.*)_(?:bucket|sum|count)$/.exec(name);
  return histogram !== null && ["histogram", "summary"].includes(types.get(histogram[1]) ?? "");
}
