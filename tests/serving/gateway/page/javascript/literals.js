// Texts as literals of each language: a list of texts as JSON on stdin → { shell, python, typescript, json }, a list each.
import { readFileSync } from "node:fs";

import { JSON_NOTATION, PYTHON, TYPESCRIPT, shellWord } from "../../../../../serving/gateway/page/static/model/try/code/literals.js";
import { layout } from "../../../../../serving/gateway/page/static/model/try/code/layout.js";

const values = JSON.parse(readFileSync(0, "utf8"));
const written = {
  shell: values.map((value) => (typeof value === "string" ? shellWord(value) : "")),
  python: values.map((value) => layout(value, PYTHON)),
  typescript: values.map((value) => layout(value, TYPESCRIPT)),
  json: values.map((value) => layout(value, JSON_NOTATION)),
};
process.stdout.write(JSON.stringify(written));
