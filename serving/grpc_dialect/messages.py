"""Messages from bytes, and what a call tells of its deadline: what every server and client over gRPC needs."""

from typing import Protocol, TypeVar

from google.protobuf.message import DecodeError, Message

from signet.serving.errors import InvalidInput, ServingError

M = TypeVar("M", bound=Message)

NO_MESSAGE = "the request is no {message}"


class Deadline(Protocol):
    """What says how long a call may still take, such as gRPC's ServicerContext."""

    def time_remaining(self) -> float | None:
        """Seconds that are left; None for a call without a deadline."""


def parse(
    message_class: type[M],
    data: bytes,
    error: type[ServingError] = InvalidInput,
    problem: str = NO_MESSAGE,
) -> M:
    """The message that the bytes are, or the error. problem: begins its text; {message} stands for the class's name."""
    try:
        return message_class.FromString(data)
    except DecodeError as cause:
        raise error(f"{problem.format(message=message_class.DESCRIPTOR.full_name)}: {cause}") from cause
