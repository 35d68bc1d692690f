"""What `signet train` takes: the fields are its options."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from signet.serving.options import Option
from signet.training.export.options import AllowBreaking

PRESETS = ("quick", "full")
ARCHITECTURES = ("default", "notebook")
"""The network that learns best, and the notebook's; the same where there is no better one."""


@dataclass(frozen=True)
class TrainOptions:
    """How models are to be trained, and where their exports go."""

    preset: Annotated[
        str,
        Option(
            "quick: under a minute of processor time a model; full: up to 30 minutes, for better figures.",
            choices=PRESETS,
        ),
    ] = "quick"
    models_dir: Annotated[
        Path, Option("Each export becomes MODELS_DIR/NAME/VERSION, the version being the next number.")
    ] = Path("models")
    seed: Annotated[
        int, Option("Of the first weights, the order of rows and generated data. Same seed and machine, same weights.")
    ] = 0
    architecture: Annotated[
        str,
        Option(
            "default: the network that learns best. notebook: the one in the notebook, layer by layer.",
            choices=ARCHITECTURES,
        ),
    ] = "default"
    epochs: Annotated[int | None, Option("Passes over the data, at least 1. [default: the preset's]")] = None
    patience: Annotated[
        int | None,
        Option(
            "Early stopping: after so many epochs in a row that were not the best on the validation rows; 0: never. "
            "Exported are the weights of the best epoch in any case. [default: the preset's]"
        ),
    ] = None
    tensorboard: Annotated[Path | None, Option("Write for `tensorboard --logdir` into this folder.")] = None
    mixed_precision: Annotated[
        bool, Option("Compute in bfloat16, for processors and GPUs that do; the export is float32.")
    ] = False
    distribute: Annotated[bool, Option("Share each batch out among all local devices.")] = False
    data: Annotated[
        Path | None,
        Option(
            "Learn from this instead of generated data. question_answering: a bAbI file or a folder of them; "
            "social_posts: a CSV, JSONL or Parquet file with the columns posts, age, income (0 to 9), gender; "
            "siamese_lstm: a CSV or JSONL file with left, right, same (0 or 1); "
            "inception, residual: the word scenes, for turned, scaled and cluttered digits."
        ),
    ] = None
    if_missing: Annotated[bool, Option("Leave out models that have a version.")] = False
    work_dir: Annotated[
        Path | None,
        Option("Checkpoints, from which a killed training goes on. [default: .training beside MODELS_DIR]"),
    ] = None
    allow_breaking: AllowBreaking = False

    def work(self, name: str) -> Path:
        """The folder of checkpoints of one model."""
        return (self.work_dir or self.models_dir.absolute().parent / ".training") / name
