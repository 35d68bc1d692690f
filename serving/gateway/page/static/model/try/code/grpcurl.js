/** The call as a command of grpcurl, by the server's reflection: a PredictRequest of TensorFlow Serving's dialect. */
import { flat, sizes } from "../../../core/values.js";
import { bytesIn } from "./call.js";
import { bfloat16Bits, float16Bits } from "./half.js";
import { layout } from "./layout.js";
import { JSON_NOTATION, shellWord } from "./literals.js";

const METHOD = "tensorflow.serving.PredictionService/Predict";
const FILE = "predict.json";
/** Characters that stand in the command; a longer message is read from a file. */
const MOST = 8000;

/** dtype → its name in a TensorProto, and the field of its values. @type {{ [dtype: string]: [string, string] }} */
const FIELDS = {
  bfloat16: ["DT_BFLOAT16", "half_val"],
  float16: ["DT_HALF", "half_val"],
  float32: ["DT_FLOAT", "float_val"],
  float64: ["DT_DOUBLE", "double_val"],
  int8: ["DT_INT8", "int_val"],
  int16: ["DT_INT16", "int_val"],
  int32: ["DT_INT32", "int_val"],
  int64: ["DT_INT64", "int64_val"],
  uint8: ["DT_UINT8", "int_val"],
  uint16: ["DT_UINT16", "int_val"],
  uint32: ["DT_UINT32", "uint32_val"],
  uint64: ["DT_UINT64", "uint64_val"],
  bool: ["DT_BOOL", "bool_val"],
};

/**
 * Null where an input is no tensor: its lists have different lengths, or JSON does not carry its dtype.
 * @param {import("./call.js").Call} call
 * @returns {import("./call.js").Code | null}
 */
export function grpcurl(call) {
  const { signature, row, model, version, request } = call;
  const inputs = signature.inputs.filter((tensor) => Object.hasOwn(row, tensor.name));
  const tensors = inputs.map((tensor) => tensorProto(tensor, signature.in_rows ? [row[tensor.name]] : row[tensor.name]));
  if (tensors.includes(null)) return null;
  const message = {
    model_spec: {
      name: model,
      ...(signature.name === "serving_default" ? {} : { signature_name: signature.name }),
      ...(version === null ? {} : { version }),
    },
    inputs: Object.fromEntries(inputs.map((tensor, place) => [tensor.name, tensors[place]])),
    ...(request.body.output_filter ? { output_filter: request.body.output_filter } : {}),
  };
  const options = [
    `grpcurl${call.page.startsWith("https:") ? "" : " -plaintext"}`,
    ...(call.keys ? ['-H "X-API-Key: $SIGNET_KEY"'] : []),
  ];
  const where = `${shellWord(call.grpc)} ${METHOD}`;
  const body = layout(message, JSON_NOTATION);
  if (body.length <= MOST) return { text: [...options, `-d ${shellWord(body)}`, where].join(" \\\n  "), files: [] };
  return {
    text: `${[...options, "-d @", where].join(" \\\n  ")} < ${FILE}`,
    files: [{ name: FILE, holds: "json", content: JSON.stringify(message) }],
  };
}

/**
 * @param {import("../../../core/card.js").Tensor} tensor
 * @param {unknown} value
 */
function tensorProto(tensor, value) {
  const shape = sizes(value);
  const values = flat(value);
  if (values.length !== shape.reduce((product, each) => product * each, 1)) return null; // ragged
  const texts = tensor.holds === "text" || tensor.holds === "bytes";
  const [dtype, field] = texts ? ["DT_STRING", "string_val"] : (FIELDS[tensor.dtype] ?? ["", ""]);
  if (!dtype) return null;
  const written = values.map((each) => {
    if (texts) return bytesIn(each) ?? base64(String(each));
    if (tensor.dtype === "float16") return float16Bits(Number(each));
    return tensor.dtype === "bfloat16" ? bfloat16Bits(Number(each)) : each;
  });
  return { dtype, tensor_shape: { dim: shape.map((size) => ({ size })) }, [field]: written };
}

/**
 * The base64 of a text in UTF-8.
 * @param {string} text
 */
function base64(text) {
  let bytes = "";
  for (const byte of new TextEncoder().encode(text)) bytes += String.fromCharCode(byte);
  return btoa(bytes);
}
