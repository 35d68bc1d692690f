/**
 * A pen on paper of few cells: each cell holds how much of it is covered, as the pictures of handwritten digits do that
 * were counted down from finer ones. All functions are pure.
 *
 *     ink (height × width shares, 0 to 1) ──stroke(from, to)──▶ ink
 */

/** Points of a cell along each side at which is looked whether the pen covers them. */
const FINE = 4;

/**
 * How wide the pen is, in cells: as people's are in pictures of 8 × 8, and no wider than a hand's in larger ones.
 * @param {number} height
 * @param {number} width
 */
export function penRadius(height, width) {
  return Math.max(0.85, Math.min(height, width) / 20);
}

/**
 * Covers, or uncovers, what the pen passes on a straight way. Points are [x, y] in cells from the top left corner.
 * @param {number[]} ink share of each cell, row by row; is left as it is
 * @param {number} width of a row
 * @param {[number, number]} from
 * @param {[number, number]} to
 * @param {number} radius
 * @param {boolean} erase
 */
export function stroke(ink, width, from, to, radius, erase) {
  return ink.map((before, place) => {
    const [x, y] = [place % width, Math.floor(place / width)];
    const covered = coverage(x, y, from, to, radius);
    return erase ? Math.min(before, 1 - covered) : Math.max(before, covered);
  });
}

/**
 * The share of a cell that the pen covers.
 * @param {number} x
 * @param {number} y
 * @param {[number, number]} from
 * @param {[number, number]} to
 * @param {number} radius
 */
function coverage(x, y, from, to, radius) {
  if (distance(x + 0.5, y + 0.5, from, to) > radius + 0.75) return 0;
  let inside = 0;
  for (let row = 0; row < FINE; row += 1) {
    for (let column = 0; column < FINE; column += 1) {
      if (distance(x + (column + 0.5) / FINE, y + (row + 0.5) / FINE, from, to) <= radius) inside += 1;
    }
  }
  return inside / (FINE * FINE);
}

/** From a point to the nearest one of a line. @param {number} x @param {number} y @param {[number, number]} from @param {[number, number]} to */
function distance(x, y, [fromX, fromY], [toX, toY]) {
  const [alongX, alongY] = [toX - fromX, toY - fromY];
  const length = alongX * alongX + alongY * alongY;
  const share = length ? Math.min(1, Math.max(0, ((x - fromX) * alongX + (y - fromY) * alongY) / length)) : 0;
  return Math.hypot(x - fromX - share * alongX, y - fromY - share * alongY);
}
