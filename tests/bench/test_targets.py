"""What is held against what, and what is said of it."""

import pytest

from tests.bench import targets
from tests.bench.loads import LOADS
from tests.bench.made_results import block, made, sample, samples
from tests.bench.targets import ratio, ratios, reference


def test_a_server_is_held_against_itself_in_the_other_revision():
    found = block(embedded=samples(150, 300, 90), base_embedded=samples(100, 100, 100), limit=samples(50, 50, 50))
    assert reference(found, "embedded", "base") == "base-embedded"
    assert ratios(found, "embedded", "base") == [1.5, 3.0, 0.9]
    assert ratio(found, "embedded", "limit").median == 3.0
    assert ratios(found, "base-embedded", "base") == []


def test_two_processes_are_held_against_one_where_the_other_revision_had_no_more():
    found = block(embedded_2=samples(300), base_embedded=samples(100))
    assert ratios(found, "embedded-2", "base") == [3.0]
    found = block(embedded_2=samples(300), base_embedded=samples(100), base_embedded_2=samples(150))
    assert ratios(found, "embedded-2", "base") == [2.0]


def test_tensorflow_serving_counts_at_the_better_of_its_settings():
    found = block(embedded=samples(300, 330), tfs=samples(100, 110), tfs_batching=samples(200, 220))
    assert reference(found, "embedded", "tfs") == "tfs-batching"
    assert ratios(found, "embedded", "tfs") == pytest.approx([1.5, 1.5])
    assert ratio(found, "tfs", "tfs").median == 0.5
    assert reference(block(embedded=samples(1)), "embedded", "tfs") is None


def test_a_server_without_figures_has_no_ratio():
    found = block(base_embedded=samples(100))
    assert ratio(found, "embedded", "base") is None


def test_verdicts_of_targets_that_were_measured_and_of_others():
    found = made(block(embedded=samples(200, 210, 170), base_embedded=samples(100, 100, 100)), base="other")
    by_load = {(target.load, target.server): verdict for target, verdict in targets.verdicts(found, "base")}
    verdict = by_load["digits rest 64", "embedded"]
    assert (verdict.target, verdict.measured.median, verdict.reached, verdict.rounds) == (1.8, 2.0, True, 2)
    assert by_load["digits rest 64", "remote"] is None
    assert by_load["digits grpc 1x64", "embedded"] is None
    assert all(target.reference == "base" for target, _ in targets.verdicts(found, "base"))


def test_p99_is_compared_wherever_both_revisions_have_one():
    slower = [sample(0, 100, p99_s=0.03), sample(1, 100, p99_s=0.05)]
    found = made(
        block(embedded=slower, base_embedded=samples(100, 100), remote=samples(100), base_model_server=samples(9)),
        block(LOADS[0], embedded=samples(100, 100), base_embedded=slower),
        base="other",
    )
    told = [
        (load, server, verdict.reached, verdict.measured.median) for load, server, verdict in targets.latencies(found)
    ]
    assert told == [
        ("digits rest 64", "embedded", False, pytest.approx(2.0)),
        ("digits rest 1", "embedded", True, pytest.approx((2 / 3 + 2 / 5) / 2)),
    ]


def test_what_keys_and_logs_cost_is_processor_time_over_that_of_the_same_round():
    plain, watched = [sample(0, 100), sample(1, 100), sample(2, 100)], [sample(0, 100), sample(1, 50), sample(2, 99)]
    found = made(block(embedded=plain, watched=watched), block(LOADS[0], embedded=plain))
    [(load, server, verdict)] = targets.costs(found)
    assert (load, server) == ("digits rest 64", "watched")
    assert (verdict.measured.most, verdict.reached, verdict.rounds) == (2.0, True, 2)
