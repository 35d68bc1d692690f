"""Edits of a model config file: they say what is wanted, and leave the rest as it was written."""

import re

import pytest
from google.protobuf import text_format
from hypothesis import given, settings
from hypothesis import strategies as st

from signet.serving.errors import UsageError
from signet.serving.models.model_config_text import Change, changed, labels_of
from signet.serving.tensors.protos import model_server_config_pb2

WRITTEN = """# ours
model_config_list {
  config {
    name: "m"  # the model
    base_path: "/m", model_platform: "tensorflow"
    version_labels { key: "prod" value: 7 }  # callers with a contract
    of_the_future { a: "}" b: [1, 2] }  # }
  }
  config: { name: "o" base_path: '/o' "p" version_labels: [{key: "stable" value: 1}, {key: 'x', value: 3}]; }
}
"""
EDITED = """# ours
model_config_list {
  config {
    name: "m"  # the model
    base_path: "/m", model_platform: "tensorflow"
    version_labels { key: "prod" value: 7 }  # callers with a contract
    of_the_future { a: "}" b: [1, 2] }  # }
    version_labels { key: "stable" value: 1 }
    version_labels { key: "canary" value: 2 }
    model_version_policy { specific { versions: 1 versions: 2 versions: 7 } }
  }
  config: { name: "o" base_path: '/o' "p" version_labels { key: "stable" value: 2 } version_labels {key: 'x', value: 3}; }
}
"""


def test_an_edit_leaves_all_else_as_it_was_written():
    of_o = Change({"stable": 2}, frozenset({2}))
    edited = changed(WRITTEN, {"m": Change({"stable": 1, "canary": 2}, frozenset({1, 2})), "else": of_o})
    assert edited.splitlines()[:-2] == EDITED.splitlines()[:-2]
    assert edited.splitlines()[-2:] == WRITTEN.splitlines()[-2:]
    policy = " model_version_policy { specific { versions: 2 versions: 3 } }; }"
    assert changed(edited, {"o": of_o}) == EDITED.replace("; }", policy)
    gone = Change({"stable": None, "canary": None}, frozenset({7}))
    assert changed(edited, {"m": gone}) == WRITTEN.replace(
        "# }\n", "# }\n    model_version_policy { specific { versions: 7 } }\n"
    )


def test_a_policy_that_serves_all_stays():
    text = 'model_config_list { config { name: "m" model_version_policy { all {} } } }'
    label = ' version_labels { key: "stable" value: 1 }'
    assert changed(text, {"m": Change({"stable": 1}, frozenset({1}))}) == text.replace(
        "} } } }", "} }" + label + " } }"
    )


@pytest.mark.parametrize(
    "text", ["model_config_list {", "model_config_list: 1", 'model_config_list { config { name: "m" } } }']
)
def test_what_is_no_such_file_is_refused(text):
    with pytest.raises(UsageError, match="the model config file is none"):
        changed(text, {})


COMMENT = "# { } 'a\" [ <\n"
BLANK = st.sampled_from([" ", "\n", "\t\n  ", COMMENT, f"  {COMMENT}  "])
END = st.sampled_from(["", ",", ";"])
LABELS = st.dictionaries(st.sampled_from(["stable", "canary", "prod", "a 'b\""]), st.integers(1, 5), max_size=3)


def quoted(text):
    return '"' + text.replace('"', '\\"') + '"'


@st.composite
def message(draw, fields):
    opening, closing = draw(st.sampled_from(["{}", "<>"]))
    between = [f"{draw(BLANK)}{field}{draw(BLANK)}{draw(END)}" for field in fields]
    return f"{draw(st.sampled_from(['', ':']))}{draw(BLANK)}{opening}{''.join(between)}{draw(BLANK)}{closing}"


@st.composite
def config(draw, name):
    labels = [
        f"version_labels{draw(message([f'key:{quoted(key)}', f'value: {value}']))}"
        for key, value in draw(LABELS).items()
    ]
    policy = draw(
        st.sampled_from(
            [
                *([], ["model_version_policy{latest{num_versions:2}}"], ["model_version_policy:<all<>>"]),
                ["model_version_policy { specific { versions: 3 versions: [1, 3] } }"],
            ]
        )
    )
    others = ["base_path:'/a' \"b\"", "logging_config { sampling_config { sampling_rate: -.5e0 } }"]
    return f"config{draw(message([f'name: {quoted(name)}', *draw(st.permutations([*labels, *policy, *others]))]))}"


FILES = st.tuples(config("m"), config("o")).flatmap(message).map(lambda body: f"model_config_list{body}\n")
CHANGES = st.builds(
    Change,
    st.dictionaries(st.sampled_from(["stable", "canary"]), st.none() | st.integers(1, 5)),
    st.frozensets(st.integers(1, 5), min_size=1),
)


@settings(max_examples=60)
@given(FILES, CHANGES)
def test_however_a_file_is_written_it_says_what_is_wanted(text, change):
    before, edited = parsed(text), changed(text, {"m": change})
    after = parsed(edited)
    labels = labels_of(text)["m"] | change.labels
    labels = {label: version for label, version in labels.items() if version is not None}
    assert labels_of(edited) == {"m": labels, "o": labels_of(text)["o"]}
    policy = after.model_config_list.config[0].model_version_policy
    if policy.WhichOneof("policy_choice") != "all":
        assert set(policy.specific.versions) == change.versions | set(labels.values())
    for message in (before, after):
        message.model_config_list.config[0].ClearField("version_labels")
        if policy.WhichOneof("policy_choice") != "all":
            message.model_config_list.config[0].ClearField("model_version_policy")
    assert before == after
    assert changed(edited, {"m": change}) == edited
    kept = re.split(r"version_labels|model_version_policy|<|{", text)[0]
    assert edited.startswith(kept)


def parsed(text):
    return text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
