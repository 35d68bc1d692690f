"""Counts of versions: of models that are served, and of no more than a few versions of each."""

from signet.serving.gateway.observability.statistics import Statistics


def test_what_is_served_no_more_is_forgotten_when_another_model_comes():
    served = {"a", "b"}
    statistics = Statistics(lambda: served)
    statistics.count_call("a", 1)
    served.remove("a")
    statistics.count_call("b", 1)
    assert list(statistics._models) == ["b"]
    (line,) = statistics.of("a", [1])
    assert line["execution_count"] == 0


def test_the_version_that_came_first_goes_first():
    statistics = Statistics(lambda: {"a"})
    for version in range(1, 11):
        statistics.count_call("a", version)
    assert [line["execution_count"] for line in statistics.of("a", [2, 3, 10])] == [0, 1, 1]
