"""Names of loads, and patterns of them."""

import pytest

from tests.bench import contenders, loads, targets


def test_names_are_distinct():
    names = [load.name for load in loads.LOADS]
    assert len(set(names)) == len(names)
    assert set(loads.QUICK) <= set(names)


@pytest.mark.parametrize(
    ("patterns", "quick", "expected"),
    [
        (["digits*64"], False, ["digits rest 64", "digits grpc 1x64"]),
        (
            ["image*", "*32rows*"],
            False,
            [
                "digits-32rows rest 4",
                *["image rest 4", "image v2-binary 4"],
                *["digits-32rows grpc 4x1", "image grpc 4x1"],
            ],
        ),
        ([], True, list(loads.QUICK)),
        (["social* 16"], True, ["social_posts rest 16"]),  # a pattern asks for more than the quick ones
    ],
)
def test_patterns_choose_loads_in_their_order(patterns, quick, expected):
    assert [load.name for load in loads.select(patterns, quick)] == expected


def test_without_a_pattern_all_are_measured():
    assert loads.select([], quick=False) == list(loads.LOADS)


def test_a_pattern_that_fits_nothing_is_refused():
    with pytest.raises(ValueError, match=r"--only 'digit 64' fits no load; there are: digits rest 1, "):
        loads.select(["digits*", "digit 64"], quick=False)
    with pytest.raises(ValueError, match=r"--servers 'embeded' fits none; there are: embedded, remote"):
        contenders.select(["embedded", "remote"], ["embeded"])


def test_targets_are_of_loads_that_there_are():
    names = {load.name for load in loads.LOADS}
    assert {target.load for target in targets.TARGETS} <= names
