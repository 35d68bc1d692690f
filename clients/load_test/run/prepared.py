"""What a load test sends, made before it begins: for each model of the mix some dozens of payloads, ready to go."""

import random
from dataclasses import dataclass

from signet.clients.client.calls import Version
from signet.clients.client.gateway_client import Client
from signet.clients.load_test.plan import bodies, mix
from signet.clients.load_test.plan.dialects import HttpDialect
from signet.clients.load_test.plan.load_plan import Order
from signet.clients.load_test.plan.mix import Entry
from signet.clients.load_test.run.load_generator import Share
from signet.clients.load_test.run.result import Asked
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.signature import Signature, select

_MOST_PAYLOAD_BYTES = 64 << 20


@dataclass(frozen=True)
class Load:
    """The models with what their requests are, and the requests."""

    asked: list[Asked]
    shares: list[Share]
    signatures: list[Signature]
    """Of each model, for its first answer."""


def prepare(order: Order) -> Load:
    """Asks the server what the models take, and makes the requests."""
    entries = mix.parse(order.models)
    chance = random.Random(order.seed)  # noqa: S311  # no secret
    asked, shares, signatures = [], [], []
    for entry, described in zip(entries, _described(order, entries), strict=True):
        source, arrays = bodies.read(
            entry, described, order.bodies, order.models_dir, rows=order.rows, size=order.size, chance=chance
        )
        payloads = _payloads(order, entry, arrays)
        mean_bytes = round(sum(map(len, payloads)) / len(payloads))
        asked.append(Asked(str(entry), described.number, entry.weight, order.rows, source, mean_bytes))
        shares.append(Share(entry.weight, payloads))
        signatures.append(select(described.signatures, entry.signature, entry.model))
    return Load(asked, shares, signatures)


def _described(order: Order, entries: list[Entry]) -> list[Version]:
    if isinstance(order.dialect, HttpDialect):
        with Client.of(order.url, order.access, timeout_s=order.timeout_s) as client:
            return [client.describe(entry.model, version=order.version) for entry in entries]
    from signet.clients.client.grpc_client import GrpcClient  # noqa: PLC0415  # gRPC is only imported where it is used

    with GrpcClient.of(order.url, order.access, timeout_s=order.timeout_s) as client:
        return [client.describe(entry.model, version=order.version) for entry in entries]


def _payloads(order: Order, entry: Entry, requests: list[Arrays]) -> list[bytes]:
    """As many as fit in memory, at least one."""
    dialect = order.dialect
    payloads: list[bytes] = []
    taken_bytes = 0
    for arrays in requests:
        if isinstance(dialect, HttpDialect):
            payload = dialect.payload(order.url, order.access, entry, order.version, arrays)
        else:
            payload = dialect.build(entry, order.version, arrays)
        taken_bytes += len(payload)
        if payloads and taken_bytes > _MOST_PAYLOAD_BYTES:
            break
        payloads.append(payload)
    return payloads
