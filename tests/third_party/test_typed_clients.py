"""Clients that generators make of the documents of a running gateway, and linters' word on these."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests import made_models, programs, servers
from tests.servers import ROOT
from tests.third_party import environment

PAGE = (ROOT / "docs" / "typed-clients.md").read_text()
CALLS = environment.HERE / "typed"
MODELS = ("digits", "places", "question_answering", "social_posts")

MADE = """
import sys
import tensorflow as tf

FLOAT, TEXT = tf.float32, tf.string


def save(name, **endpoints):
    module = tf.Module()
    signatures = {}
    for signature, (function, inputs) in endpoints.items():
        specs = {key: tf.TensorSpec(shape, dtype, name=key) for key, (shape, dtype) in inputs.items()}
        signatures[signature] = tf.function(function).get_concrete_function(**specs)
    tf.saved_model.save(module, f"{sys.argv[1]}/{name}/1", signatures)


def digits(pixels):
    return {"digit": pixels / 2}


def answer(text, question):
    chance = tf.ones_like(tf.strings.length(text), FLOAT) / 4
    return {"answer": tf.strings.join([text, question], " "), "answer_probability": chance}


def answer_by_number(text, question):
    sums = tf.reduce_sum(text, 1, keepdims=True) + tf.reduce_sum(question, 1, keepdims=True)
    return {"answer": tf.cast(sums, FLOAT) * [[1.0, 0.5]]}


def person(posts):
    length = tf.cast(tf.strings.length(posts), FLOAT)
    return {"age": length, "gender": posts, "gender_probability": length / 8, "income": posts}


def person_by_number(posts):
    total = tf.cast(tf.reduce_sum(posts, 1, keepdims=True), FLOAT)
    return {"age": total, "gender": total / 2, "income": total * [[1.0, 2.0]]}


def file(photo, place):
    return {"size": tf.strings.length(photo), "copy_bytes": photo, "distance": tf.norm(place, axis=1)}


def picture(pixels, place):
    return {"size": tf.reduce_sum(tf.cast(pixels, tf.int32), 1), "distance": tf.norm(place, axis=1)}


NUMBERS = (None, None), tf.int32
save("digits", serving_default=(digits, {"pixels": ((None, 3), FLOAT)}))
save(
    "question_answering",
    from_text=(answer, {"text": ((None,), TEXT), "question": ((None,), TEXT)}),
    serving_default=(answer_by_number, {"text": NUMBERS, "question": NUMBERS}),
)
save("social_posts", from_text=(person, {"posts": ((None,), TEXT)}), serving_default=(person_by_number, {"posts": NUMBERS}))
save(
    "places",
    from_bytes=(file, {"photo": ((None,), TEXT), "place": ((None, 2), FLOAT)}),
    serving_default=(picture, {"pixels": ((None, 3), tf.uint8), "place": ((None, 2), FLOAT)}),
)
"""
"""Models with the signatures of ours, of which one knows the answers, and one that takes files, numbers of two types."""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with servers.gateway("--models-dir", made_models.made(tmp_path_factory, MADE)) as (url, _):
        yield url


@pytest.fixture(scope="module")
def documents(url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with NAME.json of each model, and all.json."""
    folder = tmp_path_factory.mktemp("documents")
    for name in MODELS:
        (folder / f"{name}.json").write_text(httpx.get(f"{url}/v1/models/{name}/openapi.json", timeout=60).text)
    (folder / "all.json").write_text(httpx.get(f"{url}/openapi.json", timeout=60).text)
    return folder


def run(*command: str | Path, cwd: Path, path: tuple[Path, ...] = (), **variables: str | Path) -> str:
    """What a program prints, with these folders before others in its path."""
    directories = os.pathsep.join(map(str, (*path, os.environ["PATH"])))
    set_too = {name: str(value) for name, value in variables.items()}
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "PATH": directories, **set_too},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


PLACES = "PlacesPredictions(predictions=[Places{}Prediction({})])"


def test_clients_of_openapi_python_client(url, documents, tmp_path):
    """Every route has a module, what calls them is well typed, and the answers are of the right classes."""
    python = environment.python("generators")
    for name in MODELS:
        options = ("--path", documents / f"{name}.json", "--output-path", tmp_path / f"{name}_client", "--meta", "none")
        said = run(python.with_name("openapi-python-client"), "generate", *options, cwd=tmp_path, path=(python.parent,))
        assert not re.search("(?i)warn|error|unable|will not", said), said
        document = json.loads((documents / f"{name}.json").read_text())
        operations = [operation for path in document["paths"].values() for operation in path.values()]
        made = {file.stem for file in (tmp_path / f"{name}_client" / "api").glob("*/*.py")} - {"__init__"}
        assert made == {re.sub(r"\W", "_", operation["operationId"]) for operation in operations}
    calls = CALLS / "openapi_python_client_calls.py"
    options = (
        "--strict",
        "--follow-imports=silent",
        f"--python-executable={python}",
        "--cache-dir=.mypy",
        "--config-file=",
    )
    run(sys.executable, "-m", "mypy", *options, calls, cwd=tmp_path, MYPYPATH=tmp_path)
    lines = run(python, calls, url, cwd=tmp_path, PYTHONPATH=tmp_path).splitlines()
    wanted = [
        "DigitsPredictions(predictions=[[0.5, 0.5, 0.5]])",
        "DigitsPredictions(predictions=[DigitsPrediction(digit=[0.5, 0.5, 0.5])])",
        "DigitsColumnsAnswer(outputs=[[0.5, 0.5, 0.5]])",
        "DigitsDigitOutput(name='digit', datatype='FP32', shape=[1, 3], data=[0.5, 0.5, 0.5])",
        "QuestionAnsweringPredictions(predictions=[[14.0, 7.0]])",
        "name='answer', datatype='BYTES', shape=[1], data=['Mary moved. Where?']",
        *["SocialPostsFromTextPrediction(age=4.0, gender='four', gender_probability=0.5, income='four')"] * 2,
        "SocialPostsPredictions(predictions=[SocialPostsPrediction(age=[3.0], gender=[1.5], income=[3.0, 6.0])])",
        PLACES.format("FromBytes", "copy_bytes=Bytes(b64='/w=='), distance=5.0, size=1"),
        PLACES.format("", "distance=5.0, size=258"),
    ]
    assert len(lines) == len(wanted)
    for line, part in zip(lines, wanted, strict=True):
        assert part in line


def test_clients_of_openapi_generator(url, documents, tmp_path):
    """Two models: the Java that makes them needs longer than all other generators."""
    python = environment.python("generators")
    configurations = []
    for name in ("places", "question_answering"):
        made = {
            "inputSpec": str(documents / f"{name}.json"),
            "outputDir": str(tmp_path / name),
            "generatorName": "python",
        }
        files = dict.fromkeys(("modelDocs", "modelTests", "apiDocs", "apiTests"), "false")
        configuration = {**made, "additionalProperties": {"packageName": f"{name}_api"}, "globalProperties": files}
        configurations.append(tmp_path / f"{name}.json")
        configurations[-1].write_text(json.dumps(configuration))
    run(python.with_name("openapi-generator-cli"), "batch", *configurations, cwd=tmp_path, path=(python.parent,))
    path = os.pathsep.join(str(tmp_path / name) for name in ("places", "question_answering"))
    lines = run(python, CALLS / "openapi_generator_calls.py", url, cwd=tmp_path, PYTHONPATH=path).splitlines()
    answers = [json.loads(line) for line in lines]
    assert answers[0] == {"predictions": [{"copy_bytes": {"b64": "/w=="}, "distance": 5.0, "size": 1}]}
    assert answers[1] == {"outputs": {"distance": [5.0], "size": [258]}}
    assert {output["name"]: output["data"] for output in answers[2]["outputs"]} == {"distance": [5.0], "size": [258]}
    assert answers[3] == {"predictions": [[14.0, 7.0]]}


def test_types_of_openapi_typescript(url, documents, tmp_path):
    node = environment.node("typescript")
    (tmp_path / "node_modules").symlink_to(node / "node_modules")
    programs_of_node = node / "node_modules" / ".bin"
    for name in MODELS:
        run(
            programs_of_node / "openapi-typescript",
            documents / f"{name}.json",
            "-o",
            tmp_path / f"{name}.ts",
            cwd=tmp_path,
        )
    typed_and_run(tmp_path, node, CALLS.joinpath("calls.ts").read_text())
    answers = [json.loads(line) for line in run("node", "calls.js", url, cwd=tmp_path).splitlines()]
    assert answers[:2] == [{"predictions": [[0.5, 0.5, 0.5]]}, {"outputs": [[0.5, 0.5, 0.5]]}]
    assert answers[2]["outputs"][0]["data"] == [0.5, 0.5, 0.5]
    assert answers[3:] == [
        {"predictions": [{"age": 4, "gender": "four", "gender_probability": 0.5, "income": "four"}]},
        {"predictions": [{"copy_bytes": {"b64": "/w=="}, "distance": 5, "size": 1}]},
        {"predictions": [{"answer": "Mary moved. Where?", "answer_probability": 0.25}]},
    ]


def typed_and_run(folder: Path, node: Path, code: str) -> None:
    """Check and translate calls.ts."""
    (folder / "calls.ts").write_text(code)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "node.d.ts").write_text("declare const process: { argv: string[] };\n")
    options = ("--strict", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom", "--skipLibCheck")
    run(node / "node_modules" / ".bin" / "tsc", *options, "calls.ts", "node.d.ts", cwd=folder)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_page_about_typed_clients_works_as_printed(url, documents, tmp_path):
    """But for what it installs, which the tests have from lock files."""
    programs.need("curl")
    python, node = environment.python("generators"), environment.node("typescript")
    (tmp_path / "node_modules").symlink_to(node / "node_modules")
    path = (python.parent,)
    lines = [line for block in blocks("sh") for line in block.strip().splitlines()]
    installing = [line for line in lines if line.split()[1] == "install"]
    assert len(lines) == 7
    assert len(installing) == 3
    asked = (environment.HERE / "generators.in").read_text() + (
        environment.HERE / "typescript/package.json"
    ).read_text()
    for name in (name for line in installing for name in line.replace("'", "").split()[2:]):
        assert name.partition("@")[0] in asked, name
    for line in (line for line in lines if line not in installing):
        run("bash", "-euc", line.replace("http://localhost:8080", url), cwd=tmp_path, path=path)
    generated = os.pathsep.join(map(str, (tmp_path, tmp_path / "generated")))
    said = "Mary moved to the bathroom. Where is Mary? 0.25"
    for code in blocks("python"):
        code_here = code.replace("http://localhost:8080", url)
        assert run(python, "-c", code_here, cwd=tmp_path, PYTHONPATH=generated).strip() == said
    (code,) = blocks("ts")
    typed_and_run(tmp_path, node, code.replace("http://localhost:8080", url))
    assert run("node", "calls.js", cwd=tmp_path).strip() == said


@pytest.mark.long
@pytest.mark.parametrize("name", [*MODELS, "all"])
def test_linters_find_no_errors(name, documents, tmp_path):
    """Spectral's and Redocly's recommended rules."""
    node = environment.node("linters") / "node_modules" / ".bin"
    (tmp_path / "rules.yaml").write_text('extends: ["spectral:oas"]\n')
    document = documents / f"{name}.json"
    said = run(node / "spectral", "lint", "--ruleset", "rules.yaml", document, cwd=tmp_path)
    assert set(re.findall(r" warning +(\S+)", said)) <= {"operation-description"}, said  # a summary says it all
    quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    said = run(node / "redocly", "lint", document, cwd=tmp_path, **quiet)
    assert "Your API description is valid" in said
