"""What is told of models: of those that are served, and of versions that should be."""

from signet.serving.gateway.observability.metrics import Metrics
from signet.serving.models.model_status import BROKEN, INCOMPLETE, State, VersionStatus


def failed(metrics: Metrics, model: str) -> dict[str, float]:
    lines = metrics.exposition().decode().splitlines()
    found = [line for line in lines if line.startswith(f'signet_failed_versions{{model="{model}"')]
    return {line.split('reason="')[1].split('"')[0]: float(line.rsplit(" ", 1)[1]) for line in found}


def observe(metrics: Metrics, model: str, version: str = "1") -> None:
    series = metrics.request_series("v1", model, version, "serving_default", "OK")
    series.observe(0.1, (None, None, None, 0.1, None), 1, 1)


def test_a_version_that_failed_counts_until_a_newer_one_answers():
    metrics = Metrics("0")
    bad, good = VersionStatus(2, State.END, "DATA_LOSS", "cut off"), VersionStatus(1, State.AVAILABLE)
    metrics.set_states("m", [bad, good])
    assert failed(metrics, "m") == {"incomplete": 0, "broken": 1, "unanswered": 0, "operations": 0}
    metrics.set_states("m", [VersionStatus(3, State.AVAILABLE), bad])
    assert set(failed(metrics, "m").values()) == {0}


def test_what_a_version_says_of_its_replacement_counts():
    metrics = Metrics("0")
    metrics.set_states("m", [VersionStatus(1, State.AVAILABLE, "OK", "what has replaced it is cut off", INCOMPLETE)])
    assert failed(metrics, "m")[INCOMPLETE] == 1
    metrics.set_states("m", [VersionStatus(2, State.END, "UNKNOWN", "", BROKEN), VersionStatus(1, State.END)])
    assert failed(metrics, "m")[BROKEN] == 1


def test_series_of_a_model_go_with_it():
    metrics = Metrics("0")
    for model in ("m", "n"):
        metrics.set_states(model, [VersionStatus(1, State.AVAILABLE)])
        observe(metrics, model)
        metrics.observe_rows(model, 3)
    metrics.keep_only(["m", "n"])
    metrics.keep_only(["m"])
    observe(metrics, "n")  # a late answer
    metrics.keep_only(["m"])
    text = metrics.exposition().decode()
    assert 'model="m"' in text
    assert 'model="n"' not in text
