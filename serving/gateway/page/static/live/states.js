/** What the metrics say now of each model: its versions and their states, and its release. Pure. */

/** @typedef {import("./steps.js").Look} Look */
/** @typedef {{ name: string, available: boolean, versions: { version: string, state: string }[], failed: string[], release: string }} ModelState */

/**
 * @param {Look} look
 * @returns {ModelState[]}
 */
export function models(look) {
  const of = (/** @type {string} */ name, /** @type {string} */ model) =>
    (look.families.get(name) ?? []).filter(({ labels, value }) => labels.model === model && value > 0);
  return (look.families.get("signet_model_available") ?? [])
    .map(({ labels: { model }, value }) => ({
      name: model,
      available: value > 0,
      versions: of("signet_model_state", model)
        .map(({ labels: { version, state } }) => ({ version, state }))
        .sort((one, other) => Number(other.version) - Number(one.version)),
      failed: of("signet_failed_versions", model).map(({ labels, value: count }) => `${count} ${labels.reason}`),
      release: release(of, look, model),
    }))
    .sort((one, other) => (one.name < other.name ? -1 : 1));
}

/**
 * @param {(name: string, model: string) => import("./exposition.js").Sample[]} of
 * @param {Look} look
 * @param {string} model
 */
function release(of, look, model) {
  const [stage] = of("signet_release_stage", model);
  if (!stage) return "";
  const share = (look.families.get("signet_release_share") ?? []).find(({ labels }) => labels.model === model);
  return [
    stage.labels.stage.replaceAll("_", " "),
    share && share.value > 0 && `candidate gets ${Number((share.value * 100).toPrecision(3))} %`,
    of("signet_release_stopped", model).length > 0 && "candidate stopped",
    ...of("signet_release_missing", model).map(({ labels }) => `${labels.side} is missing`),
  ]
    .filter(Boolean)
    .join(", ");
}
