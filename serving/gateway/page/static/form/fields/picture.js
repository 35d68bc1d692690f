/** The bytes of a file, most often a picture: chosen, dropped, pasted, or taken by the camera. Sent as {"b64": …}. */
import { base64, pictureType, sizeOf } from "../../core/bytes.js";
import { fill, h } from "../../core/dom.js";
import { sizeText } from "../../core/numbers.js";
import { shapeOfOne } from "../../core/shapes.js";
import { flat, isNest, isPicture, nested, sizes } from "../../core/values.js";
import { cameraButton } from "../camera.js";
import { FieldError } from "../editor.js";
import { chooseFile, onFiles } from "../files.js";

/** Bytes that a request carries with ease: the server's own limit is told by the server. */
const MOST_BYTES = 30e6;

/** @type {import("../editor.js").CreateEditor} */
export function createEditor({ tensor, inRows, signal, onChange, fail }) {
  const pictures = isPicture(tensor) || /jpe?g|png/i.test(tensor.values);
  /** @type {{ b64: string } | null} */
  let held = null;
  let around = shapeOfOne(tensor, inRows) ?? [];
  let turns = 0; // of two files that are read at once the later one counts
  const shown = h("div", { class: "shown" });
  const live = h("div", {});
  const choose = chooseFile("Choose a file", tensor.name, pictures ? "image/*" : "", (file) => void take(file));
  const camera = pictures && cameraButton(tensor.name, live, signal, (file) => void take(file), fail);
  const control = h("div", { class: "drop", role: "group", tabindex: 0 }, shown, h("div", { class: "beside" }, choose, camera), h("p", { class: "hint" }, `or drop or paste one here; up to ${sizeText(MOST_BYTES)}`), live);
  onFiles(control, (file) => void take(file));
  show("");

  /** @param {File} file */
  async function take(file) {
    if (file.size > MOST_BYTES) {
      fail(`${file.name} has ${sizeText(file.size)}; up to ${sizeText(MOST_BYTES)} can be sent`);
      return;
    }
    const turn = (turns += 1);
    let b64;
    try {
      b64 = await base64(file);
    } catch (error) {
      fail(`${file.name} cannot be read: ${/** @type {Error} */ (error).message}`);
      return;
    }
    if (signal.aborted || turn !== turns) return;
    held = { b64 };
    show(file.name);
    onChange();
  }

  /** @param {string} name */
  function show(name) {
    if (!held) {
      fill(shown, h("p", { class: "hint" }, "No file yet"));
      return;
    }
    const about = h("p", { class: "hint" }, [name, sizeText(sizeOf(held.b64))].filter(Boolean).join(", "));
    const type = pictureType(held.b64);
    const image = type && h("img", { alt: `the picture for ${tensor.name}`, src: `data:${type};base64,${held.b64}`, onload: measured, onerror: () => image && image.replaceWith("This is no picture that the browser can show.") });
    function measured() {
      if (image) about.append(`, ${image.naturalWidth} × ${image.naturalHeight} pixels`);
    }
    fill(shown, image, about);
  }

  return {
    element: control,
    control,
    value() {
      if (!held) throw new FieldError("a file is missing here");
      return nested([held], around);
    },
    empty: () => held === null,
    clear() {
      turns += 1;
      held = null;
      show("");
    },
    set(value) {
      const lists = sizes(value);
      if (flat(value).length !== 1 || !isNest(value, lists, isBytes)) return false;
      turns += 1;
      around = lists;
      held = /** @type {{ b64: string }} */ (flat(value)[0]);
      show("");
      return true;
    },
  };
}

/** @param {unknown} value */
function isBytes(value) {
  return value !== null && typeof value === "object" && Object.keys(value).join() === "b64" && typeof (/** @type {any} */ (value).b64) === "string";
}
