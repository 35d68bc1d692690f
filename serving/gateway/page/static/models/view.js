/** What is served, a card a model. */
import { format } from "../core/address.js";
import { card } from "../core/card.js";
import { fill, h } from "../core/dom.js";
import { get } from "../core/service.js";

/**
 * @param {HTMLElement} host
 * @param {import("../core/address.js").Address} _address
 * @param {AbortSignal} signal
 */
export async function show(host, _address, signal) {
  /** @type {{ models: string[] }} */
  const { models } = await get("v1/models", signal);
  const cards = await Promise.all(models.map((name) => card(name, null, signal)));
  document.title = "Signet: models";
  fill(
    host,
    h("h1", {}, "Models"),
    h("ul", { class: "cards" }, cards.map((each) => h("li", { class: "card" }, h("h2", {}, h("a", { href: format(["models", each.name]) }, each.name)), h("p", {}, each.purpose)))),
  );
}
