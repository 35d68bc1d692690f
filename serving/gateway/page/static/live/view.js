/**
 * The last minutes of the server, from its metrics.
 *
 *     #/live[?model=NAME]     store ──State──▶ panels ──▶ charts; states of the versions as a table
 */
import { format, update } from "../core/address.js";
import { card, examples } from "../core/card.js";
import { fill, h, uniqueId } from "../core/dom.js";
import { requestOf, ServiceError } from "../core/service.js";
import { change, key } from "../core/session.js";
import { shellWord } from "../core/shell.js";
import { clock, createChart } from "./chart.js";
import { panels, requestsSince, seenSince } from "./panels.js";
import { windows } from "./ring.js";
import { models } from "./states.js";
import { follow, known, refuses } from "./store.js";

/** @typedef {import("./store.js").State} State */
/** @typedef {import("./states.js").ModelState} ModelState */

/**
 * @param {HTMLElement} host
 * @param {import("../core/address.js").Address} address
 * @param {AbortSignal} signal
 */
export async function show(host, address, signal) {
  document.title = "Signet: live";
  let model = address.query.get("model") ?? "";
  /** @type {number | null} */
  let moment = null;
  let paused = new AbortController();
  /** @type {{ steps: import("./steps.js").Step[], model: string, all: import("./ring.js").Window_[], drawn: import("./panels.js").Panel[] } | null} */
  let found = null;
  /** @type {Map<string, import("./chart.js").Chart>} */
  const charts = new Map();

  const standing = h("p", { class: "standing", role: "status" }, "Asking for the metrics …");
  const problem = h("div", { role: "alert" });
  const idle = h("div", { class: "idle" });
  const choice = h("select", { id: uniqueId("model"), onchange: () => choose(choice.value) });
  const pausing = h("button", { type: "button", "aria-pressed": "false", onclick: pauseOrGoOn }, "Pause");
  const grid = h("div", { class: "live-grid" });
  const states = h("section", { class: "card live-states", "aria-labelledby": "states-title", hidden: true });
  fill(
    host,
    h("h1", {}, "Live"),
    h("div", { class: "live-bar" }, h("div", { class: "picker" }, h("label", { for: choice.id }, "Model"), choice), pausing, standing),
    problem,
    idle,
    grid,
    states,
  );
  offer([]);
  signal.addEventListener("abort", () => charts.forEach((chart) => chart.end()));
  if (known().latest) draw();
  await looking();

  /** Looks until there is no more to see, or it is told to stop. */
  async function looking() {
    await follow(AbortSignal.any([signal, paused.signal]), draw);
  }

  function pauseOrGoOn() {
    const going = pausing.getAttribute("aria-pressed") === "false";
    pausing.setAttribute("aria-pressed", String(going));
    if (going) {
      paused.abort();
      tellStanding();
    } else {
      paused = new AbortController();
      void looking();
    }
  }

  /** @param {string} name */
  function choose(name) {
    model = name;
    update(address, { model });
    draw();
  }

  function draw() {
    const state = known();
    tellStanding();
    tellProblem(state);
    if (!state.latest) return;
    const told = models(state.latest);
    offer(told.map(({ name }) => name));
    const { all, drawn } = drawnOf(state.steps);
    const now = all[all.length - 1].at;
    for (const [key, chart] of charts) {
      if (drawn.some((panel) => panel.key === key)) continue;
      chart.end();
      chart.element.remove();
      charts.delete(key);
    }
    drawn.forEach((panel, place) => {
      const chart = charts.get(panel.key) ?? createChart(panel, at);
      if (grid.children[place] !== chart.element) grid.insertBefore(chart.element, grid.children[place] ?? null);
      charts.set(panel.key, chart);
      chart.draw(panel, { first: all[0].at, now, moment });
    });
    tellIdle(all, now, told);
    tellStates(model ? told.filter(({ name }) => name === model) : told);
  }

  /** What is drawn of the steps, found once: the pointer moves more often than they change. @param {import("./steps.js").Step[]} steps */
  function drawnOf(steps) {
    if (found?.steps !== steps || found.model !== model) {
      const all = windows(steps);
      found = { steps, model, all, drawn: panels(all, model) };
    }
    return found;
  }

  /** @param {number | null} chosen */
  function at(chosen) {
    moment = chosen;
    draw();
  }

  /** The models to choose from, with the one that is chosen though there is none such. @param {string[]} names */
  function offer(names) {
    const all = model && !names.includes(model) ? [...names, model] : names;
    const before = [...choice.options].map(({ value }) => value).slice(1);
    if (choice.options.length === 0 || before.join("\n") !== all.join("\n")) {
      fill(choice, h("option", { value: "" }, "all models"), all.map((name) => h("option", { value: name }, name)));
    }
    choice.value = model;
  }

  function tellStanding() {
    const { latest, failure } = known();
    const stopped = paused.signal.aborted;
    if (!latest && !stopped) return;
    const version = latest?.families.get("signet_build_info")?.[0]?.labels.version;
    const draining = (latest?.families.get("signet_draining")?.[0]?.value ?? 0) > 0;
    const parts = [
      version && `Signet ${version}`,
      draining && "shutting down",
      failure ? `no metrics since ${clock(failure.since)}` : stopped ? "paused" : `looking every two seconds${known().steps.length ? `, since ${clock(known().steps[0].at)}` : ""}`,
    ];
    const text = parts.filter(Boolean).join(" · ");
    if (standing.textContent !== text) fill(standing, text); // a screen reader says it when it changes, not every two seconds
  }

  /** @param {State} state */
  function tellProblem(state) {
    const { failure } = state;
    const text = failure?.error.message ?? "";
    if (problem.dataset.text === text) return;
    problem.dataset.text = text;
    if (!failure) fill(problem);
    else if (refuses(state)) fill(problem, refusal(/** @type {ServiceError} */ (failure.error)));
    else fill(problem, h("p", { class: "error" }, `${text.replace(/\.$/, "")}. It is asked again.`));
    if (!state.latest) fill(standing);
  }

  /** @param {ServiceError} error */
  function refusal(error) {
    return h(
      "div",
      { class: "panel" },
      h("h2", {}, "This is shown to admins"),
      h("p", { class: "error" }, error.message),
      h("p", {}, "What the server counts tells of all models and callers: it asks for an admin's key, which ", h("code", {}, "signet keys add NAME --models '*' --admin"), " makes."),
      h("p", {}, h("button", { type: "button", class: "primary", onclick: () => void change("Live asks for an admin's key.") }, "Show a key")),
    );
  }

  /** @param {import("./ring.js").Window_[]} all @param {number} now @param {ModelState[]} told */
  function tellIdle(all, now, told) {
    const waiting = requestsSince(all, model, now - MINUTE) === 0;
    const since = seenSince(all);
    const when = since <= now - MINUTE ? "in the last minute" : `since ${clock(since)}, when this page began to look`;
    const name = model || told.find(({ available }) => available)?.name || "";
    const key = waiting ? `${when} ${name}` : "";
    if (idle.dataset.key === key) return;
    idle.dataset.key = key;
    fill(idle, waiting && h("p", {}, `No requests${model && ` of ${model}`} ${when}.`), waiting && name && attempt(name, signal));
  }

  /** @param {ModelState[]} told */
  function tellStates(told) {
    states.hidden = told.length === 0;
    const key = JSON.stringify(told);
    if (states.dataset.key === key) return;
    states.dataset.key = key;
    const released = told.some(({ release }) => release);
    fill(
      states,
      h("h2", { id: "states-title" }, "Versions"),
      h(
        "div",
        { class: "scroll", tabindex: "0", role: "group", "aria-labelledby": "states-title" },
        h(
          "table",
          {},
          h("thead", {}, h("tr", {}, ["Model", "Versions", ...(released ? ["Release"] : [])].map((each) => h("th", { scope: "col" }, each)))),
          h("tbody", {}, told.map((each) => stateRow(each, released))),
        ),
      ),
    );
  }
}

/** @param {ModelState} state @param {boolean} released whether any model has a release */
function stateRow({ name, available, versions, failed, release }, released) {
  const words = versions.map(({ version, state }) => `${version} ${state.toLowerCase()}`).join(", ");
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, h("a", { href: format(["models", name]) }, name)),
    h("td", {}, words, !available && h("span", { class: "error" }, `${words && "; "}no version answers`), failed.length > 0 && h("span", { class: "error" }, `; not served: ${failed.join(", ")}`)),
    released && h("td", {}, release || "–"),
  );
}

const MINUTE = 60_000;

/** Characters of a command beyond which the form alone is offered. */
const LONGEST = 1000;

/**
 * A request to try: the page's own form, or from a shell with the model's example where that is short.
 * @param {string} name
 * @param {AbortSignal} signal
 */
function attempt(name, signal) {
  const place = h("div", {}, h("p", {}, h("a", { href: format(["models", name]) }, `Ask ${name}`), " by its form."));
  void command(name, signal).then((text) => {
    if (!text || text.length > LONGEST) return;
    fill(place, h("p", {}, h("a", { href: format(["models", name]) }, `Ask ${name}`), " by its form, or from a shell:"), h("pre", { class: "code", tabindex: "0", "aria-label": "A request to try" }, text));
  });
  return place;
}

/** @param {string} name @param {AbortSignal} signal @returns {Promise<string>} empty: the model has no example that is told */
async function command(name, signal) {
  try {
    const signature = (await card(name, null, signal)).signatures.find(({ servable }) => servable);
    if (!signature) return "";
    const { rows } = await examples(name, null, signature.name, signal);
    if (!rows.length) return "";
    const { path, body } = requestOf({ model: name, signature, rows: rows.slice(0, 1) });
    const { named_outputs: _named, non_finite: _finite, ...plain } = body;
    const header = key() && '-H "X-API-Key: $SIGNET_KEY" ';
    return `curl -s ${new URL(path, location.href).href} ${header}-d ${shellWord(JSON.stringify(plain))}`;
  } catch (error) {
    if (error instanceof ServiceError || signal.aborted) return ""; // the form says why
    throw error;
  }
}
