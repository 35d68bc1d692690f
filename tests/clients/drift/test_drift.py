"""`signet drift`: what is found in a request log, by whichever reference, and what is said where nothing can be."""

import io
import json
from datetime import UTC, datetime

import numpy as np
import pytest
from rich.console import Console

from signet.clients.drift import command
from signet.clients.drift.options import DriftOptions
from signet.serving.errors import UsageError
from signet.serving.models import distribution
from tests.servers import program
from tests.serving.gateway.request_log.made import a_plan, record, signature, write_log

MADE = signature(
    {"age": ("float", (None, 1)), "words": ("int32", (None, None)), "colour": ("string", (None,))},
    {"score": ("half", (None, 3))},
)
COLOURS = np.array([b"red", b"blue", b"green"], object)
COLUMNS = [
    "age",
    "words.length",
    "words.mean",
    "words.std",
    "words.min",
    "words.max",
    "words.norm",
    "colour",
    "colour.length",
    "output.score[0]",
    "output.score[1]",
    "output.score[2]",
    "output.score.argmax",
]


def rows(count, seed, older=0.0, colours=3):
    """So many requests of one row: names of tensors -> an array each."""
    chance = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        inputs = {
            "age": chance.normal(40 + older, 10, (1, 1)).astype(np.float32),
            "words": chance.integers(1, 50, (1, chance.integers(1, 6))).astype(np.int32),
            "colour": COLOURS[chance.integers(0, colours, 1)],
        }
        made.append((inputs, {"score": chance.dirichlet([1, 1, 1], 1).astype(np.float16)}))
    return made


def write(folder, made, redact="", first=0, given=MADE):
    """A request log in two files' worth of batches."""
    plan = a_plan(given, redact)
    records = []
    for number, (inputs, outputs) in enumerate(made, first):
        shown = {name: array for name, array in inputs.items() if name not in plan.hidden}
        records.append(record(plan, shown, outputs, 1, number))
    half = len(records) // 2
    write_log(folder, records[:half])
    write_log(folder, records[half:])


def write_card(models, made, **changed):
    """A card with the reference of these rows, as an export writes it."""
    longest = max(inputs["words"].shape[1] for inputs, _ in made)

    def joined(name, side):
        arrays = [both[side][name] for both in made]
        if name == "words":
            arrays = [np.pad(array, [(0, 0), (0, longest - array.shape[1])]) for array in arrays]
        return np.concatenate(arrays)

    inputs = {name: joined(name, 0) for name in MADE.inputs}
    reference = distribution.reference(MADE, inputs, {"score": joined("score", 1)}, 0, "held-out rows")
    described = {
        "inputs": {
            "age": {"dtype": "float32", "shape": [None, 1]},
            "words": {"dtype": "int32", "shape": [None, None]},
            "colour": {"dtype": "string", "shape": [None]},
        },
        "outputs": {"score": {"dtype": "half", "shape": [None, 3]}},
        "reference": reference.to_json(),
    } | changed
    folder = models / "m" / "3" / "assets.extra"
    folder.mkdir(parents=True)
    (folder / "model-card.json").write_text(json.dumps({"signatures": {"serving_default": described}}))


def run(tmp_path, **options):
    """The exit code, and column -> verdict with its figures."""
    out = io.StringIO()
    given = {"log": str(tmp_path / "log"), "models_dir": tmp_path / "models", "json": True} | options
    code = command.run(DriftOptions("m", **given), Console(file=out, width=200), Console(file=io.StringIO()))
    document = json.loads(out.getvalue())
    assert document["drift"] is (code == 1)
    return code, {column["column"]: column for column in document["columns"]}


def test_the_same_distribution_does_not_drift(tmp_path):
    write_card(tmp_path / "models", rows(400, 1))
    write(tmp_path / "log", rows(400, 2))
    code, columns = run(tmp_path)
    assert (code, list(columns)) == (0, COLUMNS)
    assert {column["verdict"] for column in columns.values()} == {"ok"}
    assert {column["rows"] for column in columns.values()} == {400}


def test_what_has_changed_drifts_and_nothing_else(tmp_path):
    write_card(tmp_path / "models", rows(400, 1, colours=2))
    write(tmp_path / "log", rows(400, 2, older=15, colours=3))
    code, columns = run(tmp_path)
    assert code == 1
    assert {name for name, column in columns.items() if column["verdict"] == "drift"} <= {
        "age",
        "colour",
        "colour.length",
    }
    assert columns["age"]["verdict"] == columns["colour"]["verdict"] == "drift"
    assert columns["colour"]["new"][0] == 0
    assert columns["colour"]["new"][1] == pytest.approx(1 / 3, abs=0.1)


def test_redacted_columns_are_named_and_do_not_drift(tmp_path):
    write_card(tmp_path / "models", rows(300, 1))
    write(tmp_path / "log", rows(300, 2), "m.colour")
    code, columns = run(tmp_path)
    assert code == 0
    assert columns["colour"]["verdict"] == columns["colour.length"]["verdict"] == "not in the log"


def test_missing_numbers_are_seen(tmp_path):
    write_card(tmp_path / "models", rows(300, 1))
    made = rows(300, 2)
    for inputs, _ in made[::2]:
        inputs["age"][:] = np.nan
    write(tmp_path / "log", made)
    code, columns = run(tmp_path)
    assert (code, columns["age"]["verdict"], columns["age"]["missing"]) == (1, "drift", [0, 0.5])


def test_an_earlier_time_can_be_the_reference(tmp_path):
    write(tmp_path / "log", [*rows(300, 1), *rows(300, 2, older=15)])
    since = datetime.fromtimestamp(1e9 + 300, UTC).isoformat()
    code, columns = run(tmp_path, reference=str(tmp_path / "log"), since=since)
    assert code == 1
    assert columns["age"]["verdict"] == "drift"
    assert columns["words.length"]["verdict"] == "ok"
    assert columns["age"]["rows"] == 300
    with pytest.raises(UsageError, match=r"the reference has 0 rows before 2001-09-09 01:46 UTC; it needs 50"):
        run(tmp_path, reference=str(tmp_path / "log"), since=datetime.fromtimestamp(1e9, UTC).isoformat())


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"since": "soon"}, "--since is 'soon'; expected 30m, 24h, 7d"),
        ({"since": "24h"}, "the request log has 0 rows since"),
        ({"min_rows": 301}, "the request log has 300 rows; --min-rows is 301"),
        ({"version": 4}, "nothing of version 4 of 'm'; it has 3"),
        ({"signature": "other"}, r"nothing of 'm', signature 'other'; it has m \(serving_default\)"),
        ({"log": "nowhere"}, "nowhere does not exist"),
    ],
)
def test_what_cannot_be_compared_is_said_with_code_2(tmp_path, options, problem):
    write_card(tmp_path / "models", rows(100, 1))
    write(tmp_path / "log", rows(300, 2))
    with pytest.raises(UsageError, match=problem) as raised:
        run(tmp_path, **options)
    assert raised.value.exit_code == 2


def test_a_card_without_a_reference_says_how_to_get_one(tmp_path):
    write(tmp_path / "log", rows(300, 2))
    with pytest.raises(UsageError, match=r"model-card.json is not there: export the model again"):
        run(tmp_path)
    write_card(tmp_path / "models", rows(100, 1), reference=None)
    with pytest.raises(
        UsageError, match=r"has no reference: export .* at least 50 rows; or compare .* --reference \S+log --since"
    ):
        run(tmp_path)


def test_another_dtype_or_shape_than_the_cards_is_named(tmp_path):
    changed = {"inputs": {"age": {"dtype": "float32", "shape": [None, 2]}}}
    write_card(tmp_path / "models", rows(100, 1), **changed)
    write(tmp_path / "log", rows(300, 2))
    with pytest.raises(
        UsageError, match=r"'age' is float32 \[None, 1\] in \S+parquet, but float32 \[None, 2\] in the card"
    ):
        run(tmp_path)


def test_times():
    now = datetime(2026, 11, 29, 12, tzinfo=UTC)
    assert command.time_of("", now) is None
    assert command.time_of("90m", now) == datetime(2026, 11, 29, 10, 30, tzinfo=UTC)
    assert command.time_of("2d", now) == datetime(2026, 11, 27, 12, tzinfo=UTC)
    assert command.time_of("2026-11-29T13:00+02:00") == datetime(2026, 11, 29, 11, tzinfo=UTC)


def test_the_command_prints_a_table_and_ends_with_its_verdict(tmp_path):
    write_card(tmp_path / "models", rows(300, 1))
    write(tmp_path / "log", rows(300, 2, older=15))
    options = ("--log", tmp_path / "log", "--models-dir", tmp_path / "models")
    with program("drift", "m", *options) as running:
        assert running.process.wait(60) == 1
        assert running.stop() == 1
    assert "m version 3, serving_default: 300 rows of the log against 300 held-out rows" in running.output
    assert [line.split()[-1] for line in running.output.splitlines() if line.strip().startswith("age")] == ["DRIFT"]
    with program("drift", "m", *options, "--min-rows", "1000") as running:
        assert running.process.wait(60) == 2
        running.stop()
    assert "--min-rows is 1000" in running.output
