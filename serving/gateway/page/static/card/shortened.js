/** Texts of strangers where room is short. All functions are pure. */

/**
 * At most so many characters, cut between words where that is near.
 * @param {string} text
 * @param {number} most
 */
export function shortened(text, most) {
  if (text.length <= most) return text;
  const cut = text.slice(0, most - 1);
  const blank = cut.lastIndexOf(" ");
  return `${(blank > most * 0.7 ? cut.slice(0, blank) : cut).replace(/[\ud800-\udbff]$/, "").trimEnd()}…`;
}
