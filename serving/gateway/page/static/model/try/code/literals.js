/**
 * Values as literals of JSON, TypeScript and Python, and any text as a word of a shell. All functions are pure.
 *
 * What nobody sees, such as a line separator or a mark that turns the direction of what follows, is written as an escape:
 * code that is copied does what it looks like.
 */

/** @typedef {import("./layout.js").Notation} Notation */

const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\u00a0]/gu;

/**
 * A text as a word of a POSIX shell.
 * @param {string} text without NUL, which no word can hold
 */
export function shellWord(text) {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/**
 * A text as a string of JSON, and of TypeScript.
 * @param {string} text
 */
export function jsonString(text) {
  return JSON.stringify(text).replace(UNSEEN, (unseen) => [...Array(unseen.length).keys()].map((place) => escape16(unseen.charCodeAt(place))).join(""));
}

/**
 * A text as a string of Python, which reads no pairs of surrogates.
 * @param {string} text
 */
export function pythonString(text) {
  return JSON.stringify(text).replace(UNSEEN, (unseen) =>
    unseen.length === 1 ? escape16(unseen.charCodeAt(0)) : `\\U${(unseen.codePointAt(0) ?? 0).toString(16).padStart(8, "0")}`,
  );
}

/** @param {number} unit */
function escape16(unit) {
  return `\\u${unit.toString(16).padStart(4, "0")}`;
}

/** @type {Notation} */
export const JSON_NOTATION = {
  leaf: (value) => (typeof value === "string" ? jsonString(value) : JSON.stringify(value ?? null)),
  key: (name) => `${jsonString(name)}: `,
  inside: "",
};

/** @type {Notation} */
export const TYPESCRIPT = {
  leaf: JSON_NOTATION.leaf,
  key: (name) => `${propertyName(name)}: `,
  inside: " ",
};

/**
 * The name of a property in an object or an interface.
 * @param {string} name
 */
export function propertyName(name) {
  if (name === "__proto__") return '["__proto__"]'; // any other spelling sets the prototype
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : jsonString(name);
}

/** @type {Notation} */
export const PYTHON = {
  leaf(value) {
    if (typeof value === "string") return pythonString(value);
    if (typeof value === "boolean") return value ? "True" : "False";
    if (typeof value !== "number") return "None";
    if (Number.isFinite(value)) return Object.is(value, -0) ? "-0.0" : String(value);
    return Number.isNaN(value) ? 'float("nan")' : value > 0 ? 'float("inf")' : 'float("-inf")';
  },
  key: (name) => `${pythonString(name)}: `,
  inside: "",
};
