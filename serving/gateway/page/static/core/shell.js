/** Words of a shell's command line. Pure. */

/**
 * A word as a shell reads it, whatever is in it: in quotes where it needs them.
 * @param {string} text
 */
export function shellWord(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
