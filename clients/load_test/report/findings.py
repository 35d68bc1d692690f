"""What a result says in sentences, the same on a terminal and in a page: limits, failures, the rate found, this client."""

from signet.clients.load_test.run.result import Result
from signet.clients.load_test.run.target import OK


def findings(result: Result) -> list[tuple[str, str]]:
    """Sentences, each with its kind: good, bad, or empty."""
    found = []
    for outcome, count in sorted(result.total.outcomes.items()):
        if outcome != OK:
            said = f" – {result.said[outcome]}" if result.said.get(outcome) else ""
            found.append(("bad", f"{count:,} requests: {outcome}{said}"))
    if result.trials and result.found_rate is None:
        found.append(("bad", "no rate met the limits"))
    elif result.found_rate is not None:
        found.append(("good", f"highest rate that met the limits: {result.found_rate:,.4g}/s"))
    for verdict in result.verdicts:
        kind, word = ("good", "kept") if verdict.kept else ("bad", "NOT KEPT")
        found.append((kind, f"{word}: {verdict.limit}; measured {verdict.measured}"))
    found += [("bad", f"This client was a bottleneck: {limit}.") for limit in result.client.limits]
    if result.interrupted:
        found.append(("", f"Interrupted after {result.seconds:.0f} s."))
    return found
