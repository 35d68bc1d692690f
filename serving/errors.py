"""What can go wrong, as one tree. A class carries its HTTP status and gRPC code; one handler per protocol answers.

    SignetError                the message is one sentence for the person who made the mistake
    ├── UsageError             wrong options, files or folders: a program ends with exit code 2
    │   └── NotDone            rightly asked for, but a disk, a network or another program is in the way: exit code 1
    └── ServingError           a request could not be answered
        ├── InvalidInput       400 INVALID_ARGUMENT      the signature does not accept what was sent
        │   ├── TooLarge       413 INVALID_ARGUMENT      more bytes than the server takes
        │   ├── UnknownEncoding 415 INVALID_ARGUMENT     a Content-Encoding that the server does not know
        │   ├── UnknownType    415 INVALID_ARGUMENT      a Content-Type that the server does not read
        │   └── NotAcceptable  406 INVALID_ARGUMENT      an answer in no type that the server writes was asked for
        ├── Unauthenticated    401 UNAUTHENTICATED       no key was shown, or none that holds
        ├── Forbidden          403 PERMISSION_DENIED     the key that was shown is not for this
        ├── FailedPrecondition 400 FAILED_PRECONDITION   the model does not have what was asked for
        ├── NotFound           404 NOT_FOUND             no such model or version is loaded
        ├── Unsupported        501 UNIMPLEMENTED         a dtype or method that cannot be served
        ├── Overloaded         429 RESOURCE_EXHAUSTED    a queue is full: come back later
        │   └── Throttled      429 RESOURCE_EXHAUSTED    not sent: the client's own refusal, while the server is overloaded
        ├── Unavailable        503 UNAVAILABLE           starting, draining, or no model server answers
        │   └── BadGateway     502 UNAVAILABLE           a model server answers, but not as one does
        ├── DeadlineExceeded   504 DEADLINE_EXCEEDED     not ready in the time allowed
        ├── Cancelled          499 CANCELLED             the caller left
        └── Internal           500 INTERNAL              anything else

The mapping of codes is TensorFlow Serving's (`http_server.cc`); 406, 413, 415 and 502 are ours.
"""

from typing import ClassVar

from signet.serving.exit_codes import ExitCode


class SignetError(Exception):
    """Root of the tree."""

    exit_code: ClassVar[ExitCode] = ExitCode.FAILED
    """With which a program ends that cannot go on."""


class UsageError(SignetError):
    """The user of a program gave it something it cannot work with."""

    exit_code = ExitCode.USAGE


class NotDone(UsageError):
    """What was asked for cannot be done, though the call is right: a disk, a network, a file that changes is in the way."""

    exit_code = ExitCode.FAILED


class ServingError(SignetError):
    """A request could not be answered."""

    http_status: ClassVar[int] = 500
    grpc_code: ClassVar[str] = "INTERNAL"
    reason: str = ""
    """Why a version cannot be served, as one of `model_status.REASONS`; empty for other errors."""
    retry_after_s: float | None = None
    """Seconds after which a caller may come back, where the server said so."""
    request_id: str = ""
    """What a server that answered with this calls the request in its log; empty where it did not say."""


class InvalidInput(ServingError):
    """The caller sent something the model's signature does not accept."""

    http_status = 400
    grpc_code = "INVALID_ARGUMENT"
    text_for: str = ""
    """The input of numbers for which strings came: another signature may take them. Empty for other mistakes."""

    @classmethod
    def text(cls, name: str, message: str) -> "InvalidInput":
        """The error for strings that came for the input of numbers of that name."""
        error = cls(message)
        error.text_for = name
        return error


class TooLarge(InvalidInput):
    """The caller sent more bytes than the server takes."""

    http_status = 413


class UnknownEncoding(InvalidInput):
    """The caller sent a Content-Encoding that the server does not know."""

    http_status = 415


class UnknownType(InvalidInput):
    """The caller sent a body of a Content-Type that the server does not read."""

    http_status = 415
    readable: str = ""
    """The types that it reads, with commas between them."""


class NotAcceptable(InvalidInput):
    """The caller accepts no type that the server writes."""

    http_status = 406


class Unauthenticated(ServingError):
    """The caller has shown no key, or none that holds."""

    http_status = 401
    grpc_code = "UNAUTHENTICATED"


class Forbidden(ServingError):
    """The caller may not do this: its key is not for it, or nobody may."""

    http_status = 403
    grpc_code = "PERMISSION_DENIED"


class FailedPrecondition(ServingError):
    """The model does not have what was asked for, such as an unknown signature."""

    http_status = 400
    grpc_code = "FAILED_PRECONDITION"


class NotFound(ServingError):
    """No such model or version is loaded."""

    http_status = 404
    grpc_code = "NOT_FOUND"


class Unsupported(ServingError):
    """A dtype or method that cannot be served."""

    http_status = 501
    grpc_code = "UNIMPLEMENTED"


class Overloaded(ServingError):
    """A queue is full; the same request may succeed later."""

    http_status = 429
    grpc_code = "RESOURCE_EXHAUSTED"


class Throttled(Overloaded):
    """The client did not send the call, as the server refused most of those before it; no network was used."""


class Unavailable(ServingError):
    """Starting, draining, or no model server answers."""

    http_status = 503
    grpc_code = "UNAVAILABLE"


class BadGateway(Unavailable):
    """A model server's answer is none: no message, or one that does not fit the request or the signature."""

    http_status = 502


class DeadlineExceeded(ServingError):
    """The answer was not ready in the time allowed."""

    http_status = 504
    grpc_code = "DEADLINE_EXCEEDED"


class Cancelled(ServingError):
    """The caller left before the answer was ready."""

    http_status = 499
    grpc_code = "CANCELLED"


class Internal(ServingError):
    """Anything else that went wrong on the serving side."""


# The status codes of gRPC and of TensorFlow's C API are the same numbers.
CODE_NAMES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)

_BY_CODE: dict[str, type[ServingError]] = {
    cls.grpc_code: cls
    for cls in (
        InvalidInput,
        Unauthenticated,
        Forbidden,
        FailedPrecondition,
        NotFound,
        Unsupported,
        Overloaded,
        Unavailable,
        DeadlineExceeded,
        Cancelled,
        Internal,
    )
}

# Codes that a model or a model server can give and that have no class of their own, with their HTTP status.
_RARE_STATUS = {
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
}


class ForeignError(ServingError):
    """An error with a code that has no class here; it keeps its own code."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.grpc_code = code  # type: ignore[misc]  # the instance's own code hides the class's
        self.http_status = _RARE_STATUS.get(code, 500)  # type: ignore[misc]

    def __reduce__(self) -> tuple[type["ForeignError"], tuple[str, str]]:
        return ForeignError, (str(self), self.grpc_code)


def from_code(code: str, message: str) -> ServingError:
    """The error for a gRPC or TensorFlow status code: ("NOT_FOUND", text) -> NotFound(text)."""
    cls = _BY_CODE.get(code)
    return cls(message) if cls else ForeignError(message, code)
