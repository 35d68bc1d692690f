"""A model's SavedModel with its golden examples, written and verified in this process: quicker than `export.export`."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from signet.serving.models import distribution
from signet.training.export import verify
from signet.training.export.golden import to_json
from signet.training.model import Data
from tests.training.late import Late

if TYPE_CHECKING:
    import keras
from tests import programs

_ANSWER = """
import json, pathlib, sys
from signet.serving.rest_dialect import json_codec
from signet.serving.engine import loading

folder = pathlib.Path(sys.argv[1])
servable = loading.Loader()("model", 1, folder)  # runs the warm-up requests, too
golden = json.loads((folder / "assets.extra" / "golden.json").read_bytes())["signatures"]
answers = {}
for name, example in golden.items():
    signature = servable.signatures[name]
    inputs = json_codec.decode(json_codec.parse(json.dumps({"inputs": example["inputs"]}).encode()), signature)
    answers[name] = {key: array.tolist() for key, array in servable.predict(signature, inputs).items()}
    none = servable.predict(signature, {key: array[:0] for key, array in inputs.items()})
    assert all(len(array) == 0 for array in none.values()), none
json.dump(answers, sys.stdout, default=bytes.decode)
assert "tensorflow" not in sys.modules
"""


def shapes(tensors: dict[str, keras.KerasTensor]) -> dict[str, tuple[int | None, ...]]:
    """Of a model's `input` or `output`, by name."""
    return {name: tensor.shape for name, tensor in tensors.items()}


def write(name: str, module: Any, model: keras.Model, data: Data[Any], folder: Path) -> dict[str, Any]:
    """The golden examples of the export that now lies in `folder`: loaded by TensorFlow, it gives them back."""
    trained = folder.with_name(f"{folder.name}-trained")
    trained.mkdir(parents=True)
    golden = {signature: to_json(inputs) for signature, inputs in module.golden(model, data).items()}
    (trained / "model.json").write_text(json.dumps({"name": name, "config": asdict(data.config), "golden": golden}))
    (trained / "metrics.json").write_text("{}")
    (trained / "history.csv").write_text("")
    Late("signet.training.export.reference").keep(trained, data.test.inputs)
    with warnings.catch_warnings():  # Keras reads weights in a way that TensorFlow 2.20 and numpy 2 warn of
        warnings.filterwarnings("ignore", "__array__ implementation doesn't accept a copy keyword")
        model.save_weights(trained / "weights.weights.h5")
        Late("signet.training.export.write").write(trained, folder)
    assert verify.verify(folder) is None
    check_card(folder)
    if data.test.rows >= distribution.LEAST_ROWS:  # default signatures take held-out rows as they are
        columns = card_of(folder)["signatures"]["serving_default"]["reference"]["columns"]
        assert all(any(name.startswith(tensor) for name in columns) for tensor in data.test.inputs)
        assert any(name.startswith("output.") for name in columns)
    signatures: dict[str, Any] = json.loads((folder / "assets.extra" / "golden.json").read_bytes())["signatures"]
    return signatures


def card_of(folder: Path) -> dict[str, Any]:
    """The card in a version's folder."""
    return json.loads((folder / "assets.extra" / "model-card.json").read_bytes())


def check_card(folder: Path) -> None:
    """The card says what every input and output means, and nothing was left unmeasured."""
    card = card_of(folder)
    assert card["purpose"]
    assert card["limits"]
    programs.need("dot")
    assert set(card["pictures"]) >= {"model.png"}
    for name, signature in card["signatures"].items():
        for tensor, said in (signature["inputs"] | signature["outputs"]).items():
            assert said["meaning"], (name, tensor)
            assert len(said["labels"]) in (0, said["shape"][-1]), (name, tensor)
        assert signature["batched"]
        assert signature["empty"]
        assert signature["golden_rows"] >= 8
    text = (folder / "assets.extra" / "model-card.md").read_text()
    assert card["digest"]["sha256"] in text


def engine_answers(folder: Path) -> dict[str, Any]:
    """What the engine answers to the golden examples, sent as JSON: signature -> output -> values.

    In a new process, which also asks for no rows and gets none.
    """
    child = subprocess.run([sys.executable, "-c", _ANSWER, folder], capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    answers: dict[str, Any] = json.loads(child.stdout)
    return answers
