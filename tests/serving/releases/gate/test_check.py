"""The gate as a whole: versions of a real model, each in a process of its own. The full counts are the corpus of versions."""

import json
import re
import shutil

import pytest

from signet.serving.errors import UsageError
from signet.serving.releases.gate import html
from signet.serving.releases.gate.bounds import Bounds
from signet.serving.releases.gate.check import check
from signet.serving.releases.gate.isolation import Version
from signet.serving.releases.gate.report import REFUSED, Finding, Report
from tests.serving.releases.gate.shop import rows

STABLE = 1
BOUNDS = Bounds(memory_floor_mib=128)
RECORDED = {"serving_default": [rows(400, 77)[0]]}


def checked(folder, bounds=BOUNDS, stable="stable", recorded=RECORDED):
    beside = Version("shop", STABLE, folder.parent / stable) if stable else None
    return check(Version("shop", 2, folder), beside, bounds, recorded)


def reasons(report: Report) -> list[str]:
    return [f"{finding.check}: {finding.text}" for finding in report.findings if finding.level == REFUSED]


def changed(shop, tmp_path, name, change):
    """A copy of the stable version that somebody has spoiled."""
    folder = tmp_path / name
    shutil.copytree(shop / "stable", folder)
    shutil.copytree(shop / "stable", tmp_path / "stable", dirs_exist_ok=True)
    change(folder)
    return folder


def cut(path, share=0.5):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def test_a_good_retraining_passes_with_the_figures_of_every_output(shop):
    report = checked(shop / "good-0")
    assert report.passed, reasons(report)
    assert [(one.output, one.kind, one.rows) for one in report.outputs] == [
        ("digit", "classes", 432),
        ("mood", "classes", 432),
        ("price", "numbers", 432),
        ("topic", "classes", 432),
    ]
    digit = report.outputs[0]
    assert digit.changed is not None
    assert 0.02 < digit.changed < 0.2
    assert report.requests == {"golden": 32, "recorded": 400, "random": 65, "zeros": 2}
    assert report.latency is not None
    assert report.memory_bytes.keys() == {"stable", "candidate"}
    assert json.loads(report.to_json())["passed"] is True
    assert report.text().startswith("shop version 2 against version 1: passes\n")


def test_each_mistake_is_told_by_the_output_and_the_input_that_it_is_in(shop):
    report = checked(shop / "several")
    found = reasons(report)
    where = "signature 'serving_default': output"
    assert len(found) == 4, found
    assert (
        f"numbers: {where} 'price' is NaN or infinite in rows where the stable version has none: 2 of the zeros"
        in found
    )
    assert any(re.match(f"classes: {where} 'digit'.*when input 'picture' is divided by 255", text) for text in found)
    for output, other in (("topic", "mood"), ("mood", "topic")):
        assert any(
            re.match(f"classes: {where} '{output}'.*answers as output '{other}' of the stable", text) for text in found
        )
    page = html.page(report)
    assert "is divided by 255: is its scaling right?" in page
    assert "output &#x27;digit&#x27;" in page


def test_a_candidate_that_ends_its_process_is_refused_and_so_is_one_that_says_nothing(shop):
    """The checks go on in this process, whatever happens in that one."""
    (crash,) = reasons(checked(shop / "crash", Bounds(allow_ops="Abort"), recorded=None))
    assert re.match(
        "answers: signature 'serving_default', a zeros request of 2 rows: its process was ended by SIGABRT", crash
    )
    (hang,) = reasons(checked(shop / "hang", Bounds(timeout_s=2.0), recorded=None))
    assert hang == (
        "answers: signature 'serving_default', a zeros request of 2 rows: it has not answered within 2 s, and was ended"
    )
    (refused,) = reasons(checked(shop / "crash"))
    assert "operations: its graph reaches operations that touch more than the model: Abort" in refused


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: (folder / "variables" / "variables.index").unlink(), "variables/variables.index is not there"),
        (lambda folder: cut(folder / "saved_model.pb"), "saved_model.pb cannot be read: it is cut off"),
        (
            lambda folder: cut(folder / "variables" / "variables.data-00000-of-00001"),
            "variables.data-00000-of-00001 has",
        ),
        (lambda folder: (folder / "assets" / "words.txt").unlink(), "assets/words.txt is not there"),
        (shutil.rmtree, "saved_model.pb is not there"),
    ],
)
def test_files_that_are_not_whole_are_refused_before_anything_runs(shop, tmp_path, spoil, reason):
    (found,) = reasons(checked(changed(shop, tmp_path, "spoilt", spoil)))
    assert found.startswith("files: ")
    assert reason in found


def test_names_of_checks_and_operations_that_there_are_not(tmp_path):
    with pytest.raises(UsageError, match="--accept: 'clases' is no check; there are files, signature"):
        check(Version("shop", 2, tmp_path), None, Bounds(accept="clases"))
    with pytest.raises(UsageError, match="--allow-ops: 'ReadFiles' is no operation"):
        check(Version("shop", 2, tmp_path), None, Bounds(allow_ops="ReadFiles"))


def test_what_a_report_says_of_strangers_is_only_text():
    finding = Finding("answers", REFUSED, "output '<script>alert(1)</script>\x1b[2J' is not answered")
    report = Report("<b>", 2, 1, [finding])
    page = html.page(report)
    assert "<script>" not in page
    assert "<b>" not in page.split("</h1>")[0].split("<h1>")[1]
    assert "\x1b" not in report.text()
    assert json.loads(report.to_json())["findings"][0]["text"] == finding.text


# ---- The corpus.

OUTPUT = "signature 'serving_default': output"
BROKEN = {
    "swapped_outputs": f"classes: {OUTPUT} 'topic'.*it answers as output 'mood' of the stable version does",
    "swapped_inputs": f"difference: {OUTPUT} 'price' differs by .*as if inputs 'weight' and 'width' were swapped",
    "wrong_vocabulary": f"classes: {OUTPUT} 'topic': the class changes in .*assets/words.txt differs",
    "wrong_scaling": f"classes: {OUTPUT} 'digit': it answers as .* when input 'picture' is divided by 255",
    "transposed": f"classes: {OUTPUT} 'digit': the class changes in .*as if input 'picture' were transposed",
    "stale_labels": "signature: .*class 0 of output 'digit' was called 'number 0' and is called 'number 1'",
    "other_count_of_labels": f"answers: {OUTPUT} 'digit' has 10 classes, and the card names 9",
    "slow": "latency: signature 'serving_default': 32 rows take .* times as long as in the stable version",
    "wrong_dtype": f"signature: {OUTPUT} 'price' was float and is double",
    "constant": f"constant: {OUTPUT} 'digit' is about the same for all",
    "off_by_one": rf"classes: {OUTPUT} 'digit': the class changes in .*shifted by \+1",
    "wrong_shape": rf"signature: {OUTPUT} 'price' had shape \(None, 1\) and has \(None,\)",
    "wrong_rows": f"answers: {OUTPUT} 'mood' has 64 rows for 32",
    "dropped_output": f"signature: {OUTPUT} 'mood' is gone",
    "renamed_input": "signature: signature 'serving_default': input 'picture' is gone",
    "extra_input": "signature: signature 'serving_default': input 'tax' is new",
    "infinite_on_zeros": f"numbers: {OUTPUT} 'price' is NaN or infinite in rows .*: 2 of the zeros",
    "forbidden_operation": "operations: its graph reaches operations that touch more than the model: ReadFile",
    "memory_hog": "memory: it took .* MiB .bound .* MiB; the stable version took",
    "logits": f"range: {OUTPUT} 'digit' are no longer chances",
    "cents": f"range: {OUTPUT} 'price' lies between",
    "nan_weights": f"numbers: {OUTPUT} 'digit' is NaN or infinite in rows where the stable version has none: 32 of the golden",
    "hardly_trained": f"classes: {OUTPUT} 'digit': the class changes in",
}


@pytest.mark.long
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_version_is_refused_for_its_own_reason(whole_shop, name):
    found = reasons(checked(whole_shop / name))
    assert any(re.match(BROKEN[name], text) for text in found), found
    accused = set(
        re.findall(r"output '(\w+)'", " ".join(text.split(";")[0].partition("it answers")[0] for text in found))
    )
    said = set(re.findall(r"output '(\w+)'", BROKEN[name].partition("it answers")[0]))
    together = {"topic", "mood"}  # the same word gives both
    assert accused <= said | (together if said & together else set()), found


@pytest.mark.long
def test_twenty_good_retrainings_pass_with_and_without_recorded_requests(whole_shop):
    for place in range(20):
        report = checked(whole_shop / f"good-{place}", recorded=RECORDED if place % 2 else None)
        assert report.passed, (place, reasons(report))


@pytest.mark.long
def test_a_better_version_than_a_hardly_trained_one_is_not_called_wrong_by_its_inputs(whole_shop):
    """It is far from the one before, which was near to chance; nothing explains that by scaling or turning."""
    found = reasons(checked(whole_shop / "good-3", stable="hardly_trained"))
    assert not any("answers as" in text for text in found), found


@pytest.mark.long
def test_golden_examples_tell_that_weights_are_others_than_at_the_export(whole_shop, tmp_path):
    def other_weights(folder):
        shutil.rmtree(folder / "variables")
        shutil.copytree(whole_shop / "good-0" / "variables", folder / "variables")

    folder = changed(whole_shop, tmp_path, "mixed", other_weights)
    found = reasons(checked(folder))
    assert any(
        text.startswith(f"golden: {OUTPUT} 'digit' of its own golden examples differs by up to") for text in found
    )


@pytest.mark.long
def test_the_first_version_is_looked_at_alone(whole_shop):
    assert checked(whole_shop / "stable", stable="").passed
    (found,) = reasons(checked(whole_shop / "nan_weights", stable=""))
    assert found.startswith(f"numbers: {OUTPUT} 'digit' is NaN or infinite in rows: 32 of the golden")


@pytest.mark.long
def test_a_check_that_is_accepted_warns(whole_shop):
    report = checked(whole_shop / "off_by_one", Bounds(accept="classes"))
    assert report.passed
    assert any(finding.check == "classes" and finding.level == "warning" for finding in report.findings)


@pytest.mark.long
def test_a_stable_version_that_does_not_load_is_no_fault_of_the_candidate(whole_shop, tmp_path):
    folder = changed(whole_shop, tmp_path, "candidate", lambda folder: None)
    cut(tmp_path / "stable" / "variables" / "variables.data-00000-of-00001", 0.0)
    report = checked(folder)
    assert report.passed, reasons(report)
    assert any("the stable version cannot be asked" in finding.text for finding in report.findings)
