/**
 * A file of rows, and the answer to each of them.
 *
 *     file ──file_kind──▶ text ──records──▶ rows ──columns──▶ inputs ──asking──▶ answers ──grid──▶ a table ──download──▶ files
 *                 └── Parquet, Arrow: the gateway reads it, and gives its rows
 *
 * What was asked last stays while the page is open: whoever looks at a row in the form finds the table as it was.
 */
import { format, LONGEST } from "../../core/address.js";
import { fill, h, uniqueId } from "../../core/dom.js";
import { count, duration } from "../../core/numbers.js";
import { modelPath, predict, send, ServiceError } from "../../core/service.js";
import { shellWord } from "../../core/shell.js";
import { pause } from "../../core/time.js";
import { askAll, Stopped } from "./asking.js";
import { BadRow, planOf, rowOf } from "./columns.js";
import { BrokenFile } from "./csv.js";
import { toCsv, toJsonLines } from "./download.js";
import { kindOf } from "./file_kind.js";
import { createGrid, MOST_CARRIED } from "./grid.js";
import { listed, MOST_ROWS, ofCsv, ofLines, ofRows, ofWhole, TooManyRows } from "./records.js";

/** @typedef {import("../view.js").Context} Context */
/** @typedef {import("./grid.js").Item} Item */
/** @typedef {{ name: string, notes: string[], columns: string[], plan: import("./columns.js").Plan, items: Item[], version: number | null, ms: number, stopped: string | null }} Job stopped: why not all rows were asked; empty: the user has said so; null: they are, or are being asked */

const MOST_BYTES = 1 << 24;
const ROWS_IN_A_REQUEST = 100;
const TYPES = { parquet: "application/vnd.apache.parquet", arrow: "application/vnd.apache.arrow.stream" };
const ACCEPTED = ".csv,.tsv,.tab,.txt,.jsonl,.ndjson,.json,.parquet,.pq,.arrow,.arrows,.feather";

/** @type {{ of: string, job: Job } | null} */
let last = null;

/**
 * @param {HTMLElement} host
 * @param {Context} context
 * @param {AbortSignal} signal
 */
export async function show(host, context, signal) {
  const { signature, card } = context;
  const version = context.version ?? card.version;
  const of = JSON.stringify([card.name, version, signature.name]);
  const problem = h("div", { role: "alert" });
  const place = h("div", {});
  const id = uniqueId("file");
  const input = h("input", { id, type: "file", accept: ACCEPTED, onchange: () => void chosen() });
  const names = signature.inputs.map((tensor) => tensor.name).join(", ");
  const drop = h(
    "div",
    { class: "drop-file", ondragover: over, ondragleave: () => drop.classList.remove("over"), ondrop: dropped },
    h("p", {}, h("label", { for: id }, "A file of rows"), " dropped here, or chosen:"),
    input,
    h("p", { class: "hint" }, `CSV, TSV, JSON lines, a JSON list, Parquet, Arrow; at most ${MOST_ROWS.toLocaleString("en")} rows and 16 MB. Columns are called as the inputs are: `, h("code", {}, names), ". Others, such as an id, go along."),
  );
  let running = new AbortController();

  /** @param {DragEvent} event */
  function over(event) {
    event.preventDefault();
    drop.classList.add("over");
  }

  /** @param {DragEvent} event */
  function dropped(event) {
    event.preventDefault();
    drop.classList.remove("over");
    const files = [...(event.dataTransfer?.files ?? [])];
    if (files.length > 1) fill(problem, h("p", { class: "error" }, `These are ${files.length} files; drop one at a time.`));
    else if (files.length) void take(files[0]);
  }

  async function chosen() {
    const file = input.files?.[0];
    input.value = ""; // the same file, mended, may be chosen again
    if (file) await take(file);
  }

  /** @param {File} file */
  async function take(file) {
    running.abort();
    running = new AbortController();
    const both = AbortSignal.any([signal, running.signal]);
    fill(problem);
    fill(place, h("p", { role: "status" }, `Reading ${file.name} …`));
    try {
      const job = await read(file, context, both);
      job.version = version;
      both.throwIfAborted();
      last = { of, job };
      await work(job, both);
    } catch (error) {
      if (both.aborted) return;
      if (!(error instanceof BrokenFile || error instanceof ServiceError)) throw error;
      const larger = error instanceof TooManyRows || (error instanceof ServiceError && error.status === 413);
      fill(place);
      fill(problem, h("p", { class: "error" }, `${file.name}: ${error.message}`), larger && scoreView(context, file.name));
    }
  }

  /**
   * Shows a file's rows, and asks those that are left.
   * @param {Job} job
   * @param {AbortSignal} ends
   * @param {boolean} [asks] false: it was stopped, and waits for a click
   */
  async function work(job, ends, asks = true) {
    if (asks) job.stopped = null;
    const left = job.items.filter((item) => item.row && !item.prediction && !item.error);
    const stop = new AbortController();
    const both = AbortSignal.any([ends, stop.signal]);
    const progress = h("progress", { max: job.items.length, "aria-label": "Rows asked" });
    const said = h("p", { role: "status" });
    const waiting = h("p", { class: "note", role: "status", hidden: true });
    const cancel = h("button", { type: "button", onclick: () => stop.abort() }, "Stop");
    const goOn = h("button", { type: "button", hidden: true, onclick: () => void work(job, ends) }, "Go on");
    const stopped = h("div", { role: "alert" });
    const grid = createGrid(signature, job.plan, job.items, (item) => linkOf(context, item));
    const began = performance.now();
    let drawn = false;
    fill(
      place,
      h("p", { class: "notes hint" }, [`${job.name}: ${count(job.items.length, "row")}.`, ...job.notes].join(" ")),
      h("div", { class: "running" }, progress, said, cancel, goOn),
      waiting,
      stopped,
      downloads(context, job),
      grid.element,
    );

    function draw() {
      drawn = false;
      if (ends.aborted) return;
      progress.value = job.items.filter((item) => item.prediction || item.error).length;
      grid.refresh();
    }

    function told() {
      if (drawn) return;
      drawn = true;
      setTimeout(draw, 200);
    }

    const items = new Map(job.items.map((item) => [item.record.place, item]));
    try {
      if (asks) await askAll(
        left.map(({ record, row }) => ({ place: record.place, row: /** @type {import("../../core/card.js").Row} */ (row) })),
        {
          mostRows: signature.independent && signature.in_rows ? ROWS_IN_A_REQUEST : 1,
          ask: async (rows, aborts) => (await predict({ model: card.name, version: job.version, signature, rows }, aborts)).predictions,
          answered(at, prediction) {
            /** @type {Item} */ (items.get(at)).prediction = prediction;
            told();
          },
          refused(at, error) {
            /** @type {Item} */ (items.get(at)).error = error;
            told();
          },
          waiting(message) {
            waiting.hidden = !message;
            fill(waiting, message && `The server is busy, and is asked again soon: ${message}`);
          },
          pause,
        },
        both,
      );
    } catch (error) {
      if (ends.aborted) return;
      if (!stop.signal.aborted && !(error instanceof Stopped)) throw error;
      job.stopped = stop.signal.aborted ? "" : /** @type {Error} */ (error).message;
    }
    fill(stopped, job.stopped && h("p", { class: "error" }, `Stopped: ${job.stopped}`));
    job.ms += performance.now() - began;
    const unasked = job.items.filter((item) => !item.prediction && !item.error).length;
    waiting.hidden = true;
    cancel.hidden = true;
    goOn.hidden = unasked === 0;
    progress.hidden = unasked === 0;
    draw();
    fill(said, summary(job, unasked));
  }

  fill(host, explained(context), drop, problem, place);
  if (last?.of === of) await work(last.job, AbortSignal.any([signal, running.signal]), last.job.stopped === null);
}

/**
 * A file as rows of the signature. Raises BrokenFile and ServiceError.
 * @param {File} file
 * @param {Context} context
 * @param {AbortSignal} signal
 * @returns {Promise<Job>}
 */
async function read(file, { signature, card }, signal) {
  if (file.size > MOST_BYTES) throw new TooManyRows(`it has ${(file.size / 2 ** 20).toFixed(1)} MB; here it may have 16`);
  let bytes;
  try {
    bytes = new Uint8Array(await file.arrayBuffer());
  } catch (error) {
    throw new BrokenFile(`it cannot be read: ${/** @type {Error} */ (error).message}. Is it a folder, or has it changed since?`);
  }
  const { kind, text, notes } = kindOf(bytes, "the file");
  const inputs = signature.inputs.map((tensor) => tensor.name);
  const table =
    kind === "csv" ? ofCsv(text, file.name)
    : kind === "jsonl" ? ofLines(text, inputs)
    : kind === "json" ? ofWhole(text, inputs)
    : await readByGateway(bytes, kind, card.name, signal);
  const plan = planOf(signature, table.columns);
  const items = table.records.map((record) => {
    try {
      return { record, row: rowOf(plan, record, table.texts, signature.in_rows), prediction: null, error: "" };
    } catch (error) {
      if (!(error instanceof BadRow)) throw error;
      return { record, row: null, prediction: null, error: error.message };
    }
  });
  const where = kind === "parquet" || kind === "arrow" ? "The gateway has read it, as no browser can." : "Read in this browser; only rows are sent.";
  const hidden = plan.carried.length - MOST_CARRIED;
  const along = plan.carried.length ? [`No inputs, so carried along: ${listed(plan.carried)}.${hidden > 0 ? ` ${count(hidden, "column")} of these ${hidden === 1 ? "is" : "are"} in the downloads alone.` : ""}`] : [];
  return { name: file.name, notes: [where, ...notes, ...table.notes, ...along], columns: table.columns, plan, items, version: null, ms: 0, stopped: null };
}

/**
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @param {"parquet" | "arrow"} kind
 * @param {string} model
 * @param {AbortSignal} signal
 */
async function readByGateway(bytes, kind, model, signal) {
  const response = await send(`${modelPath(model)}/rows`, { method: "POST", headers: { "Content-Type": TYPES[kind] }, body: bytes, signal });
  const { columns, rows, left_out: out } = await response.json();
  const table = ofRows(rows, columns);
  if (out.length) table.notes.push(`Left out, as JSON has no word for what they hold: ${listed(out)}.`);
  return table;
}

/** @param {Context} context */
function explained({ signature }) {
  if (signature.in_rows && signature.independent) return null;
  const why = signature.in_rows ? `rows of this signature are not known to be answered alone as in company${signature.why && ` (${signature.why})`}` : "this signature takes no rows: a line of the file is one request";
  return h("p", { class: "note" }, `Each row is asked by itself, which takes longer: ${why}.`);
}

/** @param {Job} job @param {number} unasked */
function summary(job, unasked) {
  const answered = job.items.filter((item) => item.prediction).length;
  const failed = job.items.filter((item) => item.error).length;
  const parts = [`${count(answered, "row")} answered${job.version === null ? "" : ` by version ${job.version}`} in ${duration(job.ms)}`];
  if (failed) parts.push(`${failed.toLocaleString("en")} failed, for the reason in the last column`);
  if (unasked) parts.push(`${unasked.toLocaleString("en")} not asked`);
  return `${parts.join("; ")}.`;
}

/** @param {Context} context @param {Job} job */
function downloads({ signature }, job) {
  const told = h("p", { class: "hint", role: "status" });
  const stem = job.name.replace(/\.[^.]*$/, "") || "rows";
  function csv() {
    const { text, changed } = toCsv(signature, job.columns, job.items);
    const texts = changed === 1 ? "1 text that begins" : `${changed.toLocaleString("en")} texts that begin`;
    fill(told, changed > 0 && `${texts} as a formula does got an apostrophe before it, so that no spreadsheet runs it. JSON lines have all as it is.`);
    save(`${stem}-answers.csv`, "text/csv", text);
  }
  function lines() {
    fill(told);
    save(`${stem}-answers.jsonl`, "application/jsonl", toJsonLines(signature, job.columns, job.items));
  }
  return h(
    "div",
    { class: "downloads" },
    h("p", { class: "actions" }, h("button", { type: "button", onclick: csv }, "Download CSV"), h("button", { type: "button", onclick: lines }, "Download JSON lines")),
    told,
  );
}

/** @param {string} name @param {string} type @param {string} text */
function save(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/**
 * The command for files of any size.
 * @param {Context} context
 * @param {string} file
 */
function scoreView({ card, signature, version }, file) {
  const words = ["signet", "score", card.name, file, `${file.replace(/\.[^.]*$/, "")}-answers.parquet`];
  if (signature.name !== "serving_default") words.push("--signature", signature.name);
  if (version !== null) words.push("--version", String(version));
  words.push("--url", new URL(".", location.href.split("#")[0]).href.replace(/\/$/, ""));
  return h("div", {}, h("p", {}, "Files of any size are for ", h("code", {}, "signet score"), ":"), h("pre", {}, words.map(shellWord).join(" ")));
}

/** @param {Context} context @param {Item} item */
function linkOf({ card, signature, version }, { row }) {
  if (!row) return null;
  const link = format(["models", card.name, "try"], [["version", version === null ? "" : String(version)], ["signature", signature.name], ["row", JSON.stringify(row)]]);
  return link.length > LONGEST ? null : link;
}
