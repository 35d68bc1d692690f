/** Numbers as people read them. All functions are pure. */

const MINUS = "\u2212";

/**
 * A number with the digits that matter: 1234.5 → "1,234.5", 0.00012345 → "0.000123".
 * @param {number} value
 * @param {number} [digits] significant ones
 */
export function number(value, digits = 4) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "not a number" : value > 0 ? "infinite" : `${MINUS}infinite`;
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-5 || size >= 1e9)) return value.toExponential(digits - 2).replace("-", MINUS);
  const before = size >= 1 ? Math.floor(Math.log10(size)) + 1 : 0;
  const text = size >= 1
    ? value.toLocaleString("en", { maximumFractionDigits: Math.max(0, digits - before) })
    : String(Number(value.toPrecision(digits - 1)));
  return text.replace("-", MINUS);
}

/**
 * A chance: 0.98712 → "98.7 %"; never 100 % for what is not certain.
 * @param {number} value
 */
export function percent(value) {
  const shown = value * 100;
  if (value < 1 && shown > 99.9) return "> 99.9 %";
  if (value > 0 && shown < 0.1) return "< 0.1 %";
  return `${shown.toFixed(1)} %`.replace("-", MINUS);
}

/**
 * A difference with its sign: +0.12, −3, 0.
 * @param {number} value
 * @param {(value: number) => string} [text] how its size is written
 */
export function signed(value, text = number) {
  return value > 0 ? `+${text(value)}` : value < 0 ? `${MINUS}${text(-value)}` : text(0);
}

/**
 * A number of things: count(1, "row") → "1 row", count(3, "row") → "3 rows".
 * @param {number} value
 * @param {string} what
 */
export function count(value, what) {
  return `${value.toLocaleString("en")} ${what}${value === 1 ? "" : "s"}`;
}

/**
 * Milliseconds: 0.12 → "0.12 ms", 1234 → "1.23 s".
 * @param {number} ms
 */
export function duration(ms) {
  return ms >= 1000 ? `${number(ms / 1000, 3)} s` : `${number(ms, 3)} ms`;
}
