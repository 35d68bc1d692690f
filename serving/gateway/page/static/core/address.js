/**
 * The state of the page in the hash of its URL, which no server sees: a link brings somebody else to the same place.
 *
 *     #/models/question_answering/try?signature=from_text&row={"text":…}
 *       └ path, each part decoded             └ query
 */

/** @typedef {{ path: string[], query: Map<string, string> }} Address */

/** Characters of a URL that every browser and most chats carry. */
export const LONGEST = 8000;

/**
 * What a hash says; an empty path for the start.
 * @param {string} hash with or without its #
 * @returns {Address}
 */
export function parse(hash) {
  const [path, ...rest] = hash.replace(/^#?\/?/, "").split("?");
  const query = new Map(new URLSearchParams(rest.join("?")));
  return { path: path.split("/").filter(Boolean).map(decoded), query };
}

/**
 * The hash of an address, with its #.
 * @param {string[]} path
 * @param {Iterable<[string, string]>} [query] entries with an empty value are left out
 */
export function format(path, query = []) {
  const said = [...query].filter(([, value]) => value !== "");
  const text = new URLSearchParams(said).toString();
  return `#/${path.map(encodeURIComponent).join("/")}${text && `?${text}`}`;
}

/**
 * Writes what has changed into the URL without going anywhere. False where it would be too long: then that is left out.
 * @param {Address} address is changed
 * @param {{ [name: string]: string }} changes an empty value removes its entry
 */
export function update(address, changes) {
  for (const [name, value] of Object.entries(changes)) {
    if (value === "") address.query.delete(name);
    else address.query.set(name, value);
  }
  const whole = format(address.path, address.query);
  if (whole.length <= LONGEST) {
    history.replaceState(null, "", whole);
    return true;
  }
  for (const name of Object.keys(changes)) address.query.delete(name);
  history.replaceState(null, "", format(address.path, address.query));
  return false;
}

/** @param {string} part */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // a stray % of somebody who typed it
  }
}
