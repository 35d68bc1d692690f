/** The numbers of a picture, from a file or the camera, scaled to what the input takes. */
import { fill, h } from "../../core/dom.js";
import { number } from "../../core/numbers.js";
import { toRgba } from "../../core/pixels.js";
import { rangeOf } from "../../core/range.js";
import { shapeOfOne } from "../../core/shapes.js";
import { fitsShape, flat, isNest, nested, sizes } from "../../core/values.js";
import { cameraButton } from "../camera.js";
import { FieldError } from "../editor.js";
import { chooseFile, onFiles } from "../files.js";
import { fromRgba, MOST_SIDE, sizeFor } from "../pixels.js";

/** @type {import("../editor.js").CreateEditor} */
export function createEditor({ tensor, inRows, known, signal, onChange, fail }) {
  const shape = shapeOfOne(tensor, inRows) ?? [];
  const channels = shape[2] ?? 1;
  const range = rangeOf(tensor, known, [0, 255]);
  /** @type {unknown} */
  let held = null;
  let turns = 0; // of two files that are read at once the later one counts
  const shown = h("div", { class: "shown" });
  const live = h("div", {});
  const choose = chooseFile("Choose a picture", tensor.name, "image/*", (file) => void take(file));
  const camera = cameraButton(tensor.name, live, signal, (file) => void take(file), fail);
  const open = shape.slice(0, 2).some((size) => size < 0);
  const size = open ? `scaled down to ${MOST_SIDE} pixels along its longer side` : `scaled to ${shape[1]} × ${shape[0]} pixels`;
  const how = `${size}${channels === 1 ? ", in grey" : ""}, ${number(range[0])} to ${number(range[1])}`;
  const control = h("div", { class: "drop", role: "group", tabindex: 0 }, shown, h("div", { class: "beside" }, choose, camera), h("p", { class: "hint" }, `or drop or paste one here; it is ${how}`), live);
  onFiles(control, (file) => void take(file));
  show("");

  /** @param {File} file */
  async function take(file) {
    const turn = (turns += 1);
    let picture;
    try {
      picture = await createImageBitmap(file);
    } catch {
      fail(`${file.name} is no picture that the browser can read`);
      return;
    }
    if (signal.aborted || turn !== turns) {
      picture.close();
      return;
    }
    const [width, height] = sizeFor([picture.width, picture.height], shape);
    const canvas = h("canvas", { width, height });
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
    context.imageSmoothingQuality = "high";
    context.fillStyle = "white"; // behind what is transparent, as browsers show it
    context.fillRect(0, 0, width, height);
    context.drawImage(picture, 0, 0, width, height);
    const numbers = fromRgba(context.getImageData(0, 0, width, height).data, channels, range, tensor.dtype);
    held = nested(numbers, [height, width, ...shape.slice(2)]);
    const scaled = picture.width !== width || picture.height !== height;
    show(`${file.name}${scaled ? `, ${picture.width} × ${picture.height} pixels` : ""}`);
    picture.close();
    onChange();
  }

  /** @param {string} name */
  function show(name) {
    if (held === null) {
      fill(shown, h("p", { class: "hint" }, "No picture yet"));
      return;
    }
    const [height, width] = sizes(held);
    const words = [name, `${name.includes("×") ? "sent as " : ""}${width} × ${height} pixels`].filter(Boolean).join(", ");
    fill(shown, pixelPicture(held, channels, range, `the picture for ${tensor.name}`), h("p", { class: "hint" }, words));
  }

  return {
    element: control,
    control,
    value() {
      if (held === null) throw new FieldError("a picture is missing here");
      return held;
    },
    empty: () => held === null,
    clear() {
      turns += 1;
      held = null;
      show("");
    },
    set(value) {
      const found = sizes(value);
      if (!fitsShape(found, shape) || !isNest(value, found, (each) => typeof each === "number") || found.includes(0)) return false;
      turns += 1;
      held = value;
      show("");
      return true;
    },
  };
}

/**
 * Numbers shown as the picture that they are.
 * @param {unknown} value height × width, perhaps × channels
 * @param {number} channels
 * @param {[number, number]} range
 * @param {string} name for who does not see it; empty for decoration
 */
export function pixelPicture(value, channels, range, name) {
  const [height, width] = sizes(value);
  const canvas = h("canvas", { class: "pixels", width, height, ...(name ? { role: "img", "aria-label": name } : { "aria-hidden": "true" }) });
  const image = new ImageData(toRgba(/** @type {number[]} */ (flat(value)), channels, range), width, height);
  canvas.getContext("2d")?.putImageData(image, 0, 0);
  return canvas;
}
