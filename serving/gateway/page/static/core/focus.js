/**
 * Where the focus was when a view is built anew: the control of the same name gets it back.
 *
 *     keptFocus() ──▶ name      elements that are rebuilt have `data-keep`: "version", "tab-try" …      restoreFocus(host, name)
 */

/** What names the control that has the focus; null where none that is named has it. */
export function keptFocus() {
  const kept = document.activeElement?.closest("[data-keep]");
  return kept instanceof HTMLElement ? (kept.dataset.keep ?? null) : null;
}

/**
 * Gives the focus to the control of that name, if nothing within the host has got it meanwhile. Gives whether it did.
 * @param {HTMLElement} host
 * @param {string | null} name
 */
export function restoreFocus(host, name) {
  if (name === null || ![document.body, host].includes(/** @type {HTMLElement} */ (document.activeElement))) return false;
  const same = [...host.querySelectorAll("[data-keep]")].find((each) => each instanceof HTMLElement && each.dataset.keep === name);
  if (!(same instanceof HTMLElement)) return false;
  same.focus({ preventScroll: true });
  return true;
}
