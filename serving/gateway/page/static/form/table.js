/**
 * The cells of a grid as text, and what becomes of them. All functions are pure.
 *
 *     value ──cellsOf──▶ [["1", "2"]] ──paste, grow──▶ [["1", "2"], ["3", ""]] ──valueOf──▶ value
 *
 * A list is one row of cells. Along an axis whose length is open there is always one more place than is filled: who fills
 * it gets the next.
 */
import { isNest, isNumber, MOST_CELLS, sizes } from "../core/values.js";
import { numberText, readNumber } from "../core/written.js";
import { FieldError } from "./editor.js";

/** @typedef {string[][]} Cells */

/**
 * @param {unknown} value
 * @param {number[]} shape of rank 1 or 2; -1: any size
 * @returns {Cells | null} null: no grid can show it
 */
export function cellsOf(value, shape) {
  const found = sizes(value);
  if (shape.length === 2 && found.length === 1 && found[0] === 0) return shape[0] < 0 ? grown([], shape) : null;
  const fits = found.length === shape.length && found.every((size, axis) => shape[axis] < 0 || shape[axis] === size);
  if (!fits || !isNest(value, found, isNumber) || found.reduce((product, size) => product * size, 1) > MOST_CELLS) return null;
  if (found.length === 2 && found[1] === 0) return null; // rows without a cell
  const rows = /** @type {unknown[][]} */ (shape.length === 1 ? [value] : value);
  return grown(rows.map((row) => row.map(numberText)), shape);
}

/**
 * The value that cells stand for. Throws FieldError, with the place of what is wrong.
 * @param {Cells} cells
 * @param {number[]} shape
 * @param {string} dtype
 */
export function valueOf(cells, shape, dtype) {
  const [height, width] = used(cells, shape);
  const rows = cells.slice(0, height).map((row, y) =>
    row.slice(0, width).map((cell, x) => {
      const place = shape.length === 1 ? [x] : [y, x];
      try {
        return readNumber(cell, dtype);
      } catch (error) {
        const where = shape.length === 1 ? `place ${x + 1}` : `row ${y + 1}, column ${x + 1}`;
        throw new FieldError(`${where}: ${/** @type {Error} */ (error).message}`, place);
      }
    }),
  );
  return shape.length === 1 ? (rows[0] ?? []) : rows;
}

/**
 * Rows and columns up to the last that is filled; all of an axis whose length is fixed.
 * @param {Cells} cells
 * @param {number[]} shape
 * @returns {[number, number]}
 */
export function used(cells, shape) {
  const [rows, columns] = axes(shape);
  let [height, width] = [0, 0];
  cells.forEach((row, y) =>
    row.forEach((cell, x) => {
      if (cell.trim() === "") return;
      height = Math.max(height, y + 1);
      width = Math.max(width, x + 1);
    }),
  );
  return [rows < 0 ? height : rows, columns < 0 ? width : columns];
}

/**
 * The same with all the places that there are to be: those of fixed lengths, and one more than is filled of open ones.
 * @param {Cells} cells
 * @param {number[]} shape
 * @returns {Cells}
 */
export function grown(cells, shape) {
  const [rows, columns] = axes(shape);
  const [filledRows, filledColumns] = used(cells, shape);
  const width = columns < 0 ? filledColumns + 1 : columns;
  const height = rows < 0 ? filledRows + 1 : rows;
  if (width * height > MOST_CELLS && (rows < 0 || columns < 0)) return sized(cells, Math.max(filledRows, 1), Math.max(filledColumns, 1));
  return sized(cells, height, width);
}

/**
 * With a block put in from a place on. Null where it does not fit in.
 * @param {Cells} cells
 * @param {number[]} shape
 * @param {[number, number]} at row and column
 * @param {string[][]} block
 * @returns {Cells | null}
 */
export function pasted(cells, shape, [top, left], block) {
  const [rows, columns] = axes(shape);
  // A column of a spreadsheet is a list, too.
  const put = shape.length === 1 && block.length > 1 ? [block.flat()] : block;
  const height = Math.max(cells.length, top + put.length);
  const width = Math.max(cells[0]?.length ?? 0, ...put.map((row) => left + row.length));
  if ((rows >= 0 && height > rows) || (columns >= 0 && width > columns) || height * width > MOST_CELLS) return null;
  const all = sized(cells, height, width);
  put.forEach((row, y) => row.forEach((cell, x) => (all[top + y][left + x] = cell)));
  return grown(all, shape);
}

/** Rows and columns of a shape. @param {number[]} shape @returns {[number, number]} */
function axes(shape) {
  return shape.length === 1 ? [1, shape[0]] : [shape[0], shape[1]];
}

/** @param {Cells} cells @param {number} height @param {number} width @returns {Cells} */
function sized(cells, height, width) {
  return Array.from({ length: height }, (_, y) => Array.from({ length: width }, (_, x) => cells[y]?.[x] ?? ""));
}
