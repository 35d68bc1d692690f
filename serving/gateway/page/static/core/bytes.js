/**
 * Bytes as JSON carries them, in base64.
 *
 *     Blob ──base64──▶ "iVBORw0KGgo…" ──sizeOf──▶ 1234      ──pictureType──▶ "image/png"
 */

/**
 * The bytes of a file in base64. Throws what reading it throws.
 * @param {Blob} file
 * @returns {Promise<string>}
 */
export function base64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result).replace(/^[^,]*,?/, ""));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

/**
 * How many bytes base64 stands for.
 * @param {string} b64
 */
export function sizeOf(b64) {
  const padding = b64.endsWith("==") ? 2 : b64.endsWith("=") ? 1 : 0;
  return Math.max(0, Math.floor(((b64.length - padding) * 3) / 4));
}

/** How pictures that browsers show begin: of BMP and WebP a few bytes alone are those of other files, too. @type {[RegExp, string][]} */
const BEGINNINGS = [
  [/^iVBORw0KGgo/, "png"],
  [/^\/9j\//, "jpeg"],
  [/^R0lGOD/, "gif"],
  [/^UklGR.{7}RUJQ/, "webp"],
  [/^Qk.{6}AAAA/, "bmp"],
];

/**
 * The type of a picture that browsers show, by how its bytes begin; empty where they are none.
 * @param {string} b64
 */
export function pictureType(b64) {
  const kind = BEGINNINGS.find(([start]) => start.test(b64))?.[1];
  return kind ? `image/${kind}` : "";
}

/**
 * How the name of a file with these bytes ends.
 * @param {string} b64
 */
export function ending(b64) {
  return pictureType(b64).replace("image/", "").replace("jpeg", "jpg") || "bin";
}
