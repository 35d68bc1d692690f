/**
 * Pictures that come as the bytes of a file: drawn on a canvas, blanked patch by patch, and written again as PNG.
 *
 *     { b64 } ──canvas──▶ pixels ──background──▶ for each patch: blanked, PNG ──▶ Blanked
 *
 * The picture that the others are compared to is written by the same canvas: how files are decoded is no effect of a patch.
 */
import { base64 } from "../../../core/bytes.js";
import { h } from "../../../core/dom.js";
import { count, number } from "../../../core/numbers.js";
import { toRgba } from "../../../core/pixels.js";
import { background, boxes, MOST_BYTES, MOST_PATCHES } from "./plan.js";

/** @typedef {import("./plan.js").Blanked} Blanked */

const MOST_PIXELS = 4_000_000;
const GREY = 128;
/** Fewer patches say nothing. */
const LEAST_PATCHES = 4;

/** Why a picture is not taken apart. */
export class PictureError extends Error {}

/**
 * @param {unknown} value as rows have it: { b64 }
 * @param {number} share of the request's bytes that this picture may take
 * @param {AbortSignal} signal
 * @param {(done: number, of: number) => void} progress
 * @returns {Promise<Blanked>} raises PictureError
 */
export async function blanked(value, share, signal, progress) {
  const picture = await drawn(value);
  const { canvas, paper, height, width } = picture;
  const whole = await png(canvas);
  const room = Math.floor((MOST_BYTES * share) / whole.b64.length) - 1;
  if (room < LEAST_PATCHES) {
    throw new PictureError(`as PNG it has ${number(whole.b64.length / 2 ** 20, 2)} MiB: too many to send it with ${LEAST_PATCHES} of its patches blanked`);
  }
  const all = paper.getImageData(0, 0, width, height);
  const ground = background(all.data, [height, width, 4]);
  paper.fillStyle = `rgb(${ground.slice(0, 3).join(" ")})`;
  const patches = [];
  const cut = boxes(height, width, Math.min(room, MOST_PATCHES));
  for (const box of cut) {
    signal.throwIfAborted();
    progress(patches.length, cut.length);
    paper.fillRect(box.left, box.top, box.width, box.height);
    const blank = await png(canvas);
    if (blank.b64 !== whole.b64) patches.push({ box, value: blank });
    paper.putImageData(all, 0, 0, box.left, box.top, box.width, box.height);
  }
  return { height, width, whole, patches };
}

/** @param {unknown} value */
async function drawn(value) {
  const b64 = value !== null && typeof value === "object" && "b64" in value ? String(value.b64) : "";
  const bytes = Uint8Array.from(text(b64), (each) => each.charCodeAt(0));
  let bitmap;
  try {
    bitmap = await createImageBitmap(new Blob([bytes]), { imageOrientation: "none", premultiplyAlpha: "none", colorSpaceConversion: "none" });
  } catch {
    throw new PictureError("this browser cannot read it as a picture");
  }
  const { height, width } = bitmap;
  if (height * width > MOST_PIXELS) {
    bitmap.close();
    throw new PictureError(`it has ${width} × ${height} pixels, and ${count(MOST_PIXELS, "pixel")} are the most`);
  }
  const canvas = h("canvas", { width, height });
  const paper = canvas.getContext("2d", { willReadFrequently: true });
  if (!paper) throw new PictureError("this browser has no canvas");
  paper.drawImage(bitmap, 0, 0);
  bitmap.close();
  return { canvas, paper, height, width };
}

/** @param {string} b64 */
function text(b64) {
  try {
    return atob(b64);
  } catch {
    throw new PictureError("it is not written in base64");
  }
}

/** @param {HTMLCanvasElement} canvas @returns {Promise<{ b64: string }>} */
async function png(canvas) {
  const blob = await new Promise((/** @type {(blob: Blob | null) => void} */ resolve) => canvas.toBlob(resolve, "image/png"));
  if (!blob) throw new PictureError("this browser cannot write it as PNG");
  return { b64: await base64(blob) };
}

/**
 * A picture of numbers, as a URL: with one channel as grey ink, which stands out from light paper and from dark.
 * @param {number[]} list
 * @param {[number, number, number]} sides
 */
export function pictureOf(list, [height, width, channels]) {
  const canvas = h("canvas", { width, height });
  const paper = canvas.getContext("2d");
  if (!paper) return "";
  const low = Math.min(0, list.reduce((least, value) => Math.min(least, value), 0));
  const high = list.reduce((most, value) => Math.max(most, value), low + 1e-9);
  const top = channels > 1 && high > 1 ? Math.max(255, high) : high;
  const rgba = toRgba(list, channels, [low, top]);
  for (let at = 0; channels === 1 && at < rgba.length; at += 4) rgba.set([GREY, GREY, GREY, rgba[at]], at);
  paper.putImageData(new ImageData(rgba, width, height), 0, 0);
  return canvas.toDataURL();
}
