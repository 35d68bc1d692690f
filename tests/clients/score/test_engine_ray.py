"""Jobs on a Ray cluster of three nodes on this machine: the same bytes, also when a worker is killed midway."""

import itertools
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from signet.clients.score import engine_ray
from signet.clients.score.engine_ray import part_starts
from signet.clients.score.formats import Format
from signet.clients.score.input import sources
from signet.clients.score.input.chunk import Position
from signet.clients.score.input.reading import read
from signet.clients.score.output import destination
from signet.clients.score.output.manifest import PartStart
from signet.clients.score.plan import Plan, mapping
from signet.clients.score.predictor import Connection
from signet.clients.score.work import Work
from signet.serving.errors import UsageError
from tests import servers
from tests.clients.score.conftest import run, signature, tree, write_rows
from tests.clients.score.input import test_reading

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Three nodes: one that only leads, two with a processor each."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    node = {"object_store_memory": 100 << 20}
    started = Cluster(initialize_head=True, head_node_args={**node, "num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(2):
            started.add_node(num_cpus=1, **node)
        yield started
    finally:
        started.shutdown()


def start_score(*arguments: Any, models: Path = servers.GOLDEN_MODELS) -> subprocess.Popen[str]:
    """`signet score three_out …` as a program."""
    command = [*servers.SIGNET, "score", "three_out", *map(str, arguments), "--models-dir", str(models)]
    return subprocess.Popen(command, cwd=servers.ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def workers(cluster: Any) -> list[int]:
    """The processes of the cluster that are scoring."""
    raylets = {str(node.all_processes["raylet"][0].process.pid) for node in cluster.list_all_nodes()}
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name = (folder / "cmdline").read_text()
            parent = (folder / "stat").read_text().rsplit(")", 1)[1].split()[1]
        except OSError:
            continue  # it has ended
        if name.startswith("ray::Map") and parent in raylets:
            found.append(int(folder.name))
    return found


def test_a_cluster_gives_the_same_bytes_though_a_worker_is_killed(cluster, embedded_url, job, tmp_path):
    write_rows(tmp_path / "in.jsonl", 400)
    run(job(output=str(tmp_path / "whole"), part_rows=40))

    options = ("--url", embedded_url, "--batch-rows", 8, "--part-rows", 40, "--rate", 80)
    on_ray = ("--engine", "ray", "--ray-address", cluster.address)
    scoring = start_score(tmp_path / "in.jsonl", tmp_path / "out", *options, *on_ray)
    first = tmp_path / "out" / "_manifest.json"
    servers.wait_until(lambda: first.exists() and '"sha256"' in first.read_text(), 120, what="the first part")
    servers.wait_until(lambda: workers(cluster), what="a worker at work")
    os.kill(workers(cluster)[0], 9)
    printed, problem = scoring.communicate(timeout=180)
    assert scoring.returncode == 0, problem
    assert "400 rows scored by version 1" in printed
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")

    run(job(output=str(tmp_path / "here"), part_rows=40, in_process=servers.GOLDEN_MODELS))
    options = ("--batch-rows", 8, "--part-rows", 40, "--in-process")
    scoring = start_score(tmp_path / "in.jsonl", tmp_path / "loaded", *options, *on_ray)
    printed, problem = scoring.communicate(timeout=180)
    assert scoring.returncode == 0, problem
    assert tree(tmp_path / "loaded") == tree(tmp_path / "here")
    for name, data in tree(tmp_path / "whole").items():
        assert name == "_manifest.json" or tree(tmp_path / "here")[name] == data


def work(found: tuple[sources.Source, ...], batch_rows: int, part_rows: int) -> Work:
    x = signature(x=("float", (None,)))
    plan = Plan(x, mapping([], x), None, "", False, Format("jsonl"))
    connection = Connection("", "m", 1, "sig", "", 1, None, 0)
    return Work(found, plan, destination.of("out", ""), connection, None, batch_rows, part_rows, 0)


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet", "a.arrow", "stream.arrow", "a.tfrecord"])
def test_parts_begin_where_the_local_engine_begins_them(name, tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        test_reading.write(tmp_path / folder / name)
    found = sources.expand([str(tmp_path)], "")
    expected, rows = [PartStart(0, 0, Position())], 0
    all_chunks = list(read(found, Position(), 16))
    for chunk, following in itertools.pairwise(all_chunks):
        rows += chunk.rows
        if rows - expected[-1].first_row >= 48:
            expected.append(PartStart(len(expected), rows, following.start))
    assert list(part_starts(work(found, 16, 48))) == expected
    assert len(expected) == 5


def test_sources_that_workers_cannot_share_are_refused(tmp_path):
    test_reading.write(tmp_path / "a.jsonl.gz")
    found = sources.expand([str(tmp_path / "a.jsonl.gz")], "")
    for refused, what in ((found, "compressed"), (sources.expand(["-"], ""), "a pipe")):
        with pytest.raises(UsageError, match=f"is {what}: workers cannot begin in its midst"):
            engine_ray.check_possible(work(refused, 1, 1))


def test_the_version_that_is_not_there_is_named(job, tmp_path):
    write_rows(tmp_path / "in.jsonl", 1)
    made = job(in_process=servers.GOLDEN_MODELS)
    for change, problem in (
        ({"version": 9}, "three_out holds no version 9, only 1"),
        ({"model": "three_ou"}, r"three_ou holds no version of a model \(did you mean 'three_out'\?\)"),
    ):
        with pytest.raises(UsageError, match=problem):
            run(replace(made, **change))
