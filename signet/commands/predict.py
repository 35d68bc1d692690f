"""`signet predict`: a served model is asked once."""

from typing import Annotated

from signet.clients.client.connecting import DEFAULT_URL, Url
from signet.commands.connection import SECTION, ConnectionOptions
from signet.commands.spread import spread
from signet.serving.options import Option


@spread
def predict(
    model: Annotated[
        str,
        Option("The model; `signet models` lists them.", metavar="MODEL", is_argument=True, complete="served"),
    ],
    inputs: Annotated[
        str,
        Option(
            "The inputs by name, each a list with one element a row: '{\"pixels\": [[0, 3, 16]]}'; "
            'bytes as {"b64": "…"}. @FILE reads them from a file, - from standard input.',
            metavar="JSON|@FILE|-",
        ),
    ],
    signature: Annotated[str, Option("Which way to call the model.")] = "serving_default",
    version: Annotated[int | None, Option("Version to ask. [default: the highest that is served]")] = None,
    label: Annotated[str | None, Option("Version to ask, by its label, such as stable.")] = None,
    outputs: Annotated[str | None, Option("Outputs wanted, separated by commas. [default: all]")] = None,
    timing: Annotated[bool, Option("Say on stderr how long the answer took, and which version gave it.")] = False,
    url: Url = DEFAULT_URL,
    timeout_s: Annotated[float, Option("Seconds to wait for the answer.", min=0.001, section=SECTION)] = 30.0,
    *,
    connection: ConnectionOptions,
) -> None:
    """Ask a served model once and print its outputs by name, as JSON.

    signet predict social_posts --signature from_text --inputs @post.json
    signet predict digits --inputs @pixels.json --outputs digit --timing
    echo '{"a": [[1, 2]]}' | signet predict two_in --inputs - --url gateway:8080
    """
    from signet.clients.commands import Question
    from signet.clients.commands import predict as run

    wanted = [name.strip() for name in (outputs or "").split(",") if name.strip()]
    run(Question(model, inputs, version, label, signature, wanted, timeout_s, timing), url, connection.access())
