import assert from "node:assert/strict";
import { test } from "node:test";

import { ending, pictureType, sizeOf } from "../../../../../serving/gateway/page/static/core/bytes.js";
import { toRgba } from "../../../../../serving/gateway/page/static/core/pixels.js";
import { fromRgba, MOST_SIDE, sizeFor } from "../../../../../serving/gateway/page/static/form/pixels.js";

test("a picture is sent in the input's size, or its own where that is open and small", () => {
  assert.deepEqual(sizeFor([640, 480], [8, 6, 1]), [6, 8]);
  assert.deepEqual(sizeFor([64, 48], [-1, -1, 3]), [64, 48]);
  assert.deepEqual(sizeFor([4000, 3000], [-1, -1, 3]), [MOST_SIDE, 192]);
  assert.deepEqual(sizeFor([640, 480], [-1, 64, 3]), [64, 48]);
  assert.deepEqual(sizeFor([640, 480], [24, -1, 3]), [32, 24]);
  assert.deepEqual(sizeFor([1, 5000], [-1, -1, 3]), [1, MOST_SIDE]);
});

test("colours are numbers in the range, and grey as bright as they are", () => {
  const rgba = [255, 0, 0, 255, 0, 0, 0, 255];
  assert.deepEqual(fromRgba(rgba, 3, [0, 255], "float32"), [255, 0, 0, 0, 0, 0]);
  assert.deepEqual(fromRgba(rgba, 3, [0, 1], "float32"), [1, 0, 0, 0, 0, 0]);
  assert.deepEqual(fromRgba(rgba, 1, [0, 255], "uint8"), [76, 0]);
  assert.deepEqual(fromRgba([255, 255, 255, 255], 1, [0, 16], "float32"), [16]);
});

test("numbers of 0 to 255 are the pixels again", () => {
  const rgba = [255, 7, 99, 255, 0, 128, 3, 255];
  assert.deepEqual([...toRgba(fromRgba(rgba, 3, [0, 255], "float32"), 3, [0, 255])], rgba);
});

test("pixels are grey of one channel, and black where all numbers are the same", () => {
  assert.deepEqual([...toRgba([0, 0.5, 1, NaN, 1, 0], 3, [0, 1])], [0, 128, 255, 255, 0, 255, 0, 255]);
  assert.deepEqual([...toRgba([0, 16], 1, [0, 16])], [0, 0, 0, 255, 255, 255, 255, 255]);
  assert.deepEqual([...toRgba([7], 1, [7, 7])], [0, 0, 0, 255]);
});

test("bytes tell of which kind they are, and how many", () => {
  assert.equal(pictureType(Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]).toString("base64")), "image/png");
  assert.equal(pictureType(Buffer.from([0xff, 0xd8, 0xff, 0xe0]).toString("base64")), "image/jpeg");
  assert.equal(pictureType("AAAA"), "");
  for (const length of [0, 1, 2, 3, 100]) assert.equal(sizeOf(Buffer.alloc(length).toString("base64")), length);
  const text = Buffer.from("BM, of any other file").toString("base64");
  assert.deepEqual([pictureType(text), ending(text), ending("/9j/AAAA")], ["", "bin", "jpg"]);
  const webp = Buffer.from("RIFF\x10\0\0\0WEBPVP8 ").toString("base64");
  const bmp = Buffer.from("BM\x1e\0\0\0\0\0\0\0\x1a\0", "latin1").toString("base64");
  assert.deepEqual([webp, bmp].map(pictureType), ["image/webp", "image/bmp"]);
});
