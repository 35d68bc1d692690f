/** The call by Signet's own clients for Python: over HTTP, and over gRPC. */
import { isWord } from "../../../core/wire.js";
import { bytesIn, nest, parts } from "./call.js";
import { layout, Verbatim } from "./layout.js";
import { PYTHON, pythonString } from "./literals.js";

const MARGIN = "        ";
const STEP = "    ";

/**
 * @param {import("./call.js").Call} call
 * @returns {import("./call.js").Code}
 */
export function python(call) {
  return program(call, "Client", pythonString(call.page.replace(/\/$/, "")));
}

/**
 * @param {import("./call.js").Call} call
 * @returns {import("./call.js").Code}
 */
export function grpcPython(call) {
  const secure = call.page.startsWith("https:") ? ', ca_file="ca.pem"' : "";
  return program(call, "GrpcClient", pythonString(call.grpc) + secure);
}

/**
 * @param {import("./call.js").Call} call
 * @param {string} client
 * @param {string} server the arguments that say where it is
 * @returns {import("./call.js").Code}
 */
function program(call, client, server) {
  const { model, version, signature, request } = call;
  const inputs = parts(call);
  const files = inputs.flatMap((part) => (part.file ? [part.file] : []));
  const values = Object.fromEntries(inputs.map((part) => [part.tensor.name, written(part, signature.in_rows)]));
  const code = layout(values, PYTHON, MARGIN, STEP);
  const filter = request.body.output_filter;
  const options = [
    pythonString(model),
    code,
    ...(signature.name === "serving_default" ? [] : [`signature=${pythonString(signature.name)}`]),
    ...(version === null ? [] : [`version=${version}`]),
    ...(Array.isArray(filter) ? [`outputs=${layout(filter, PYTHON, MARGIN, STEP)}`] : []),
  ];
  const imports = [
    ...(files.some((file) => file.holds === "json") ? ["import json"] : []),
    ...(code.includes("b64decode(") ? ["from base64 import b64decode"] : []),
    ...(files.length ? ["from pathlib import Path"] : []),
  ];
  const text = [
    ...imports,
    ...(imports.length ? [""] : []),
    `from signet import ${client}`,
    "",
    `with ${client}(${server}) as client:${call.keys ? "  # SIGNET_KEY in the environment holds the key" : ""}`,
    "    outputs = client.predict(",
    ...options.map((option) => `${MARGIN}${option},`),
    "    )",
    "",
    "for name, values in outputs.items():",
    `    print(name, values${signature.in_rows ? "[0]" : ""})`,
  ].join("\n");
  return { text, files };
}

/** @param {import("./call.js").Part} part @param {boolean} inRows */
function written(part, inRows) {
  const rows = inRows ? 1 : 0; // a row is the only one of its columns
  if (!part.file) return nest(inPython(part.value, part.tensor.holds === "numbers"), rows);
  const path = `Path(${pythonString(part.file.name)})`;
  return nest(new Verbatim(part.file.holds === "bytes" ? `${path}.read_bytes()` : `json.loads(${path}.read_text("utf-8"))`), part.depth + rows);
}

/**
 * A JSON value with bytes and numbers as Python has them.
 * @param {unknown} value
 * @param {boolean} numbers
 * @returns {unknown}
 */
function inPython(value, numbers) {
  if (Array.isArray(value)) return value.map((each) => inPython(each, numbers));
  const base64 = bytesIn(value);
  if (base64 !== null) return new Verbatim(`b64decode(${pythonString(base64)})`);
  return numbers && isWord(value) ? Number(value) : value;
}

