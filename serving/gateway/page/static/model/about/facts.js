/** Names and values, side by side. */
import { h } from "../../core/dom.js";

/**
 * @param {[string, import("../../core/dom.js").Child][]} rows those with an empty value are left out
 */
export function facts(rows) {
  const told = rows.filter(([, value]) => value !== "" && value !== null && value !== undefined && value !== false);
  return h("dl", { class: "facts" }, told.flatMap(([name, value]) => [h("dt", {}, h("bdi", {}, name)), h("dd", {}, typeof value === "string" ? h("bdi", {}, value) : value)]));
}

/**
 * Nested values as rows: {recipe: {epochs: 3}} → ["recipe, epochs", "3"].
 * @param {unknown} value
 * @param {string} [name]
 * @returns {[string, string][]}
 */
export function flattened(value, name = "") {
  if (value === null || value === undefined || value === "") return [];
  if (Array.isArray(value) && !value.some((each) => each !== null && typeof each === "object")) return value.length ? [[name, value.map(written).join(", ")]] : [];
  if (typeof value === "object") {
    return Object.entries(value).flatMap(([key, each]) => flattened(each, [name, key.replaceAll("_", " ")].filter(Boolean).join(", ")));
  }
  return [[name, written(value)]];
}

/** @param {unknown} value */
function written(value) {
  if (typeof value === "boolean") return value ? "yes" : "no";
  return String(value);
}
