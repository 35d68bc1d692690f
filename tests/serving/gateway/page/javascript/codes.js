// The code that the page shows for calls: a list of calls as JSON on stdin → for each its path and body and its code by language.
import { readFileSync } from "node:fs";

import { requestOf } from "../../../../../serving/gateway/page/static/core/service.js";
import { curl } from "../../../../../serving/gateway/page/static/model/try/code/curl.js";
import { grpcurl } from "../../../../../serving/gateway/page/static/model/try/code/grpcurl.js";
import { grpcPython, python } from "../../../../../serving/gateway/page/static/model/try/code/python.js";
import { typescript } from "../../../../../serving/gateway/page/static/model/try/code/typescript.js";

const LANGUAGES = { curl, python, typescript, grpcPython, grpcurl };

const calls = JSON.parse(readFileSync(0, "utf8"));
const codes = calls.map((call) => {
  const request = requestOf({ ...call, rows: [call.row] });
  const made = Object.entries(LANGUAGES).map(([name, make]) => [name, make({ ...call, request })]);
  return { path: request.path, body: request.text, ...Object.fromEntries(made) };
});
process.stdout.write(JSON.stringify(codes));
