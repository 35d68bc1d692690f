/**
 * What is drawn: from windows of steps to named lines. All functions are pure.
 *
 *     windows, model or all ──panels──▶ [{ title, unit, lines: [{ name, points: [{ at, value }…] }] }]
 *
 * Of many models those with the most requests have a line each, and the rest share one.
 */
import { quantiles, sums } from "./ring.js";

/** @typedef {import("./ring.js").Window_} Window_ */
/** @typedef {import("./exposition.js").Labels} Labels */
/** @typedef {{ at: number, value: number | null, within?: string, bound?: number }} Point value null: nothing is known of that moment */
/** @typedef {{ name: string, rest?: boolean, points: Point[] }} Line */
/** @typedef {{ key: string, title: string, about: string, unit: "" | "ms", none: string, lines: Line[] }} Panel none: what there was none of, where there is no line */

/** Lines of one panel; what is beyond shares another. */
const MOST_LINES = 6;

const STAGES = { parse: "read", decode: "decode", queue: "wait", run: "model", encode: "encode" };

/** Counters, and parts of histograms, of which increases are needed. */
const COUNTED = [
  "signet_requests_total",
  "signet_request_duration_seconds_bucket",
  "signet_stage_duration_seconds_sum",
  "signet_stage_duration_seconds_count",
  "signet_batch_rows_sum",
  "signet_batch_rows_count",
  "signet_shed_total",
  "signet_access_refused_total",
];
/** Gauges that are drawn. */
export const FOLLOWED = new Set(["signet_requests_in_flight", "signet_admission_queue_depth", "signet_release_share"]);
/** Gauges of which only the latest matter. */
const TOLD = [
  "signet_model_state",
  "signet_model_available",
  "signet_failed_versions",
  "signet_release_stage",
  "signet_release_missing",
  "signet_release_stopped",
  "signet_draining",
  "signet_build_info",
];
export const WANTED = new Set([...COUNTED, ...FOLLOWED, ...TOLD]);

/**
 * @param {Window_[]} all
 * @param {string} model empty: all
 * @returns {Panel[]}
 */
export function panels(all, model) {
  const of = (/** @type {Labels} */ labels) => (model === "" || labels.model === model ? labels.model : null);
  const largest = mostAsked(all, of);
  const byModel = { lines: largest, of };
  const share = release(all, byModel);
  return [
    {
      key: "requests",
      title: "Requests per second",
      about: model ? "of this model" : "by model",
      unit: "",
      none: "No requests",
      lines: grouped(rates(all, "signet_requests_total", of), largest, 0),
    },
    {
      key: "errors",
      title: "Errors per second",
      about: "requests that were not answered with OK, by code",
      unit: "",
      none: "No errors",
      lines: grouped(rates(all, "signet_requests_total", (labels) => (of(labels) === null || labels.code === "OK" ? null : labels.code)), null, 0),
    },
    ...times(all, model, largest, of),
    {
      key: "stages",
      title: "Where the time goes",
      about: "mean of each stage of a request",
      unit: "ms",
      none: "No requests",
      lines: means(all, "signet_stage_duration_seconds", (labels) => (of(labels) === null ? null : named(labels.stage)), 1000),
    },
    {
      key: "work",
      title: "In work and waiting",
      about: model ? "requests in work of all models; waiting for a call, of this one" : "requests in work, and those of them that wait for a call",
      unit: "",
      none: "Nothing",
      lines: [gauge(all, model ? "in work, all models" : "in work", "signet_requests_in_flight", () => true), gauge(all, "waiting", "signet_admission_queue_depth", (labels) => of(labels) !== null)],
    },
    {
      key: "rows",
      title: "Rows a call",
      about: "mean number of rows that share one call of the model",
      unit: "",
      none: "No calls",
      lines: onlyLargest(means(all, "signet_batch_rows", of, 1), largest),
    },
    ...(share.length ? [{ key: "share", title: "Share of the candidate", about: "percent of the requests that a release's candidate is given", unit: /** @type {""} */ (""), none: "", lines: share }] : []),
    ...turnedAway(all),
  ];
}

/**
 * Requests of the last windows, in all.
 * @param {Window_[]} all
 * @param {string} model
 * @param {number} since ms
 */
export function requestsSince(all, model, since) {
  let count = 0;
  for (const each of all) {
    const last = each.steps.at(-1);
    if (!last || each.at < since) continue;
    for (const { labels, value } of last.increases.get("signet_requests_total") ?? []) {
      if (model === "" || labels.model === model) count += value;
    }
  }
  return count;
}

/**
 * Since when all that was counted is known: the last gap, or the first look.
 * @param {Window_[]} all
 */
export function seenSince(all) {
  const gaps = all.filter(({ seconds }) => seconds === 0);
  return (gaps.at(-1) ?? all[0]).at;
}

/** @param {Window_[]} all @param {string} model @param {string[]} largest @param {(labels: Labels) => string | null} of @returns {Panel[]} */
function times(all, model, largest, of) {
  const none = "No requests";
  const name = "signet_request_duration_seconds";
  if (model) {
    const found = quantileLines(all, name, of, [0.5, 0.99]);
    const lines = found.flatMap(({ points }, place) => points.map((each) => ({ ...each, name: place === 0 ? "half (p50)" : "99 % (p99)" })));
    const byProtocol = quantileLines(all, name, (labels) => (of(labels) === null ? null : protocol(labels.protocol)), [0.99])[0].points;
    return [
      { key: "time", title: "Time of a request", about: "within which half of them, and 99 % of them, were answered", unit: "ms", none, lines },
      { key: "protocols", title: "99 % by protocol", about: "time within which 99 % were answered", unit: "ms", none, lines: byProtocol },
    ];
  }
  const [half, most] = quantileLines(all, name, of, [0.5, 0.99]);
  return [
    { key: "p50", title: "Half within (p50)", about: "time within which half of the requests were answered", unit: "ms", none, lines: onlyLargest(half.points, largest) },
    { key: "p99", title: "99 % within (p99)", about: "time within which 99 % of the requests were answered", unit: "ms", none, lines: onlyLargest(most.points, largest) },
  ];
}

/**
 * Lines of quantiles, for each part.
 * @param {Window_[]} all @param {string} name @param {(labels: Labels) => string | null} keyOf @param {number[]} parts
 */
function quantileLines(all, name, keyOf, parts) {
  const each = all.map((one) => ({ at: one.at, found: quantiles(one, name, keyOf, parts) }));
  const keys = [...new Set(each.flatMap(({ found }) => [...found.keys()]))].sort();
  return parts.map((_, part) => ({
    points: keys.map((key) => ({
      name: key,
      points: each.map(({ at, found }) => {
        const told = found.get(key)?.[part];
        return told ? { at, value: told.value * 1000, within: told.within, bound: told.bound * 1000 } : { at, value: null };
      }),
    })),
  }));
}

/** @param {Window_[]} all @param {string} name @param {(labels: Labels) => string | null} keyOf @returns {Line[]} */
function rates(all, name, keyOf) {
  const each = all.map((one) => ({ one, found: sums(one, name, keyOf) }));
  const keys = [...new Set(each.flatMap(({ found }) => [...found.keys()]))].sort();
  return keys.map((key) => ({
    name: key,
    points: each.map(({ one, found }) => ({ at: one.at, value: one.seconds ? (found.get(key) ?? 0) / one.seconds : null })),
  }));
}

/** @param {Window_[]} all @param {string} name of a histogram @param {(labels: Labels) => string | null} keyOf @param {number} scale @returns {Line[]} */
function means(all, name, keyOf, scale) {
  const each = all.map((one) => ({ at: one.at, sum: sums(one, `${name}_sum`, keyOf), count: sums(one, `${name}_count`, keyOf) }));
  const found = new Set(each.flatMap(({ count }) => [...count.keys()]));
  const order = Object.values(STAGES);
  const keys = [...found].sort((one, other) => order.indexOf(one) - order.indexOf(other) || (one < other ? -1 : 1));
  return keys.map((key) => ({
    name: key,
    points: each.map(({ at, sum, count }) => ({ at, value: count.get(key) ? ((sum.get(key) ?? 0) / (count.get(key) ?? 1)) * scale : null })),
  }));
}

/** @param {Window_[]} all @param {string} line @param {string} name @param {(labels: Labels) => boolean} counts @returns {Line} */
function gauge(all, line, name, counts) {
  return {
    name: line,
    points: all.map(({ at, steps, seconds }) => {
      const values = (steps.at(-1)?.gauges.get(name) ?? []).filter(({ labels }) => counts(labels));
      return { at, value: seconds && values.length ? values.reduce((sum, { value }) => sum + value, 0) : null };
    }),
  };
}

/** @param {Window_[]} all @param {{ of: (labels: Labels) => string | null }} by @returns {Line[]} */
function release(all, { of }) {
  const last = all.at(-1)?.steps.at(-1)?.gauges.get("signet_release_share") ?? [];
  const models = [...new Set(last.map(({ labels }) => labels.model))].filter((name) => of({ model: name }) !== null).slice(0, MOST_LINES);
  return models.map((model) => {
    const { points } = gauge(all, model, "signet_release_share", (labels) => labels.model === model);
    return { name: model, points: points.map(({ at, value }) => ({ at, value: value === null ? null : value * 100 })) };
  });
}

/** Of all models: who is turned away has asked for none yet. @param {Window_[]} all @returns {Panel[]} */
function turnedAway(all) {
  const words = (/** @type {Labels} */ { reason }) => reason.replaceAll("_", " ");
  const shed = rates(all, "signet_shed_total", words);
  const refused = rates(all, "signet_access_refused_total", words);
  return [
    ...(shed.length ? [{ key: "shed", title: "Turned away per second", about: "for want of room or time, of all models, by reason", unit: /** @type {""} */ (""), none: "", lines: grouped(shed, null, 0) }] : []),
    ...(refused.length ? [{ key: "refused", title: "Refused per second", about: "for the key shown, of all models, by reason", unit: /** @type {""} */ (""), none: "", lines: grouped(refused, null, 0) }] : []),
  ];
}

/**
 * The models that have a line of their own: those with most requests.
 * @param {Window_[]} all @param {(labels: Labels) => string | null} of
 */
function mostAsked(all, of) {
  /** @type {Map<string, number>} */
  const asked = new Map();
  for (const { steps } of all) {
    for (const { labels, value } of steps.at(-1)?.increases.get("signet_requests_total") ?? []) {
      const key = of(labels);
      if (key !== null) asked.set(key, (asked.get(key) ?? 0) + value);
    }
  }
  return [...asked].sort(([one, of1], [other, of2]) => of2 - of1 || (one < other ? -1 : 1)).slice(0, MOST_LINES).map(([name]) => name);
}

/** @param {Line[]} lines @param {string[]} largest */
function onlyLargest(lines, largest) {
  return lines.filter(({ name }) => largest.includes(name));
}

/**
 * The largest lines, and the sum of the others as one.
 * @param {Line[]} lines
 * @param {string[] | null} largest null: by their highest sum
 * @param {number} empty
 * @returns {Line[]}
 */
function grouped(lines, largest, empty) {
  const total = (/** @type {Line} */ { points }) => points.reduce((sum, { value }) => sum + (value ?? empty), 0);
  const names = largest ?? [...lines].sort((one, other) => total(other) - total(one)).slice(0, MOST_LINES).map(({ name }) => name);
  const shown = lines.filter(({ name }) => names.includes(name));
  const others = lines.filter(({ name }) => !names.includes(name));
  if (others.length === 0) return shown;
  const points = others[0].points.map(({ at, value }, place) => ({
    at,
    value: value === null ? null : others.reduce((sum, { points: each }) => sum + (each[place].value ?? 0), 0),
  }));
  return [...shown, { name: `${others.length} others`, rest: true, points }];
}

/** @param {string} stage */
function named(stage) {
  return STAGES[/** @type {keyof typeof STAGES} */ (stage)] ?? stage;
}

/** @param {string} name */
function protocol(name) {
  return { v1: "V1 HTTP", v2: "V2 HTTP", grpc_v1: "V1 gRPC", grpc_v2: "V2 gRPC" }[name] ?? name;
}
