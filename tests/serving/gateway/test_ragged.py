"""Rows and requests of different lengths get the answers that they get alone."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import servers

SOME = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module", params=["embedded", "remote"])
def url(request: pytest.FixtureRequest, ragged_models: Path) -> Iterator[str]:
    with ExitStack() as stack:
        arguments = ["--models-dir", ragged_models]
        if request.param == "remote":
            base = f"--model_base_path={ragged_models / 'ragged'}"
            address, _ = stack.enter_context(servers.model_server("--model_name=ragged", base))
            arguments += ["--backend", address]
        yield stack.enter_context(servers.gateway(*arguments))[0]


def row(ids: list[int]) -> dict[str, object]:
    return {"ids": ids, "weights": [[i / 4, 1 - i / 8] for i in range(len(ids))]}


def expected(ids: list[int]) -> dict[str, object]:
    """What the model makes of a row alone."""
    weights = np.array(row(ids)["weights"]).reshape(-1, 2)
    return {"total": [float((np.array(ids)[:, None] * weights).sum())], "longest": sum(number > 0 for number in ids)}


def ask(url: str, rows: list[dict[str, object]], signature: str = "serving_default") -> httpx.Response:
    body = {"signature_name": signature, "instances": rows}
    return httpx.post(f"{url}/v1/models/ragged:predict", json=body, timeout=30)


IDS = st.lists(st.integers(0, 50), min_size=1, max_size=9)


@SOME
@given(st.lists(IDS, min_size=1, max_size=5))
def test_rows_of_different_lengths_in_one_request(url, rows):
    answer = ask(url, [row(ids) for ids in rows])
    assert answer.status_code == 200, answer.text
    for got, ids in zip(answer.json()["predictions"], rows, strict=True):
        assert got["longest"] == expected(ids)["longest"]
        np.testing.assert_allclose(got["total"], expected(ids)["total"], rtol=1e-5)


@SOME
@given(st.lists(IDS, min_size=2, max_size=8))
def test_requests_of_different_lengths_at_once(url, requests):
    with ThreadPoolExecutor(len(requests)) as pool:
        answers = list(pool.map(lambda ids: ask(url, [row(ids)]), requests))
    for answer, ids in zip(answers, requests, strict=True):
        assert answer.status_code == 200, answer.text
        (got,) = answer.json()["predictions"]
        assert got["longest"] == expected(ids)["longest"]
        np.testing.assert_allclose(got["total"], expected(ids)["total"], rtol=1e-5)


def test_where_padding_changes_answers_rows_must_be_of_one_length(url):
    answer = ask(url, [{"ids": [1, 2]}, {"ids": [3]}], "lengths")
    assert answer.status_code == 400
    assert "rows of different lengths" in answer.json()["error"]
    assert "send rows of one length, or one request each" in answer.json()["error"]
    with ThreadPoolExecutor(6) as pool:
        answers = pool.map(lambda size: ask(url, [{"ids": [1] * size}], "lengths").json(), range(1, 7))
    assert [answer["predictions"] for answer in answers] == [[1], [2], [3], [4], [5], [6]]
