"""A made model with two versions whose difference is known: of age, of names, and of scores.

text, x (3 numbers, none below 0) ──▶ echo: the text, age: their sum, kind: chances of few and many
version 2: age 2.1 years lower, kind as before, without the output `old` and the signature `extra`
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests import servers
from tests.made_models import made

SCRIPT = """
import json, pathlib, sys, tensorflow as tf

FLOAT = tf.float32

def save(version):
    def function(text, x):
        with tf.control_dependencies([tf.debugging.assert_non_negative(x, "ages are never below zero")]):
            total = tf.reduce_sum(x, 1)
        many = tf.sigmoid((total - 30) / 10)
        outputs = {"echo": text, "age": total - 2.1 * (version - 1), "kind": tf.stack([1 - many, many], 1)}
        return outputs | ({"old": total > 70} if version == 1 else {})
    specs = [tf.TensorSpec([None], tf.string, name="text"), tf.TensorSpec([None, 3], FLOAT, name="x")]
    module = tf.Module()
    module.function = tf.function(function, input_signature=specs)
    module.extra = tf.function(lambda x: {"y": x}, input_signature=[tf.TensorSpec([None], FLOAT, name="x")])
    signatures = {"serving_default": module.function} | ({"extra": module.extra} if version == 1 else {})
    path = pathlib.Path(sys.argv[1]) / "people" / str(version)
    tf.saved_model.save(module, path, signatures=signatures)
    (path / "assets.extra").mkdir()
    outputs = {
        "age": {"meaning": "the age", "unit": "years"},
        "echo": {"meaning": "the text"},
        "kind": {"meaning": "the chances", "labels": ["few", "many"]},
    }
    card = {
        "signatures": {"serving_default": {"outputs": outputs, "batched": True}},
        "scores": [{"output": "age", "metric": "error", "value": 4.0 - version, "baselines": {}, "ceiling": None}],
    }
    (path / "assets.extra" / "model-card.json").write_text(json.dumps(card))

save(1)
save(2)
"""

CONFIG = """model_config_list {{
  config {{ name: "people" base_path: "{models}/people" model_platform: "tensorflow" model_version_policy {{ all {{}} }} }}
  config {{ name: "newest" base_path: "{models}/people" model_platform: "tensorflow" }}
}}
"""


@contextmanager
def served(factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a gateway with both versions as `people`, and the newest one as `newest`."""
    config = factory.mktemp("config") / "models.config"
    config.write_text(CONFIG.format(models=made(factory, SCRIPT)))
    with servers.gateway("--model-config-file", config) as (url, _):
        yield url
