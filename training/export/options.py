"""What `signet export` takes: the fields are its options, and what an export from Python adds to them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from signet.serving.options import Option

AllowBreaking = Annotated[
    bool,
    Option(
        "Publish even if callers of the newest version could not go on: a name removed, another dtype or rank, "
        "another number of classes. Without it such an export is refused, with what changed."
    ),
]


@dataclass(frozen=True)
class ExportOptions:
    """Which model is to be exported, and how."""

    file: Annotated[
        Path,
        Option(
            "The model: a .keras file, or an .h5 or .hdf5 file of older versions.",
            metavar="FILE.keras",
            is_argument=True,
        ),
    ]
    name: Annotated[str, Option("What it is to be called, as in /v1/models/NAME:predict.")]
    models_dir: Annotated[
        Path, Option("The export becomes MODELS_DIR/NAME/VERSION, the version being the next number.")
    ] = Path("models")
    labels: Annotated[
        Path | None,
        Option(
            "What the classes are called: a label in each line, for the output that has so many, or JSON "
            '{"OUTPUT": ["label", …]}. The export then gives OUTPUT_label beside the scores.'
        ),
    ] = None
    example: Annotated[
        Path | None,
        Option(
            'Rows to prove the export by: JSON {"INPUT": [row, …]} or a predict request, or numpy\'s .npz. '
            "Without it rows are drawn at random. A model whose `call` is Python code needs it. In JSON, numbers without "
            "a point are int32, others float32."
        ),
    ] = None
    rename: Annotated[
        list[str],
        Option(
            "Another name for an input or output: OLD=NEW; may be given again. Names such as input_layer, which say "
            "nothing to callers, are refused.",
            metavar="OLD=NEW",
        ),
    ] = field(default_factory=list)
    code: Annotated[Path | None, Option("A Python file that defines the model's own classes. It is run.")] = None
    allow_lambda: Annotated[bool, Option("Run the code in Lambda layers. Only for files that you trust.")] = False
    xla: Annotated[
        bool,
        Option(
            "Compile the network, for sizes that are rounded up: recurrent ones run 2 to 4 times as fast, the first "
            "request of a size waits about a second. TensorFlow Serving then needs --xla_cpu_compilation_enabled."
        ),
    ] = False
    scores: Annotated[
        str | None,
        Option(
            "For --labels of an output with one number: probability takes the second label above 0.5, logit above 0. "
            "Needed only where its last activation does not tell. [default: as that says]",
            choices=("probability", "logit"),
        ),
    ] = None
    not_batched: Annotated[
        bool,
        Option(
            "Export a model whose answers are no rows of their own (a matrix of similarities, a mean over the batch), or "
            "are random: it is marked so, and servers never join its requests."
        ),
    ] = False
    allow_ops: Annotated[
        str,
        Option(
            "NAME[,NAME]: operations such as ReadFile that the model may reach though they touch files; others are "
            "marked in its card, and `signet serve` refuses all that its own --allow-ops does not name."
        ),
    ] = ""
    allow_breaking: AllowBreaking = False
    objects: Path | None = None
    """A file of the model's own classes and functions by name, pickled by an export from Python."""
    import_paths: Sequence[str] = ()
    """Folders that the exporting Python process imports from."""
    source: str = ""
    """Where the model comes from, for the card; empty: the file."""
