"""When a version is whole: each file that others imply, in its length."""

import shutil
from pathlib import Path

import pytest

from signet.serving.models import completeness, tensor_bundle
from tests.servers import GOLDEN_MODELS

WHOLE = sorted(GOLDEN_MODELS.glob("*/1"))
INDEX, DATA = "variables/variables.index", "variables/variables.data-00000-of-00001"


@pytest.fixture
def version(tmp_path: Path) -> Path:
    shutil.copytree(GOLDEN_MODELS / "mlp" / "1", tmp_path / "1")
    return tmp_path / "1"


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.parent.name)
def test_whole_versions_are_whole(path):
    assert completeness.missing(path) == ""


@pytest.mark.parametrize("name", ["saved_model.pb", INDEX, DATA])
def test_what_is_not_there_is_named(version, name):
    (version / name).unlink()
    assert completeness.missing(version).startswith(f"{name} is not there")


@pytest.mark.parametrize("name", ["saved_model.pb", INDEX, DATA])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_what_is_cut_off_is_named(version, name, share):
    content = (version / name).read_bytes()
    (version / name).write_bytes(content[: int(len(content) * share)])
    assert completeness.missing(version).startswith(f"{name} ")


def test_the_index_says_how_long_the_data_are(version):
    assert tensor_bundle.least_bytes((version / INDEX).read_bytes()) == [(version / DATA).stat().st_size]


def test_an_index_of_any_bytes_is_read_or_refused(version):
    index = (version / INDEX).read_bytes()
    for place in range(len(index)):
        for byte in (0, 127, 255):
            try:
                lengths = tensor_bundle.least_bytes(index[:place] + bytes([byte]) + index[place + 1 :])
            except ValueError:
                continue
            assert len(lengths) <= len(index)


def test_several_shards_are_all_asked_for(version):
    index = (version / INDEX).read_bytes()
    (version / DATA).rename(version / "variables" / "variables.data-00000-of-00002")
    header = index.index(b"\x08\x01\x1a\x02\x08\x01")  # BundleHeaderProto: one shard, version 1
    (version / INDEX).write_bytes(index[: header + 1] + b"\x02" + index[header + 2 :])
    assert completeness.missing(version) == "variables/variables.data-00001-of-00002 is not there"
