"""The `signet` command: one app; a sub-command's code is imported only when it is called."""

import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Keras models with several named inputs and outputs, from training to production.",
)


AllowBreaking = Annotated[
    bool,
    typer.Option(
        "--allow-breaking",
        help="Publish even if callers of the newest version could not go on: a name removed, another dtype or rank, "
        "another number of classes. Without it such an export is refused, with what changed.",
    ),
]


@app.command()
def train(
    names: Annotated[
        list[str],
        typer.Argument(
            help="digits, question_answering, social_posts, inception, residual, "
            "siamese_lstm, two_cameras, nested, or all.",
            metavar="NAME…",
        ),
    ],
    preset: Annotated[
        str,
        typer.Option(
            help="quick: under a minute of processor time a model; full: up to 30 minutes, for better figures."
        ),
    ] = "quick",
    models_dir: Annotated[
        Path, typer.Option(help="Each export becomes MODELS_DIR/NAME/VERSION, the version being the next number.")
    ] = Path("models"),
    seed: Annotated[
        int,
        typer.Option(
            help="Of the first weights, the order of rows and generated data. Same seed and machine, same weights."
        ),
    ] = 0,
    architecture: Annotated[
        str,
        typer.Option(help="default: the network that learns best. notebook: the one in the notebook, layer by layer."),
    ] = "default",
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the data, at least 1. Default: the preset's.", show_default=False)
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            help="Stop after so many epochs in a row that were not the best on the validation rows; 0: never. "
            "Default: the preset's. Exported are the weights of the best epoch in any case.",
            show_default=False,
        ),
    ] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(help="Write for `tensorboard --logdir` into this folder.", show_default=False)
    ] = None,
    mixed_precision: Annotated[
        bool,
        typer.Option(
            "--mixed-precision", help="Compute in bfloat16, for processors and GPUs that do; the export is float32."
        ),
    ] = False,
    distribute: Annotated[
        bool, typer.Option("--distribute", help="Share each batch out among all local devices.")
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Learn from this instead of generated data. question_answering: a bAbI file or a folder of them; "
            "social_posts: a CSV, JSONL or Parquet file with the columns posts, age, income (0 to 9), gender; "
            "siamese_lstm: a CSV or JSONL file with left, right, same (0 or 1); "
            "inception, residual: the word scenes, for turned, scaled and cluttered digits.",
            show_default=False,
        ),
    ] = None,
    if_missing: Annotated[bool, typer.Option("--if-missing", help="Leave out models that have a version.")] = False,
    work_dir: Annotated[
        Path | None,
        typer.Option(help="Checkpoints, from which a killed training goes on. Default: .training beside MODELS_DIR."),
    ] = None,
    allow_breaking: AllowBreaking = False,
) -> None:
    """Train models, judge them by held-out rows, and export them as SavedModels that were checked.

    Shows the epoch, the loss and the time left; ends with a table of what was reached. Ctrl-C stops and exports
    nothing half-done; the same command then goes on from the last whole epoch.
    """
    from signet.training.train import Order
    from signet.training.train import train as run

    order = Order(
        preset=preset,
        models_dir=models_dir,
        seed=seed,
        epochs=epochs,
        data=data,
        work_dir=work_dir,
        architecture=architecture,
        allow_breaking=allow_breaking,
        patience=patience,
        tensorboard=tensorboard,
        mixed_precision=mixed_precision,
        distribute=distribute,
    )
    run(names, order, if_missing=if_missing)


@app.command("export")
def export_file(
    file: Annotated[
        Path,
        typer.Argument(
            help="The model: a .keras file, or an .h5 or .hdf5 file of older versions.", metavar="FILE.keras"
        ),
    ],
    name: Annotated[str, typer.Option(help="What it is to be called, as in /v1/models/NAME:predict.")],
    models_dir: Annotated[
        Path, typer.Option(help="The export becomes MODELS_DIR/NAME/VERSION, the version being the next number.")
    ] = Path("models"),
    labels: Annotated[
        Path | None,
        typer.Option(
            help="What the classes are called: a label in each line, for the output that has so many, or JSON "
            '{"OUTPUT": ["label", …]}. The export then gives OUTPUT_label beside the scores.',
            show_default=False,
        ),
    ] = None,
    example: Annotated[
        Path | None,
        typer.Option(
            help='Rows to prove the export by: JSON {"INPUT": [row, …]} or a predict request, or numpy\'s .npz. '
            "Without it rows are drawn at random. A model whose `call` is Python code needs it. In JSON, numbers without "
            "a point are int32, others float32.",
            show_default=False,
        ),
    ] = None,
    rename: Annotated[
        list[str] | None,
        typer.Option(
            help="Another name for an input or output: OLD=NEW; may be given again. Names such as input_layer, which say "
            "nothing to callers, are refused.",
            metavar="OLD=NEW",
            show_default=False,
        ),
    ] = None,
    code: Annotated[
        Path | None,
        typer.Option(help="A Python file that defines the model's own classes. It is run.", show_default=False),
    ] = None,
    allow_lambda: Annotated[
        bool, typer.Option("--allow-lambda", help="Run the code in Lambda layers. Only for files that you trust.")
    ] = False,
    xla: Annotated[
        bool,
        typer.Option(
            "--xla",
            help="Compile the network, for sizes that are rounded up: recurrent ones run 2 to 4 times as fast, the first "
            "request of a size waits about a second. TensorFlow Serving then needs --xla_cpu_compilation_enabled.",
        ),
    ] = False,
    scores: Annotated[
        str | None,
        typer.Option(
            help="For --labels of an output with one number: probability takes the second label above 0.5, logit above 0. "
            "Default: as its last activation says; needed only where that cannot be told.",
            metavar="probability|logit",
            show_default=False,
        ),
    ] = None,
    not_batched: Annotated[
        bool,
        typer.Option(
            "--not-batched",
            help="Export a model whose answers are no rows of their own (a matrix of similarities, a mean over the batch), or "
            "are random: it is marked so, and servers never join its requests.",
        ),
    ] = False,
    allow_ops: Annotated[
        str,
        typer.Option(
            help="NAME[,NAME]: operations such as ReadFile that the model may reach though they touch files; others are "
            "marked in its card, and `signet serve` refuses all that its own --allow-ops does not name.",
            show_default=False,
        ),
    ] = "",
    allow_breaking: AllowBreaking = False,
) -> None:
    """Export any Keras 3 model as a SavedModel with named inputs and outputs that was checked, ready to be served.

    One or several inputs and outputs, as lists or dicts. What is published was loaded again as a server does it, and
    answered as the Keras model did; else nothing is published, and one sentence says why. The folder assets.extra/ of
    the version has its card, a picture, examples and warm-up requests.

    A SavedModel made elsewhere needs no export: copy it to MODELS_DIR/NAME/1.
    """
    from signet.training.export import card, options

    order = options.Order(
        file=file,
        name=name,
        models_dir=models_dir,
        labels=labels,
        example=example,
        renames=rename or (),
        code=code,
        allow_lambda=allow_lambda,
        xla=xla,
        scores=scores,  # type: ignore[arg-type]  # checked by `run`
        not_batched=not_batched,
        allow_ops=allow_ops,
        allow_breaking=allow_breaking,
    )
    version = options.run(order)
    typer.echo(str(version))
    for line in card.brief(version):
        typer.echo(f"  {line}")


@app.command()
def serve(
    models_dir: Annotated[
        str | None,
        typer.Option(
            help="Folder of models, MODEL/VERSION/saved_model.pb, or its address: s3://…, gs://…; default: models."
        ),
    ] = None,
    model_config_file: Annotated[
        Path | None, typer.Option(help="TensorFlow Serving's model config file, instead of a folder of models.")
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option(help="HOST:PORT[,HOST:PORT…] of TensorFlow Serving's gRPC port; without it models run in here."),
    ] = None,
    models: Annotated[str | None, typer.Option(help="Models that the backend serves, separated by commas.")] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in. [default: 127.0.0.1]")
    ] = None,
    http_port: Annotated[int | None, typer.Option(help="Port of the HTTP API; 0: a free one. [default: 8080]")] = None,
    grpc_port: Annotated[int | None, typer.Option(help="Port of the gRPC API; 0: a free one. [default: 8081]")] = None,
    admin_port: Annotated[
        int | None,
        typer.Option(
            help="Answer /livez, /readyz and /metrics on this port too, by a thread of its own; 0: a free one. "
            "[default: none]",
            show_default=False,
        ),
    ] = None,
    grpc: Annotated[
        bool | None, typer.Option("--grpc/--no-grpc", help="Open the gRPC port. [default: --grpc]", show_default=False)
    ] = None,
    request_timeout_s: Annotated[
        float | None, typer.Option(help="Seconds a request may take before it gets 504. [default: 30]")
    ] = None,
    batch_max_rows: Annotated[
        int | None, typer.Option(help="Most rows joined into one call; 1: no joining. [default: 64]")
    ] = None,
    batch_models: Annotated[
        str | None,
        typer.Option(
            help="MODEL=on,MODEL=off…: whether rows of several requests share calls. Default: where that is known to "
            "change no answer."
        ),
    ] = None,
    allow_missing: Annotated[
        bool | None,
        typer.Option(help="Start although the folder of models is not there yet; /readyz says no meanwhile."),
    ] = None,
    tags: Annotated[
        str | None,
        typer.Option(
            help="TAG[,TAG]: of the graph to load where a SavedModel has others, such as serve,gpu. [default: serve]",
            show_default=False,
        ),
    ] = None,
    allow_ops: Annotated[
        str | None,
        typer.Option(help="NAME[,NAME]: operations such as ReadFile that models may reach, though they touch files."),
    ] = None,
    drain_s: Annotated[
        float | None, typer.Option(help="Seconds to go on answering after SIGTERM with /readyz at 503. [default: 0]")
    ] = None,
) -> None:
    """Serve models over HTTP and gRPC: named tensors in and out, Prometheus metrics. Ctrl-C drains and stops.

    Each option is also a variable SIGNET_NAME, such as SIGNET_HTTP_PORT; the option wins. More of them: README.
    """
    from signet.serving.gateway import server, settings

    given = {name: value for name, value in locals().items() if name in settings.Settings.model_fields}
    server.run(settings.read({name: value for name, value in given.items() if value is not None}))


@app.command(
    "model-server", context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
)
def model_server(context: typer.Context) -> None:
    """TensorFlow Serving's gRPC API and flags in front of the embedded engine: --port=8500 --model_base_path=…"""
    from signet.serving.model_server.__main__ import main as run

    raise typer.Exit(run(context.args))


@app.command("sync-models")
def sync_models(
    source: Annotated[str, typer.Argument(help="Where models lie, such as s3://bucket/models.", metavar="ADDRESS")],
    folder: Annotated[Path, typer.Argument(help="The folder that becomes like it.", metavar="FOLDER")],
    versions: Annotated[int, typer.Option(help="Highest versions of each model to keep.", min=1)] = 2,
    poll_s: Annotated[
        float, typer.Option(help="Go on, with so many seconds between two looks; 0: one look.", min=0)
    ] = 0,
) -> None:
    """Copy models from a bucket into a folder, for servers that read folders: new versions whole, old ones removed.

    Ends with exit code 1 and one sentence when the bucket cannot be read at first; later it is tried again.
    """

    from signet.serving.models import model_store
    from signet.serving.process import log_lines

    log_lines.log_to_stderr("INFO", "%(levelname)s %(message)s")
    store = model_store.ModelStore(source, folder, versions)
    model_store.tell(store, store.sync())
    if poll_s:
        model_store.follow(store, poll_s)


Url = Annotated[str, typer.Option(help="Where the gateway answers, such as http://HOST:PORT.", envvar="SIGNET_URL")]
Header = Annotated[
    list[str] | None,
    typer.Option(
        "--header",
        help="Sent with every request, 'NAME: VALUE'; may be given again. $SIGNET_TOKEN is sent as a bearer token.",
        metavar="NAME: VALUE",
        show_default=False,
    ),
]
CaFile = Annotated[
    str, typer.Option(help="PEM of who may sign the server's certificate, besides the usual ones.", show_default=False)
]
Certificate = Annotated[
    str,
    typer.Option(help="PEM of this side's own certificate, and of its key if --key is not given.", show_default=False),
]
Key = Annotated[str, typer.Option(help="PEM of the key of --certificate.", show_default=False)]


@app.command()
def predict(
    name: Annotated[str, typer.Argument(help="The model; `signet models` lists them.", metavar="NAME")],
    inputs: Annotated[
        str,
        typer.Option(
            help="The inputs by name, each a list with one element a row: '{\"pixels\": [[0, 3, 16]]}'; "
            'bytes as {"b64": "…"}. @FILE reads them from a file, - from standard input.'
        ),
    ],
    signature: Annotated[
        str | None, typer.Option(help="Which way to call the model. [default: serving_default]", show_default=False)
    ] = None,
    version: Annotated[
        int | None, typer.Option(help="Version to ask. Default: the highest that is served.", show_default=False)
    ] = None,
    url: Url = "http://localhost:8080",
    timeout_s: Annotated[float, typer.Option(help="Seconds to wait for the answer.", min=0.001)] = 30.0,
    header: Header = None,
    ca_file: CaFile = "",
    certificate: Certificate = "",
    key: Key = "",
) -> None:
    """Ask a served model once and print its outputs by name, as JSON.

    Ends with exit code 1 and one sentence when the server cannot be reached or does not take the inputs.
    """
    from signet.clients.client.connecting import of_options
    from signet.clients.commands import predict as run

    access = of_options(header, ca_file, certificate, key)
    run(name, inputs, url=url, access=access, version=version, signature=signature, timeout_s=timeout_s)


@app.command()
def models(
    url: Url = "http://localhost:8080",
    header: Header = None,
    ca_file: CaFile = "",
    certificate: Certificate = "",
    key: Key = "",
) -> None:
    """Show what is served: models, versions, and each signature with its inputs and outputs; None is any size."""
    from signet.clients.client.connecting import of_options
    from signet.clients.commands import models as run

    run(url, of_options(header, ca_file, certificate, key))


@app.command()
def score(
    name: Annotated[str, typer.Argument(help="The model; `signet models` lists them.", metavar="MODEL")],
    paths: Annotated[
        list[str],
        typer.Argument(
            help="The files to score, and last where the result goes. INPUT: files, folders, patterns such as 'rows-*.csv', "
            "URLs such as s3://bucket/rows/ (with signet[s3], signet[gs]), or - for standard input. "
            "OUTPUT: a folder of part files; one file where its name ends as a format does; - for standard output.",
            metavar="INPUT… OUTPUT",
        ),
    ],
    url: Url = "http://localhost:8080",
    signature: Annotated[str, typer.Option(help="Which way to call the model.")] = "serving_default",
    version: Annotated[
        int | None,
        typer.Option(help="The version that scores all rows. Default: the highest at the start.", show_default=False),
    ] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            help="Where an input lies when no column is called so: INPUT=COLUMN, or INPUT=COLUMN,COLUMN… side by side; "
            "may be given again. Columns x_0, x_1 … make the input x without it.",
            metavar="INPUT=COLUMN",
            show_default=False,
        ),
    ] = None,
    carry: Annotated[
        str | None,
        typer.Option(
            help="Columns to write beside the outputs, separated by commas. Default: all that are no inputs.",
            show_default=False,
        ),
    ] = None,
    prefix: Annotated[
        str, typer.Option(help="Stands before the name of each output, for rows that have such a column already.")
    ] = "",
    flat: Annotated[
        bool,
        typer.Option("--flat", help="A column for each number of an output: digit_0, digit_1 … instead of a list."),
    ] = False,
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            help="Of a folder's parts: parquet, jsonl, csv, arrow, tfrecord; csv.gz, jsonl.zst. [default: parquet]",
        ),
    ] = "",
    input_format: Annotated[
        str, typer.Option(help="Of all inputs, where names do not tell. [default for -: jsonl]")
    ] = "",
    delimiter: Annotated[
        str,
        typer.Option(
            help="Of CSV files: one character, or tab. Default: , or tab by the name; ; tab or | where the first rows say so.",
            show_default=False,
        ),
    ] = "",
    encoding: Annotated[
        str,
        typer.Option(
            help="Of CSV files: utf-8, utf-16, cp1252, latin-1 … Default: as the file's beginning tells.",
            show_default=False,
        ),
    ] = "",
    quoting: Annotated[
        str,
        typer.Option(
            help='Of CSV files: double: "" is a quote within quotes, as RFC 4180 has it; backslash: \\" too; single: quotes '
            "are '; none: quotes are text. Default: double, or backslash where the first rows say so.",
            show_default=False,
        ),
    ] = "",
    batch_rows: Annotated[
        int | None,
        typer.Option(
            help="Rows in a request. Default: 64 of texts, 256 of rows of any length, else 8 to 1024, about 256 KiB.",
            min=1,
            show_default=False,
        ),
    ] = None,
    part_rows: Annotated[
        int, typer.Option(help="Rows in a part; what is lost by a kill is scored again from the last part.", min=1)
    ] = 65_536,
    concurrency: Annotated[
        int, typer.Option(help="Most requests in flight; fewer while the server is busy with others.", min=1, max=100)
    ] = 4,
    rate: Annotated[
        float | None, typer.Option(help="Most rows a second. Default: no limit.", min=0.001, show_default=False)
    ] = None,
    max_bad: Annotated[
        int,
        typer.Option(
            help="Rows that may be bad: they go to the dead letters, with the reason. -1: any number.", min=-1
        ),
    ] = 0,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace OUTPUT if it exists; start anew where inputs or model have changed."),
    ] = False,
    non_finite: Annotated[str, typer.Option(help="NaN and infinity in lines of JSON: bare, null, or string.")] = "bare",
    verify: Annotated[
        bool, typer.Option("--verify", help="Read every part again at the end, and hold it against its SHA-256.")
    ] = False,
    patience_s: Annotated[
        float,
        typer.Option(
            help="Seconds to go on while nothing is answered: the server is away or busy, the version gone.", min=0
        ),
    ] = 60.0,
    engine: Annotated[
        str,
        typer.Option(help="local: this process sends the requests. ray: the workers of a Ray cluster (signet[ray])."),
    ] = "local",
    ray_address: Annotated[
        str, typer.Option(help="The Ray cluster, as HOST:PORT; without it Ray looks for one here, or starts one.")
    ] = "",
    in_process: Annotated[
        bool, typer.Option("--in-process", help="Load the model from MODELS_DIR instead of asking a service.")
    ] = False,
    models_dir: Annotated[Path, typer.Option(help="For --in-process: MODELS_DIR/MODEL/VERSION.")] = Path("models"),
    header: Header = None,
    ca_file: CaFile = "",
    certificate: Certificate = "",
    key: Key = "",
) -> None:
    """Score files: a row {"id": 7, "pixels": […]} becomes {"id": 7, "digit": […]}, in the same order.

    CSV, TSV, JSON lines, Parquet, Arrow and TFRecords (.gz, .zst). Inputs are found by their names and left out of the
    result; other columns are carried along. No row is lost and none comes twice: killed at any moment, the same command
    goes on after the last whole part and gives the same bytes. It refuses to go on with other inputs or another model.
    All rows are scored by one version. The server's other callers come first: a busy one is left alone for a while.

    Exit codes: 0 all is scored; 1 a mistake or an error; 3 the version is not served any more; 4 more bad rows than
    --max-bad; 130 Ctrl-C; 141 nobody reads OUTPUT - any more; 143 SIGTERM.
    """
    from rich.console import Console

    from signet.clients.client import connecting
    from signet.clients.score import storage
    from signet.clients.score.input.csv_dialect import of_options
    from signet.clients.score.job import Job
    from signet.clients.score.job import score as run

    if len(paths) < 2:
        raise typer.BadParameter("expected INPUT… OUTPUT, at least one of each", param_hint="INPUT… OUTPUT")
    job = Job(
        name,
        paths[:-1],
        paths[-1],
        url,
        signature=signature,
        version=version,
        input_format=input_format,
        dialect=of_options(delimiter, encoding, quoting),
        format=format_,
        maps=tuple(map_ or ()),
        carry=carry,
        prefix=prefix,
        flat=flat,
        batch_rows=batch_rows,
        part_rows=part_rows,
        concurrency=concurrency,
        rows_per_s=rate,
        max_bad=None if max_bad < 0 else max_bad,
        overwrite=overwrite,
        verify=verify,
        access=connecting.of_options(header, ca_file, certificate, key),
        non_finite=non_finite,
        patience_s=patience_s,
        engine=engine,
        ray_address=ray_address,
        in_process=models_dir if in_process else None,
    )
    done = run(job, Console(stderr=True))
    typer.echo(done.sentence(name, storage.shown(paths[-1])), err=paths[-1] == "-")


@app.command()
def load(
    models: Annotated[
        list[str],
        typer.Argument(
            help="Models to ask. Several share the requests by their weights: digits=3 question_answering=1.",
            metavar="NAME[:SIGNATURE][=WEIGHT]…",
        ),
    ],
    url: Annotated[
        str | None,
        typer.Option(
            help="Where the server answers: http://HOST:PORT, or HOST:PORT for gRPC. "
            "[default: http://localhost:8080, localhost:8081]",
            show_default=False,
        ),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(
            help="v1: TensorFlow Serving's JSON; v2, v2-binary: the Open Inference Protocol's JSON, or raw bytes; grpc: "
            "TensorFlow Serving's Predict; grpc-v2: ModelInfer."
        ),
    ] = "v1",
    rate: Annotated[
        str | None,
        typer.Option(
            help="Requests per second of an open loop, each started at its time whether or not others are answered. "
            "50..500 is a ramp; several, separated by commas, are steps. [default: 10]",
            show_default=False,
        ),
    ] = None,
    closed: Annotated[
        str | None,
        typer.Option(
            help="Instead of a rate: so many in flight, each followed by the next when it is answered; several are "
            "steps. Shows the highest throughput, and hides stalls.",
            show_default=False,
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(help="Length of each step.", min=0.1)] = 10.0,
    arrivals: Annotated[
        str, typer.Option(help="poisson: as from many callers who do not know of each other; fixed: evenly spaced.")
    ] = "poisson",
    warmup_s: Annotated[
        float, typer.Option(help="Seconds of the first step's load that come first and do not count.", min=0)
    ] = 1.0,
    bodies: Annotated[
        str,
        typer.Option(
            help="golden: the examples in --models-dir; signature: random values; a file with a JSON object in each "
            "line, as for `signet score`, or a predict request. auto: golden where there are any, else signature."
        ),
    ] = "auto",
    rows: Annotated[int, typer.Option(help="Rows in a request.", min=1)] = 1,
    size: Annotated[
        int, typer.Option(help="Random values: the size of dimensions that the signature leaves open.", min=0)
    ] = 16,
    models_dir: Annotated[Path, typer.Option(help="Where the golden examples are.")] = Path("models"),
    version: Annotated[
        int | None, typer.Option(help="Version to ask. Default: the highest that is served.", show_default=False)
    ] = None,
    slo: Annotated[
        str,
        typer.Option(
            help="Limits, over the whole run: p99=50ms (or p50, p99.9, max, in ms or s), errors=0.1%, goodput=100 (a "
            "second), separated by commas. A failed request counts as never answered. One that is not kept: exit code 1.",
            show_default=False,
        ),
    ] = "",
    find: Annotated[
        bool,
        typer.Option(
            "--find", help="Search for the highest rate that meets --slo, to 5 %: trials of --seconds from --rate on."
        ),
    ] = False,
    timeout_s: Annotated[float, typer.Option(help="Seconds after which an answer counts as failed.", min=0.001)] = 30.0,
    connections: Annotated[int, typer.Option(help="Most HTTP connections; beyond, requests wait.", min=1)] = 1000,
    seed: Annotated[int, typer.Option(help="Of arrivals, the mix and random values.")] = 0,
    json: Annotated[
        Path | None, typer.Option(help="Write the result here, for `signet load-compare`.", show_default=False)
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write a report with plots here, one file.", show_default=False)
    ] = None,
    header: Header = None,
    ca_file: CaFile = "",
    certificate: Certificate = "",
    key: Key = "",
) -> None:
    """Put a served model under load: latencies from when each request was to start, so that no stall is hidden.

    Ends with a table, and says when this client rather than the server was the bottleneck. Ctrl-C ends early, with what
    was measured. Exit code 0; 1 when a limit was not kept or the server does not take the requests; 130 after Ctrl-C, 143
    after SIGTERM.
    """
    from rich.console import Console

    from signet.clients.client.connecting import of_options
    from signet.clients.load_test.command import load as run
    from signet.clients.load_test.plan.load_plan import Order, default_url
    from signet.clients.load_test.report.tables import wide_console

    access = of_options(header, ca_file, certificate, key)
    given = {**locals(), "url": url or default_url(protocol)}
    order = Order(**{name: given[name] for name in Order.__dataclass_fields__})
    raise typer.Exit(run(order, wide_console(), Console(stderr=True)))


@app.command()
def load_compare(
    before: Annotated[Path, typer.Argument(help="What `signet load --json` wrote.", metavar="BEFORE.json")],
    after: Annotated[Path, typer.Argument(help="The same of a later run.", metavar="AFTER.json")],
    worse: Annotated[
        float, typer.Option(help="Exit with code 1 when a figure is clearly worse by more than so many percent.", min=0)
    ] = 10.0,
    html: Annotated[
        Path | None, typer.Option(help="Write the comparison with a plot here, one file.", show_default=False)
    ] = None,
) -> None:
    """Compare two runs of `signet load`: what changed, and whether by more than the runs' own ups and downs.

    A change is clear when it is not zero with 95 % confidence, which takes runs of at least ten seconds.
    """
    from signet.clients.load_test.report.compare import run
    from signet.clients.load_test.report.tables import wide_console

    raise typer.Exit(run(before, after, worse=worse / 100, html=html, console=wide_console()))


_EXTRAS = {
    "serve": "gateway",
    "model-server": "engine",
    "load": "load",
    "load-compare": "load",
}
"""What sub-commands need beyond what the clients do; training says itself what it needs."""


_READER_GONE = 141


def main() -> None:
    """Entry point of the `signet` script: a mistake of the user's is one sentence, not a traceback."""
    # As process 1 of a container a signal without a handler is ignored; servers put their own in place later.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    from signet.serving.errors import SignetError

    try:
        app()
    except SignetError as error:
        if error.exit_code == _READER_GONE:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nothing is left to say, and nobody to say it to
        else:
            typer.echo(f"signet: {error}", err=True)
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(sys.argv[1], "")
        if not extra or str(error.name).partition(".")[0] == "signet":
            raise
        wanted = "grpc,load" if (extra, error.name) == ("load", "grpc") else extra
        typer.echo(f"signet: `signet {sys.argv[1]}` needs {error.name}: pip install 'signet[{wanted}]'", err=True)
        sys.exit(1)
