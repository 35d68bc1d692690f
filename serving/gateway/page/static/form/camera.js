/**
 * A picture from the camera of whoever looks at the page.
 *
 *     cameraButton(name, host, …) ──pressed──▶ what the camera sees, in host ──Take it──▶ PNG
 */
import { fill, h } from "../core/dom.js";

const WHY = {
  NotAllowedError: "the camera may not be used: allow it in the browser's settings of this page",
  NotFoundError: "there is no camera",
  NotReadableError: "the camera is in use by another program",
};

/**
 * @param {string} name of the input that the picture is for
 * @param {HTMLElement} host where the camera's picture is shown; is emptied at the end
 * @param {AbortSignal} signal
 * @param {(picture: File) => void} take
 * @param {(message: string) => void} fail
 */
export function cameraButton(name, host, signal, take, fail) {
  /** @type {MediaStream | null} */
  let stream = null;
  const button = h("button", { type: "button", "aria-label": `Camera for ${name}`, onclick: () => void open() }, "Camera");
  signal.addEventListener("abort", close, { once: true });

  async function open() {
    close();
    fail("");
    if (!navigator.mediaDevices) {
      fail("this browser gives pages a camera only over https, or from localhost");
      return;
    }
    button.disabled = true;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    } catch (error) {
      const refusal = /** @type {Error} */ (error);
      fail(WHY[/** @type {keyof typeof WHY} */ (refusal.name)] ?? `the camera does not answer: ${refusal.message}`);
      return;
    } finally {
      button.disabled = false;
    }
    if (signal.aborted || !host.isConnected) close();
    else show(stream);
  }

  /** @param {MediaStream} from */
  function show(from) {
    const video = h("video", { "aria-label": "What the camera sees", playsinline: true, onplaying: () => (shutter.disabled = false) });
    const shutter = h("button", { type: "button", class: "primary", disabled: true, onclick: () => shoot(video) }, "Take it");
    const cancel = h("button", { type: "button", onclick: stop }, "Cancel");
    const watch = new MutationObserver(() => {
      if (stream === from && !video.isConnected) close(); // another editor has its place: no camera is on that nobody sees
      if (stream !== from) watch.disconnect();
    });
    watch.observe(document.body, { childList: true, subtree: true });
    video.muted = true;
    video.srcObject = from;
    fill(host, h("div", { class: "camera" }, video, h("div", { class: "beside" }, shutter, cancel)));
    cancel.focus();
    video.play().catch((/** @type {Error} */ error) => !signal.aborted && stream === from && fail(`the camera does not show anything: ${error.message}`));
  }

  /** @param {HTMLVideoElement} video */
  function shoot(video) {
    const canvas = h("canvas", { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext("2d")?.drawImage(video, 0, 0);
    stop();
    canvas.toBlob((blob) => (blob ? take(new File([blob], "camera.png", { type: "image/png" })) : fail("the camera's picture is empty")), "image/png");
  }

  function stop() {
    close();
    button.focus();
  }

  function close() {
    for (const track of stream?.getTracks() ?? []) track.stop();
    if (stream) fill(host);
    stream = null;
  }

  return button;
}
