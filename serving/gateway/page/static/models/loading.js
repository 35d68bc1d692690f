/** A few calls at a time, in order: a hundred models do not become a hundred requests at once. */

/**
 * A function that runs calls, at most so many of them at once.
 * @param {number} most
 * @returns {<T>(call: () => Promise<T>) => Promise<T>}
 */
export function limited(most) {
  let running = 0;
  /** @type {(() => void)[]} */
  const waiting = [];
  return async (call) => {
    if (running >= most) await new Promise((resolve) => waiting.push(() => resolve(undefined)));
    else running += 1;
    try {
      return await call();
    } finally {
      const next = waiting.shift();
      if (next) next(); // takes the place over
      else running -= 1;
    }
  };
}
