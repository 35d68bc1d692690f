/** The call by fetch, in TypeScript: what it answers has the types that the signature says. */
import { shapeOfOne } from "../../../core/shapes.js";
import { bodyText, bodyWith, isJson, nest, parts, PLACE } from "./call.js";
import { layout, Verbatim } from "./layout.js";
import { jsonString, propertyName, TYPESCRIPT } from "./literals.js";

const NUMBER = 'type Float = number | "NaN" | "Infinity" | "-Infinity";';

/**
 * @param {import("./call.js").Call} call
 * @returns {import("./call.js").Code}
 */
export function typescript(call) {
  const { signature, page, request } = call;
  const inputs = parts(call);
  const files = inputs.flatMap((part) => (part.file ? [part.file] : []));
  const filter = request.body.output_filter;
  const outputs = signature.outputs.filter((output) => !Array.isArray(filter) || filter.includes(output.name));
  const types = outputs.map((output) => `  ${propertyName(output.name)}: ${typeOf(output, signature.in_rows)};`);
  const name = signature.in_rows ? "Prediction" : "Outputs";
  const answer = signature.in_rows ? "predictions" : "outputs";
  const text = [
    ...(files.length ? ['import { readFile } from "node:fs/promises";', ""] : []),
    ...(types.some((line) => line.includes("Float")) ? [NUMBER] : []),
    ...(types.length ? [`interface ${name} {`, ...types, "}"] : [`type ${name} = object;`]),
    "",
    `const response = await fetch(${jsonString(page + request.path)}, {`,
    '  method: "POST",',
    `  headers: { "Content-Type": "application/json"${call.keys ? ', "X-API-Key": process.env.SIGNET_KEY ?? ""' : ""} },`,
    `  body: ${isJson(inputs) ? `JSON.stringify(${layout(bodyWith(call, inputs, written), TYPESCRIPT, "  ")})` : bareBody(call, inputs)},`,
    "});",
    "if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);",
    `const { ${answer} } = (await response.json()) as { ${answer}: ${name}${signature.in_rows ? "[]" : ""} };`,
    `console.log(${answer}${signature.in_rows ? "[0]" : ""});`,
  ].join("\n");
  return { text, files };
}

/** @param {import("./call.js").Part} part */
function written({ value, file, depth }) {
  if (!file) return value;
  const name = jsonString(file.name);
  if (file.holds === "json") return new Verbatim(`JSON.parse(await readFile(${name}, "utf8"))`);
  return nest(new Verbatim(`{ b64: await readFile(${name}, "base64") }`), depth);
}

/**
 * The body as a text, for NaN stands bare in it, which JSON.stringify does not write.
 * @param {import("./call.js").Call} call
 * @param {import("./call.js").Part[]} inputs
 */
function bareBody(call, inputs) {
  const reads = inputs.flatMap(({ file }) => (file ? [`(await readFile(${jsonString(file.name)}, "${file.holds === "json" ? "utf8" : "base64"}"))`] : []));
  const texts = bodyText(call, inputs).split(PLACE).map(jsonString);
  return texts.flatMap((text, place) => (place < reads.length ? [text, reads[place]] : [text])).join(" +\n    ");
}

/**
 * @param {import("../../../core/card.js").Tensor} tensor
 * @param {boolean} inRows
 */
function typeOf(tensor, inRows) {
  const shape = shapeOfOne(tensor, inRows);
  if (shape === null || tensor.holds === "other") return "unknown";
  const whole = /^u?int/.test(tensor.dtype);
  const one = { text: "string | { b64: string }", bytes: "string | { b64: string }", booleans: "boolean", numbers: whole ? "number" : "Float" }[tensor.holds];
  if (shape.length === 0) return one;
  return (one.includes("|") ? `(${one})` : one) + "[]".repeat(shape.length);
}
