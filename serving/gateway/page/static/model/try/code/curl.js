/** The call as a command of curl, for any POSIX shell. */
import { bodyText, parts, PLACE } from "./call.js";
import { shellWord } from "./literals.js";

/**
 * @param {import("./call.js").Call} call
 * @returns {import("./call.js").Code}
 */
export function curl(call) {
  const inputs = parts(call);
  const files = inputs.flatMap((part) => (part.file ? [part.file] : []));
  const body = bodyText(call, inputs);
  const options = [
    `curl -sS ${shellWord(call.page + call.request.path)}`,
    ...(call.keys ? ['-H "X-API-Key: $SIGNET_KEY"'] : []),
    "-H 'Content-Type: application/json'",
  ];
  if (files.length === 0) return { text: [...options, `-d ${shellWord(body)}`].join(" \\\n  "), files };
  const texts = body.split(PLACE).map((text) => `  printf %s ${shellWord(text)}`);
  const lines = texts.flatMap((text, place) => (place < files.length ? [text, `  ${read(files[place])}`] : [text]));
  return { text: `{\n${lines.join("\n")}\n} | ${[...options, "-d @-"].join(" \\\n  ")}`, files };
}

/** @param {import("./call.js").File} file */
function read({ name, holds }) {
  return holds === "bytes" ? `base64 < ${name} | tr -d '\\n'` : `cat ${name}`;
}
