/**
 * Elements, made in one place: whatever a model, a card or a user says is text, and never read as HTML.
 *
 *     h("p", { class: "note" }, "a < b")      svg("rect", { x: 1, y: 2 })      fill(host, child, child)
 */

/** @typedef {Node | string | number | null | undefined | false} Child what is null, undefined or false is left out */
/** @typedef {{ [name: string]: unknown }} Props */

/**
 * An element. Of the props `class` and attributes are set as attributes (true: without a value; false, null: not at all),
 * functions are listeners of the event in their name (`onclick`), objects under `style` are set one by one, which a
 * policy without inline styles allows, and `dataset` as data attributes.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Props} [props]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  apply(element, props);
  add(element, children);
  return element;
}

/**
 * An element of a picture.
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Props} [props]
 * @param {...(Child | Child[])} children
 * @returns {SVGElementTagNameMap[Tag]}
 */
export function svg(tag, props = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  apply(element, props);
  add(element, children);
  return element;
}

/**
 * Replaces what is in an element.
 * @param {Element} host
 * @param {...(Child | Child[])} children
 */
export function fill(host, ...children) {
  host.replaceChildren();
  add(host, children);
}

let numbered = 0;

/**
 * An id that nothing else on the page has.
 * @param {string} kind
 */
export function uniqueId(kind) {
  numbered += 1;
  return `${kind}-${numbered}`;
}

/** @param {Element} parent @param {(Child | Child[])[]} children */
function add(parent, children) {
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    parent.append(child instanceof Node ? child : String(child));
  }
}

/** @param {HTMLElement | SVGElement} element @param {Props} props */
function apply(element, props) {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") {
      element.addEventListener(name.slice("on".length), /** @type {EventListener} */ (value));
    } else if (name === "style") {
      for (const [key, of] of Object.entries(/** @type {object} */ (value))) element.style.setProperty(key, String(of));
    } else if (name === "dataset") {
      for (const [key, of] of Object.entries(/** @type {object} */ (value))) element.dataset[key] = String(of);
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
}
