/**
 * A chart of lines over the last minutes, with the values at a moment beside their names.
 *
 *     createChart(panel, onMoment) ──▶ { element, draw(panel, times) }
 *
 * The moment is the latest one, or where the pointer or the arrow keys are; all charts of a page show the same. Gaps stay gaps.
 */
import { fill, h, svg, uniqueId } from "../core/dom.js";
import { duration, number } from "../core/numbers.js";
import { KEPT_S } from "./ring.js";
import { ticks } from "./ticks.js";

/** @typedef {import("./panels.js").Panel} Panel */
/** @typedef {import("./panels.js").Line} Line */
/** @typedef {import("./panels.js").Point} Point */
/** @typedef {{ element: HTMLElement, draw: (panel: Panel, times: Times) => void, end: () => void }} Chart */
/** @typedef {{ first: number, now: number, moment: number | null }} Times first: since when it is looked; moment: null: the latest */

const HEIGHT = 168;
const EDGE = { top: 10, right: 8, bottom: 22, left: 60 };
const MINUTES = KEPT_S / 60;
const STEP_MS = 2000;
/** @type {{ [within: string]: string }} */
const SIGNS = { "at most": "\u2264", over: ">" };

/**
 * @param {Panel} panel
 * @param {(moment: number | null) => void} onMoment the pointer or a key has chosen one, in ms; null: the latest
 * @returns {Chart}
 */
export function createChart({ key, title, about }, onMoment) {
  const id = uniqueId("chart");
  const picture = svg("svg", { class: "chart", height: HEIGHT, "aria-hidden": "true" });
  const place = h(
    "div",
    {
      class: "plot",
      role: "slider",
      tabindex: "0",
      "aria-label": `${title}: moment`,
      "aria-valuemin": String(-KEPT_S),
      "aria-valuemax": "0",
      "aria-valuenow": "0",
      onpointermove: (/** @type {PointerEvent} */ event) => onMoment(momentAt(event.clientX)),
      onpointerdown: (/** @type {PointerEvent} */ event) => onMoment(momentAt(event.clientX)),
      onpointerleave: () => onMoment(null),
      onblur: () => onMoment(null),
      onkeydown: byKey,
    },
    picture,
  );
  const none = h("p", { class: "none hint", hidden: true });
  const head = h("th", { scope: "col", class: "number" }, "now");
  const most = h("th", { scope: "col", class: "number" }, "highest");
  const body = h("tbody");
  const table = h("table", { class: "legend" }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "line"), head, most)), body);
  const element = h(
    "section",
    { class: "card live-panel", "aria-labelledby": id, dataset: { panel: key } },
    h("h2", { id }, title),
    h("p", { class: "hint" }, about),
    h("div", { class: "frame" }, place, none),
    table,
  );
  /** @type {({ panel: Panel } & Times) | null} */
  let last = null;
  let width = 480;
  const watch = new ResizeObserver(([{ contentRect }]) => {
    if (Math.abs(contentRect.width - width) < 1 || contentRect.width < 50) return;
    width = contentRect.width;
    if (last) draw(last.panel, last);
  });
  watch.observe(place);
  /** @type {Map<string, number>} which look a line has, for as long as it is there */
  const looks = new Map();

  /** @param {number} clientX */
  function momentAt(clientX) {
    if (!last) return null;
    const { left } = place.getBoundingClientRect();
    const part = (clientX - left - EDGE.left) / (width - EDGE.left - EDGE.right);
    return last.now - (1 - Math.min(1, Math.max(0, part))) * KEPT_S * 1000;
  }

  /** @param {KeyboardEvent} event */
  function byKey(event) {
    if (!last) return;
    const from = last.moment ?? last.now;
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -15, PageUp: 15 }[event.key];
    if (steps !== undefined) onMoment(from + steps * STEP_MS >= last.now ? null : Math.max(last.now - KEPT_S * 1000, from + steps * STEP_MS));
    else if (event.key === "Home") onMoment(last.now - KEPT_S * 1000);
    else if (event.key === "End" || event.key === "Escape") onMoment(null);
    else return;
    event.preventDefault();
  }

  /** @param {Panel} panel @param {Times} times */
  function draw(panel, { first, now, moment }) {
    last = { panel, first, now, moment };
    const { lines, unit } = panel;
    dress(looks, lines);
    const values = lines.flatMap(({ points }) => points.map(({ value }) => value ?? 0));
    const grid = ticks(values.reduce((one, other) => Math.max(one, other), 0));
    const top = grid[grid.length - 1];
    const x = (/** @type {number} */ at) => EDGE.left + (1 - (now - at) / (KEPT_S * 1000)) * (width - EDGE.left - EDGE.right);
    const y = (/** @type {number} */ value) => EDGE.top + (1 - value / top) * (HEIGHT - EDGE.top - EDGE.bottom);
    picture.setAttribute("width", String(width));
    picture.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    fill(
      picture,
      (lines.length ? grid : [0]).map((value) => svg("line", { class: value === 0 ? "base" : "grid", x1: EDGE.left, x2: width - EDGE.right, y1: y(value), y2: y(value) })),
      (lines.length ? grid : []).map((value) => svg("text", { x: EDGE.left - 6, y: y(value) + 4, "text-anchor": "end" }, short(value, unit))),
      minutes(width).map((minute) =>
        svg("text", { x: x(now - minute * 60_000), y: HEIGHT - 6, "text-anchor": minute === 0 ? "end" : minute === MINUTES ? "start" : "middle" }, minute === 0 ? "now" : minute === MINUTES ? `${minute} min ago` : `${minute} min`),
      ),
      lines.map((line) => svg("path", { class: lookOf(looks, line), d: path(line.points, x, y) })),
      lines.flatMap((line) => alone(line.points).map(({ at, value }) => svg("circle", { class: lookOf(looks, line), cx: x(at), cy: y(value ?? 0), r: 2 }))),
      moment !== null && lines.length > 0 && svg("line", { class: "moment", x1: x(moment), x2: x(moment), y1: EDGE.top, y2: HEIGHT - EDGE.bottom }),
    );
    const nothing = `${panel.none} since ${clock(first)}.`;
    fill(none, nothing);
    none.hidden = lines.length > 0;
    const when = moment === null ? "now" : clock(moment);
    fill(head, when);
    table.hidden = lines.length === 0;
    fill(body, lines.map((line) => row(line, unit, moment ?? now)));
    const told = lines.map((line) => `${line.name} ${text(pointAt(line.points, moment ?? now), unit, true)}`).join("; ");
    place.setAttribute("aria-valuenow", String(Math.round(((moment ?? now) - now) / 1000)));
    place.setAttribute("aria-valuetext", `${when}: ${told || nothing}`);
  }

  /** @param {Line} line @param {Panel["unit"]} unit @param {number} moment */
  function row(line, unit, moment) {
    const highest = line.points.reduce((/** @type {Point | null} */ best, each) => (each.value !== null && (best?.value ?? -1) < each.value ? each : best), null);
    const sample = svg("svg", { class: "swatch", width: 26, height: 10, "aria-hidden": "true" }, svg("path", { class: lookOf(looks, line), d: "M1 5H25" }));
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, h("span", { class: "line-name" }, sample, h("span", {}, line.name))),
      h("td", { class: "number" }, text(pointAt(line.points, moment), unit)),
      h("td", { class: "number" }, text(highest, unit)),
    );
  }

  return { element, draw, end: () => watch.disconnect() };
}

/**
 * Gives each line a look of its own, which it keeps while it is there.
 * @param {Map<string, number>} looks @param {Line[]} lines
 */
function dress(looks, lines) {
  for (const name of [...looks.keys()]) if (!lines.some((line) => line.name === name)) looks.delete(name);
  for (const { name } of lines) {
    if (looks.has(name)) continue;
    const used = new Set(looks.values());
    let free = 0;
    while (used.has(free)) free += 1;
    looks.set(name, free);
  }
}

/** @param {Map<string, number>} looks @param {Line} line */
function lookOf(looks, line) {
  return line.rest ? "line rest" : `line line-${(looks.get(line.name) ?? 0) % 8}`;
}

/**
 * A path with a break at each gap.
 * @param {Point[]} points @param {(at: number) => number} x @param {(value: number) => number} y
 */
export function path(points, x, y) {
  let drawing = false;
  let made = "";
  for (const { at, value } of points) {
    if (value !== null) made += `${drawing ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    drawing = value !== null;
  }
  return made;
}

/** Points without a neighbour, which a path does not show. @param {Point[]} points */
function alone(points) {
  return points.filter(({ value }, place) => value !== null && (points[place - 1]?.value ?? null) === null && (points[place + 1]?.value ?? null) === null);
}

/**
 * The point nearest to a moment; null where there is none within two looks.
 * @param {Point[]} points @param {number} moment
 */
export function pointAt(points, moment) {
  let best = null;
  for (const each of points) if (!best || Math.abs(each.at - moment) <= Math.abs(best.at - moment)) best = each;
  return best && Math.abs(best.at - moment) <= 2 * STEP_MS ? best : null;
}

/** @param {Point | null} point @param {Panel["unit"]} unit @param {boolean} [aloud] in words, for who hears it */
function text(point, unit, aloud = false) {
  if (!point || point.value === null) return "–";
  const told = point.within ? (point.bound ?? point.value) : point.value; // within the first bucket no more is known than its bound
  const written = unit === "ms" ? duration(told) : number(told, 3);
  return point.within ? `${aloud ? point.within : SIGNS[point.within]} ${written}` : written;
}

/** @param {number} value @param {Panel["unit"]} unit */
function short(value, unit) {
  return unit === "ms" && value >= 1000 ? `${number(value / 1000, 3)} s` : unit === "ms" ? `${number(value, 3)} ms` : number(value, 3);
}

/** @param {number} width @returns {number[]} minutes ago that have a mark */
function minutes(width) {
  const all = Array.from({ length: MINUTES + 1 }, (_, minute) => minute);
  if (width < 300) return [0, MINUTES];
  if (width < 420) return all.filter((minute) => minute === 0 || minute === MINUTES || minute === 3);
  return width < 560 ? all.filter((minute) => minute !== MINUTES - 1) : all; // whose mark would touch the first one
}

/** @param {number} at */
export function clock(at) {
  return new Date(at).toLocaleTimeString("en-GB");
}
