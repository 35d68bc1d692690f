/** Numbers of 16 bits as a TensorProto carries them: their bits. All functions are pure. */

/**
 * The bits of a bfloat16: the upper half of a float32's, to the nearest, and to the even one of two.
 * @param {number} value
 */
export function bfloat16Bits(value) {
  if (Number.isNaN(value)) return 0x7fc0;
  const [bits] = new Uint32Array(Float32Array.of(value).buffer);
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/**
 * The bits of a float16, to the nearest, and to the even one of two.
 * @param {number} value
 */
export function float16Bits(value) {
  if (Number.isNaN(value)) return 0x7e00;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (size >= 65520) return sign | 0x7c00;
  if (size < 2 ** -14) return sign | toEven(size * 2 ** 24);
  const exponent = Math.floor(Math.log2(size));
  return sign | (toEven((size / 2 ** exponent - 1) * 1024) + ((exponent + 15) << 10)); // what is rounded up carries into the exponent
}

/** @param {number} value */
function toEven(value) {
  const below = Math.floor(value);
  const rest = value - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
}
