/** Where the lines of a grid stand: at round numbers. Pure. */

/**
 * From 0 to the first round step that is not below the most, in about so many steps: [0, 20, 40, 60].
 * @param {number} most
 * @param {number} [steps]
 * @returns {number[]}
 */
export function ticks(most, steps = 4) {
  const top = Number.isFinite(most) && most > 0 ? most : 1;
  const rough = top / steps;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((each) => each * power).find((each) => each >= rough * 0.999) ?? 10 * power;
  const count = Math.ceil(top / step - 1e-9);
  return Array.from({ length: count + 1 }, (_, place) => Number((place * step).toPrecision(12)));
}
