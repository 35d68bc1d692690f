"""Every code has an HTTP status, TensorFlow Serving's, and comes back as itself."""

import grpc
import pytest

from signet.serving.errors import CODE_NAMES, from_code

STATUS = {
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}


@pytest.mark.parametrize("code", CODE_NAMES[1:])
def test_each_code_keeps_its_name_and_status(code):
    error = from_code(code, "text")
    assert (error.grpc_code, error.http_status, str(error)) == (code, STATUS[code], "text")


def test_the_numbers_are_those_of_grpc():
    assert [CODE_NAMES[code.value[0]] for code in grpc.StatusCode] == [code.name for code in grpc.StatusCode]
