/** Any value, as JSON, or as lines of numbers; from a file, too. */
import { h } from "../../core/dom.js";
import { sizeText } from "../../core/numbers.js";
import { numbersText } from "../../core/wire.js";
import { readJson } from "../../core/written.js";
import { FieldError } from "../editor.js";
import { chooseFile, onFiles } from "../files.js";

const MOST_LINES = 16;
const MOST_BYTES = 30e6;

/** @type {import("../editor.js").CreateEditor} */
export function createEditor({ tensor, inRows, signal, onChange, fail }) {
  const area = h("textarea", { rows: 4, class: "code", spellcheck: "false", oninput: onChange });
  const what = tensor.holds === "numbers" ? "JSON, or lines of numbers with commas" : "JSON";
  const element = h("div", {}, area, h("div", { class: "beside" }, chooseFile("From a file", tensor.name, ".json,.csv,.txt,.tsv", (file) => void take(file)), h("span", { class: "hint" }, what)));
  onFiles(element, (file) => void take(file));
  let turns = 0; // of two files that are read at once the later one counts

  /** @param {File} file */
  async function take(file) {
    if (file.size > MOST_BYTES) {
      fail(`${file.name} has ${sizeText(file.size)}; up to ${sizeText(MOST_BYTES)} can be taken here`);
      return;
    }
    const turn = (turns += 1);
    try {
      const text = await file.text();
      if (signal.aborted || turn !== turns) return;
      show(text);
      onChange();
    } catch (error) {
      fail(`${file.name} cannot be read: ${/** @type {Error} */ (error).message}`);
    }
  }

  /** @param {string} text */
  function show(text) {
    area.value = text;
    area.rows = Math.min(MOST_LINES, Math.max(4, Math.ceil(text.length / 60)));
  }

  return {
    element,
    control: area,
    value() {
      try {
        return readJson(area.value, tensor, inRows);
      } catch (error) {
        throw new FieldError(/** @type {Error} */ (error).message);
      }
    },
    empty: () => area.value.trim() === "",
    clear() {
      turns += 1;
      show("");
    },
    set(value) {
      turns += 1;
      show(tensor.holds === "numbers" ? numbersText(value, tensor) : JSON.stringify(value));
      return true;
    },
  };
}
