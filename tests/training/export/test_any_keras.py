"""Models of strangers: exported from their files, or SavedModels as they are; and `signet export` as a program."""

import json
import re
import subprocess

import httpx
import numpy as np
import pytest

from signet.serving.engine import loading
from signet.training.export import publish
from signet.training.export.golden import difference, from_json
from tests import servers
from tests.made_models import program
from tests.training.late import tf

OWN_NAMES = [
    "sequential",
    "functional_of_pictures",
    "pictures_of_any_size",
    "lists",
    "dicts",
    "shared_layers",
    "nested_models",
    "subclassed",
    "subclassed_with_two_arguments",
    "strings",
    "recurrent",
    "compiled",
    "unmasked",
    "fixed_rows",
    "half_precision",
    "lambdas",
    "hdf5",
    "sequential_with_states",
    "sequential_with_a_dict",
    "nested_dicts",
    "logits",
    "chances",
    "unregistered",
    "similarities",
    "sampled",
    "of_keras_2",
    "pictures_in_pictures_out",
]
"""Models that `third_party.py` saves and exports."""
NAMES = [*OWN_NAMES, "tf_module", "tf1"]
"""Those that it writes as SavedModels without an export, too."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """The folder that `third_party.py` fills."""
    folder = tmp_path_factory.mktemp("third_party")
    command = [*program("tests.training.export.third_party"), folder]
    child = subprocess.run(command, capture_output=True, text=True, check=False, cwd=servers.ROOT)
    assert child.returncode == 0, child.stderr[-3000:]
    assert {path.stem for path in (folder / "expected").iterdir()} == set(NAMES)
    return folder


def card(corpus, name):
    return json.loads((corpus / "models" / name / "1" / "assets.extra" / "model-card.json").read_text())


def golden_atol(corpus, name):
    """What answers may differ by, beside a hundredth: more where they are large."""
    path = corpus / "models" / name / "1" / "assets.extra" / "golden.json"
    return 10 * json.loads(path.read_text())["signatures"]["serving_default"]["atol"] if path.exists() else 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_the_engine_answers_as_the_model_did(corpus, name):
    expected = json.loads((corpus / "expected" / f"{name}.json").read_text())
    servable = loading.Loader()(name, 1, corpus / "models" / name / "1")  # with its warm-up requests
    try:
        signature = servable.signatures["serving_default"]
        inputs = {key: from_json(expected["inputs"][key], spec.dtype.numpy) for key, spec in signature.inputs.items()}
        assert inputs.keys() == expected["inputs"].keys()
        answers = servable.predict(signature, inputs)
        labels = {key: answers.pop(key) for key in list(answers) if key.endswith("_label")}
        assert all(label.dtype == object for label in labels.values())
        assert difference(answers, {**expected, "atol": golden_atol(corpus, name)}) is None
        if card(corpus, name)["signatures"]["serving_default"]["empty"] if name in OWN_NAMES else signature.batched:
            none = servable.predict(signature, {key: array[:0] for key, array in inputs.items()})
            assert all(len(array) == 0 for array in none.values())
    finally:
        servable.close()


@pytest.mark.parametrize("name", OWN_NAMES)
def test_each_weight_is_stored_once(corpus, name):
    version = corpus / "models" / name / "1"
    stored = [shape for key, shape in tf.train.list_variables(str(version / "variables" / "variables")) if shape]
    numbers = sum(int(np.prod(shape)) for shape in stored)
    assert numbers <= card(corpus, name)["model"]["parameters"] + 8  # the state of a random generator is two numbers


def test_the_likeliest_label_stands_beside_the_scores(corpus):
    golden = json.loads((corpus / "models/strings/1/assets.extra/golden.json").read_text())
    outputs = golden["signatures"]["serving_default"]["outputs"]
    assert outputs["mood_label"] == [("glad", "sad")[int(np.argmax(row))] for row in outputs["mood"]]
    assert card(corpus, "strings")["signatures"]["serving_default"]["outputs"]["mood"]["labels"] == ["glad", "sad"]


@pytest.mark.parametrize(("name", "threshold"), [("logits", 0.0), ("chances", 0.5)])
def test_one_number_tells_two_classes_by_its_own_rule(corpus, name, threshold):
    golden = json.loads((corpus / f"models/{name}/1/assets.extra/golden.json").read_text())
    outputs = golden["signatures"]["serving_default"]["outputs"]
    assert outputs["spam_label"] == ["spam" if score > threshold else "ham" for (score,) in outputs["spam"]]
    assert set(outputs["spam_label"]) == {"spam", "ham"}
    said = card(corpus, name)["signatures"]["serving_default"]["outputs"]["spam_label"]
    assert said["meaning"] == f"'spam' where `spam` is above {threshold:g}"


def test_answers_that_are_no_rows_are_marked(corpus):
    said = card(corpus, "similarities")["signatures"]["serving_default"]
    assert (said["batched"], said["random"], said["padding"]) == (False, False, None)
    assert "must not join" in (corpus / "models/similarities/1/assets.extra/model-card.md").read_text()


def test_large_golden_examples_are_digests_and_samples(corpus):
    path = corpus / "models/pictures_in_pictures_out/1/assets.extra/golden.json"
    assert path.stat().st_size < 10_000
    segments = json.loads(path.read_text())["signatures"]["serving_default"]["outputs"]["segments"]
    assert segments["shape"][1:] == [256, 256, 4]
    assert 2 <= segments["shape"][0] < 8
    assert len(segments["sample"]["values"]) == len(segments["sample"]["indices"]) == 16
    assert re.fullmatch("[0-9a-f]{64}", segments["sha256"])
    assert card(corpus, "pictures_in_pictures_out")["signatures"]["serving_default"]["example"] is None


def test_what_padding_does_is_measured(corpus):
    def padding(name):
        return card(corpus, name)["signatures"]["serving_default"]["padding"]

    assert padding("recurrent") == {"inputs": {"words": [1]}, "value": 0, "safe": True, "why": ""}
    assert not padding("unmasked")["safe"]
    assert re.fullmatch(r"7 more on words: 8 of 8 rows get other answers, by up to \S+\.", padding("unmasked")["why"])
    assert padding("sequential") is None


def test_a_fixed_number_of_rows_is_said_and_kept(corpus):
    said = card(corpus, "fixed_rows")["signatures"]["serving_default"]
    assert (said["batched"], said["empty"], said["golden_rows"]) == (False, False, 4)


REFUSALS = {
    "in_python": "the graph calls back into Python (PyFunc), which no server can do",
    "rows_that_meet": "row 0 alone is answered otherwise than in its batch",
    "nameless": "says nothing to those who call it: --rename input_layer_2=NAME gives another",
    "without_example": "--example FILE gives some rows by name",
    "with_a_wrong_example": "expected axis -1 of input shape to have value 4",
    "compiled_without_a_mask": "lengths are rounded up, which is for models that ignore padding",
    "similarities_as_rows": "--not-batched exports it for requests that go alone",
    "random_answers": "the same rows get other answers each time: a layer is random when the model predicts; --not-batched",
    "a_mean_over_rows": "output 'level' has shape () for 2 rows: not a row for each; --not-batched exports it",
    "stateful": "is stateful: it goes on where the last call ended, and callers of a server would share that state",
    "compiled_sequences": "--xla: output 'next' is as long as the input, which is rounded up; export it without --xla",
    "labels_of_who_knows_what": "cannot be told from its activation, relu; --scores probability takes the second class",
    "a_chance_that_is_none": "--scores logit takes the second class above 0",
    "weights_only": "the file holds weights only: `model.save('FILE.keras')` writes the whole model",
    "of_keras_2_with_another_value": "it was written by Keras 2, which Keras 3 cannot read: under Keras 2",
    "sparse_inputs": "input 'words' is sparse or ragged: such tensors have no name to be sent by",
    "with_lambdas": "if you trust the file, --allow-lambda runs that code",
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_be_served_is_refused_and_leaves_nothing(corpus, name):
    refused = json.loads((corpus / "refused.json").read_text())
    assert refused.keys() == REFUSALS.keys()
    assert REFUSALS[name] in refused[name]
    assert not (corpus / "models" / name).exists()


def test_the_gateway_serves_them_all(corpus):
    with servers.gateway("--models-dir", corpus / "models") as (url, _):
        assert servers.get(f"{url}/readyz").status_code == 200
        listed = json.dumps(servers.get(f"{url}/v1/models").json())
        assert all(f'"{name}"' in listed for name in NAMES)
        for name, body in {
            "strings": {"instances": [{"text": "good film"}]},
            "tf1": {"instances": [[1, 2]]},
            "tf_module": {"inputs": {"x": [[1, 2]]}},
        }.items():
            answer = httpx.post(f"{url}/v1/models/{name}:predict", json=body)
            assert answer.status_code == 200, answer.text
        given = answer.json()["outputs"]
        assert given == {"scaled": [[3, 6]], "summed": [3]}


# ---- `signet export` as a program.


def run(*arguments):
    command = [*servers.SIGNET, "export", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("no.keras", "--name", "x"), "there is no file no.keras"),
        (("model.pt", "--name", "x"), "model.pt is not a Keras model: expected a file called .keras"),
        (("model.keras", "--name", "x"), "model.keras is not a Keras model, or not a whole one"),
        (("saved", "--name", "x"), "saved is a SavedModel already, and is served as it is"),
        (("model.keras", "--name", "a/b"), "--name 'a/b'"),
    ],
)
def test_wrong_files_are_one_sentence(tmp_path, monkeypatch, arguments, problem):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.pt").write_text("")
    (tmp_path / "model.keras").write_text("no zip archive")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_text("")
    done = run(*arguments)
    assert done.returncode in (1, 2)
    assert problem in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "models").exists()


def test_the_same_file_gives_the_same_bytes_and_another_that_breaks_callers_is_refused(corpus, tmp_path):
    """Each export in processes of its own; all files but the random fingerprint.pb are compared."""

    def exported(name, *options):
        file = corpus / "files" / name / "model.keras"
        return run(file, "--name", "moods", "--models-dir", tmp_path, *options)

    labels = corpus / "files" / "strings" / "labels.txt"
    first = exported("strings", "--labels", labels)
    assert first.returncode == 0, first.stderr
    assert "serving_default: text string (any) -> mood float32 (any, 2), mood_label string (any)" in first.stdout
    assert exported("strings", "--labels", labels).returncode == 0
    one, other = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "moods" / "1", tmp_path / "moods" / "2")
    )
    assert one.keys() == other.keys()
    assert [str(path) for path in one if one[path] != other[path]] == ["fingerprint.pb"]

    refused = exported("dicts")
    assert refused.returncode == 1
    assert "callers of version 2 would break: signature 'serving_default': input 'alpha' is new; " in refused.stderr
    assert "output 'mood' is gone" in refused.stderr
    assert publish.versions(tmp_path / "moods") == [1, 2]

    code = servers.ROOT / "tests" / "training" / "export" / "third_party.py"  # defines the class of the model
    example = corpus / "files" / "subclassed" / "example.json"
    allowed = exported("subclassed", "--code", code, "--example", example, "--allow-breaking")
    assert allowed.returncode == 0, allowed.stderr
    assert "features float32 (any, 4) -> score float32 (any, 2), total float32 (any)" in allowed.stdout
    assert publish.versions(tmp_path / "moods") == [1, 2, 3]
