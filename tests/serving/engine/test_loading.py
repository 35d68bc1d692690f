"""How graphs are carried: loops by one thread where that works, everything else by TensorFlow's own executor."""

import shutil

import numpy as np
import pytest

from signet.serving.engine import loading
from signet.serving.engine.loading import Loader
from signet.serving.engine.tensorflow_c import Session
from signet.serving.errors import NotFound
from signet.serving.tensors.protos import config_pb2, saved_model_pb2
from tests.made_models import made
from tests.servers import GOLDEN_MODELS

SINGLE = "SINGLE_THREADED_EXECUTOR"

_OLD = """
import sys, tensorflow.compat.v1 as tf

def save(path, old_variable, old_branch):
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.int32, [None], name="x")
        step = tf.get_variable("step", initializer=2, use_resource=not old_variable)
        y = tf.while_loop(lambda i, _: i < 3, lambda i, y: (i + 1, y + step), [0, x])[1]
        if old_branch:
            tf.disable_control_flow_v2()
            y = tf.cond(tf.reduce_sum(y) > 0, lambda: y, lambda: -y)
            tf.enable_control_flow_v2()
        session.run(tf.global_variables_initializer())
        tf.saved_model.simple_save(session, path, {"x": x}, {"y": y})

tf.disable_eager_execution()
tf.enable_control_flow_v2()
save(sys.argv[1] + "/old_variable", True, False)
save(sys.argv[1] + "/old_branch", False, True)
save(sys.argv[1] + "/new", False, False)
"""


@pytest.fixture(scope="module")
def loops(tmp_path_factory):
    """Graphs with a loop that adds 6: two with something that the single-threaded executor refuses, and one without."""
    return made(tmp_path_factory, _OLD)


@pytest.fixture
def executors(monkeypatch):
    """The executor of each session that is opened."""
    asked = []

    class Asking(Session):
        def __init__(self, path, tags, config):
            asked.append(config_pb2.ConfigProto.FromString(config).experimental.executor_type)
            super().__init__(path, tags, config)

    monkeypatch.setattr(loading, "Session", Asking)
    return asked


@pytest.mark.parametrize(
    ("model", "opened"), [("new", [SINGLE]), ("old_variable", [SINGLE, ""]), ("old_branch", [SINGLE, ""])]
)
def test_loops_are_carried_by_one_thread_where_that_works(loops, executors, model, opened):
    servable = Loader()(model, 1, loops / model)
    assert executors == opened
    assert servable.loops
    for value, expected in ((1, [7]), (-9, [3 if model == "old_branch" else -3])):
        x = np.array([value], np.int32)
        assert servable.predict(servable.signatures["serving_default"], {"x": x})["y"].tolist() == expected
    servable.close()


def test_graphs_without_loops_keep_tensorflows_executor(executors):
    servable = Loader()("mlp", 1, GOLDEN_MODELS / "mlp" / "1")
    assert executors == [""]
    assert not servable.loops
    assert servable.devices == 1
    servable.close()


@pytest.mark.parametrize(
    "config",
    [
        config_pb2.ConfigProto(inter_op_parallelism_threads=2),
        config_pb2.ConfigProto(experimental={"executor_type": "DEFAULT"}),
    ],
)
def test_a_config_that_says_how_operations_run_is_heard(loops, executors, config):
    Loader(config=config.SerializeToString())("new", 1, loops / "new").close()
    assert executors == [config.experimental.executor_type]


def test_the_meta_graph_is_chosen_by_its_tags():
    with pytest.raises(NotFound, match="gpu"):
        Loader(tags=("serve", "gpu"))("mlp", 1, GOLDEN_MODELS / "mlp" / "1")


def test_a_graph_with_other_tags_is_loaded_when_asked_for_and_named_when_not(tmp_path):
    shutil.copytree(GOLDEN_MODELS / "mlp" / "1", tmp_path / "1")
    path = tmp_path / "1" / "saved_model.pb"
    saved_model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    saved_model.meta_graphs[0].meta_info_def.tags[:] = ["serve", "gpu"]
    path.write_bytes(saved_model.SerializeToString())
    gate = frozenset[str]()
    with pytest.raises(NotFound, match="there is no graph with the tags serve; it has serve,gpu: --tags serve,gpu"):
        Loader(allowed_operations=gate)("mlp", 1, tmp_path / "1")
    Loader(tags=("gpu", "serve"), allowed_operations=gate)("mlp", 1, tmp_path / "1").close()
