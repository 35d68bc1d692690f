/** Numbers as people read them. All functions are pure. */

const MINUS = "\u2212";

/** @type {{ [character: string]: string }} */
const SUPERSCRIPTS = Object.fromEntries([..."-0123456789"].map((each, place) => [each, "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"[place]]));

/**
 * A number with the digits that matter: 1234.5 → "1,235", 0.00012345 → "0.000123", 1.2e-7 → "1.20 × 10⁻⁷".
 * @param {number} value
 * @param {number} [digits] significant ones
 */
export function number(value, digits = 4) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "not a number" : value > 0 ? "infinite" : `${MINUS}infinite`;
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-5 || size >= 1e9)) return scientific(value, digits - 2);
  const before = size >= 1 ? Math.floor(Math.log10(size)) + 1 : 0;
  const text = size >= 1
    ? value.toLocaleString("en", { maximumFractionDigits: Math.max(0, digits - before) })
    : String(Number(value.toPrecision(digits - 1)));
  return text.replace("-", MINUS);
}

/** @param {number} value @param {number} digits after the point */
function scientific(value, digits) {
  const [mantissa, exponent] = value.toExponential(digits).split("e");
  const raised = [...exponent.replace("+", "")].map((each) => SUPERSCRIPTS[each]).join("");
  return `${mantissa.replace("-", MINUS)} × 10${raised}`;
}

/**
 * A number with its unit: "77.05 years".
 * @param {number} value
 * @param {string} [unit] empty for none
 */
export function quantity(value, unit = "") {
  return unit && Number.isFinite(value) ? `${number(value)} ${unit}` : number(value);
}

/**
 * A chance: 0.98712 → "98.7 %"; never 100 % for what is not certain.
 * @param {number} value
 */
export function percent(value) {
  if (!Number.isFinite(value)) return number(value);
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
  return value > 0 ? `+${text(value)}` : value < 0 ? `${MINUS}${text(-value)}` : text(value);
}

/**
 * How far two chances are apart: 0.223 → "22.3 points"; percents of percents would be read wrongly.
 * @param {number} value
 */
export function points(value) {
  const shown = Math.abs(value * 100);
  return shown !== 0 && shown < 0.1 ? "< 0.1 points" : `${shown.toFixed(1)} points`;
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

/**
 * A size: 900 → "900 bytes", 12345 → "12.3 kB".
 * @param {number} bytes
 */
export function sizeText(bytes) {
  if (bytes < 1000) return count(bytes, "byte");
  return bytes < 1e6 ? `${number(bytes / 1e3, 3)} kB` : `${number(bytes / 1e6, 3)} MB`;
}
