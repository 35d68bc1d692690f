"""Bodies that are forms, or only said to be."""

import json

import pytest

from signet.serving.gateway.http import forms
from tests.serving.gateway.test_predict import TWO_IN, post

URLENCODED = {"Content-Type": "application/x-www-form-urlencoded"}
MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}
PART = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n'


@pytest.mark.parametrize("headers", [URLENCODED, MULTIPART, {"Content-Type": "text/plain"}, {}])
def test_what_is_json_is_taken_whatever_it_is_called(gateway_url, headers):
    assert post(gateway_url, "two_in:predict", {"instances": [TWO_IN]}, headers=headers).status_code == 200
    broken = post(gateway_url, "two_in:predict", b'{"instances": [', headers=headers)
    assert (broken.status_code, "Content-Type" in broken.json()["error"]) == (400, False)


@pytest.mark.parametrize(
    ("body", "headers", "said"),
    [
        (b"instances=[[1]]", URLENCODED, "Its Content-Type is application/x-www-form-urlencoded"),
        (PART, MULTIPART, "Its Content-Type is multipart/form-data"),
        (b"", URLENCODED, "Its Content-Type is application/x-www-form-urlencoded"),
        (b"instances=[[1]]", {}, "It looks like a form"),
        (PART, {}, "It looks like a form"),
    ],
)
def test_a_form_is_told_what_to_send(gateway_url, body, headers, said):
    paths = ["v1/models/two_in:classify", "v2/models/two_in/infer"]
    if (body, headers) != (PART, MULTIPART):  # which predict takes
        paths.append("v1/models/two_in:predict")
    for path in paths:
        answer = post(gateway_url, f"../../{path}", body, headers=headers)
        assert answer.status_code == 400
        assert said in answer.json()["error"]
        assert answer.json()["error"].endswith("with Content-Type: application/json")


def test_bytes_after_a_header_of_their_own_are_no_form():
    assert (
        forms.hint(
            {b"content-type": b"application/x-www-form-urlencoded", b"inference-header-content-length": b"0"}, b"a="
        )
        == ""
    )
    assert forms.hint({}, json.dumps({"a": 1}).encode()) == ""
