import assert from "node:assert/strict";
import { test } from "node:test";

import { current, evidence, harm, nextStep, ofAll, part, seen, stageInWords } from "../../../../../../serving/gateway/page/static/release/release.js";

const NB = "\u00a0";
const URL = "http://localhost:8080";

const release = (some = {}) => ({ model: "digits", generation: 2, stable: 1, candidate: 2, stage: "canary", share: 0.05, shadow: 1, by: "ana", at: "", reason: "", ...some });
const step = (stable, candidate, copies = [0, 0, 0]) => ({
  share: 0.05,
  stable: { requests: stable[0], errors: stable[1], slow: stable[2] },
  candidate: { requests: candidate[0], errors: candidate[1], slow: candidate[2] },
  copies: { copies: copies[0], failed: copies[1], differs: copies[2] },
});
const replica = (some = {}) => ({ name: "r", release: release(), available: [1, 2], stopped: "", evidence: { steps: [] }, ...some });
const told = (some = {}) => ({ replicas: [replica()], gate: null, verdict: null, copies: {}, outputs: {}, ...some });
const commands = (said, of) => nextStep(said, of, URL).commands.map((each) => each.command);

test("the newest generation is the one that counts, and none is none", () => {
  const old = replica({ release: release({ generation: 1 }) });
  assert.equal(current(told({ replicas: [old, replica(), replica({ release: null })] }))?.generation, 2);
  assert.equal(current(told({ replicas: [replica({ release: null })] })), null);
  assert.equal(current(told({ replicas: [] })), null);
});

test("each stage is a sentence that says who answers", () => {
  for (const [some, text] of [
    [{ stage: "gate" }, "Version 2 waits at the gate; version 1 answers everything"],
    [{ stage: "shadow" }, `Version 2 is shown copies of 100${NB}% of the requests; version 1 answers everything`],
    [{}, `Version 2 answers 5${NB}% of the requests, version 1 the others`],
    [{ share: 1 }, "Version 2 answers all requests, before version 1 is given up"],
    [{ stage: "done", candidate: null }, "Version 1 answers everything; none is on its way"],
    [{ stage: "rolled_back" }, "Version 2 was taken back; version 1 answers everything"],
  ]) {
    assert.equal(stageInWords(release(some)), text);
  }
});

test("what all processes have counted is one sum", () => {
  const one = replica({ evidence: { steps: [step([10, 1, 2], [5, 0, 1], [3, 1, 1]), step([1, 0, 0], [1, 1, 0])] } });
  const two = replica({ evidence: { steps: [step([100, 0, 0], [50, 2, 0])] } });
  assert.deepEqual(seen(told({ replicas: [one, two] })), {
    stable: { requests: 111, errors: 1, slow: 2 },
    candidate: { requests: 56, errors: 3, slow: 1 },
    copies: { copies: 3, failed: 1, differs: 1 },
  });
});

test("at the gate the check decides what is next", () => {
  const gate = (progress, candidate = 2) => ({ progress, candidate, stable: 1, by: "", at: "", reason: "", attempts: 1, report: "", findings: [] });
  const there = release({ stage: "gate", share: 0, shadow: 0 });
  const promote = `signet release promote digits --url ${URL}`;
  const back = "signet release rollback digits";
  assert.deepEqual(commands(told({ gate: gate("passed") }), there), [promote, back]);
  assert.deepEqual(commands(told({ gate: gate("refused") }), there), ["signet release check digits 2", back]);
  assert.deepEqual(commands(told({ gate: gate("checking") }), there), [back]);
  for (const none of [null, gate("none"), gate("unfinished"), gate("passed", 3)]) {
    assert.deepEqual(commands(told({ gate: none }), there), ["signet release check digits 2", promote, back]);
  }
});

test("under way the judge decides, and the brake before it", () => {
  const verdict = (decision) => ({ decision, reason: "because", findings: [] });
  assert.match(nextStep(told({ verdict: verdict("not_yet") }), release(), URL).text, /^Wait: because/);
  assert.match(nextStep(told({ verdict: verdict("good") }), release(), URL).text, /^Nothing speaks against/);
  assert.deepEqual(commands(told({ verdict: verdict("bad") }), release()), ["signet release rollback digits"]);
  const stopped = told({ verdict: verdict("good"), replicas: [replica(), replica({ stopped: "9 errors of 9" })] });
  assert.equal(nextStep(stopped, release(), URL).text, "The brake has stopped version 2: 9 errors of 9");
  assert.deepEqual(commands(stopped, release()), ["signet release rollback digits"]);
});

test("the steps go from copies to shares to all", () => {
  const verdict = { decision: /** @type {const} */ ("good"), reason: "", findings: [] };
  const what = (some) => nextStep(told({ verdict }), release(some), URL).commands[0].what;
  assert.equal(what({ stage: "shadow", share: 0 }), `Have version 2 answer 5${NB}% of the requests`);
  assert.equal(what({ share: 0.05 }), `Have version 2 answer 50${NB}% of the requests`);
  assert.equal(what({ share: 0.5 }), "Have version 2 answer everything");
});

test("a closed release has a next one where a newer version waits", () => {
  const done = release({ stage: "done", candidate: null, stable: 2 });
  assert.deepEqual(commands(told({ replicas: [replica({ available: [1, 2] })] }), done), []);
  assert.deepEqual(commands(told({ replicas: [replica({ available: [1, 2, 3] })] }), done), ["signet release start digits 3"]);
  const back = release({ stage: "rolled_back" });
  assert.deepEqual(commands(told({ replicas: [replica({ available: [1, 2] })] }), back), []);
});

test("no name can become another command", () => {
  const there = release({ model: "--url=x" });
  assert.deepEqual(commands(told(), there), [`signet release promote --url ${URL} -- --url=x`, "signet release rollback -- --url=x"]);
});

test("numbers of the judge are readable", () => {
  assert.equal(evidence(null), "without bound");
  assert.equal(evidence(-0.05), "none");
  assert.equal(evidence(Math.log(21333)), "21,333");
  assert.equal(evidence(Math.log(10) * 300), "10^300");
  assert.deepEqual([harm(0.0123), harm(-0.5), harm(0), harm(null)], [`+1.23${NB}%`, `\u221250.00${NB}%`, `0.00${NB}%`, "unknown"]);
  assert.equal(ofAll(3, 600), "3 (0.5 %)");
  assert.deepEqual([ofAll(0, 0), ofAll(0, 9)], ["0", "0"]);
  assert.equal(part(0.125), `12.5${NB}%`);
});
