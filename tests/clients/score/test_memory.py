"""A source far larger than what is held of it: memory does not grow with the rows, by the ratio of two sizes."""

import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import servers

_PEAK = """
import resource, runpy, sys
sys.argv = ["signet", *sys.argv[1:]]
try:
    runpy.run_module("signet", run_name="__main__")
finally:
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak_bytes(source: Path, output: Path, url: str) -> int:
    """Most memory that `signet score` held at a time."""
    arguments = ("score", "mlp", source, output, "--url", url, "--part-rows", 16384)
    command = [sys.executable, "-c", _PEAK, *map(str, arguments)]
    done = subprocess.run(command, cwd=servers.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(re.search(r"peak (\d+)", done.stdout)[1]) * 1024


def write(path: Path, rows: int) -> Path:
    """So many rows of sixteen numbers, written without holding them."""
    some = np.random.default_rng(0).random((10_000, 16)).astype(np.float32)
    table = pa.table(
        {"id": np.arange(len(some)), "x": pa.FixedSizeListArray.from_arrays(pa.array(some.reshape(-1)), 16)}
    )
    if path.suffix == ".parquet":
        with pq.ParquetWriter(path, table.schema) as file:
            for _ in range(rows // len(some)):
                file.write_table(table)
        return path
    text = io.BytesIO()
    for i, row in enumerate(some):
        text.write(b'{"id": %d, "x": %s}\n' % (i, str(row.round(3).tolist()).encode()))
    with path.open("wb") as file:
        for _ in range(rows // len(some)):
            file.write(text.getvalue())
    return path


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        ("parquet", 200_000),
        ("jsonl", 50_000),
        pytest.param("parquet", 5_000_000, marks=pytest.mark.long),
        pytest.param("jsonl", 5_000_000, marks=pytest.mark.long),
    ],
)
def test_memory_is_flat(kind, rows, tmp_path, embedded_url):
    few = peak_bytes(write(tmp_path / f"few.{kind}", 20_000), tmp_path / f"few.out.{kind}", embedded_url)
    many = peak_bytes(write(tmp_path / f"many.{kind}", rows), tmp_path / f"many.out.{kind}", embedded_url)
    assert many < 1.4 * few  # the source alone holds more at five million rows: 360 and 1,000 MB
