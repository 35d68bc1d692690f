/**
 * The pixels that numbers are: red, green, blue and opacity, 0 to 255 each. Pure.
 * @param {ArrayLike<number>} numbers pixel by pixel
 * @param {number} channels of a pixel; one is grey
 * @param {[number, number]} range the numbers that are black and white
 * @returns {Uint8ClampedArray<ArrayBuffer>}
 */
export function toRgba(numbers, channels, [least, most]) {
  const pixels = numbers.length / channels;
  const scale = 255 / (most - least || 1);
  const rgba = new Uint8ClampedArray(pixels * 4);
  for (let pixel = 0; pixel < pixels; pixel += 1) {
    for (let colour = 0; colour < 3; colour += 1) {
      rgba[pixel * 4 + colour] = (numbers[pixel * channels + Math.min(colour, channels - 1)] - least) * scale;
    }
    rgba[pixel * 4 + 3] = 255;
  }
  return rgba;
}
