"""What a load test sends, made before it begins: for each model of the mix some dozens of payloads, ready to go."""

import random
from dataclasses import dataclass

from signet.clients.client.calls import Version
from signet.clients.client.http_client import Client
from signet.clients.load_test.plan import bodies, mix
from signet.clients.load_test.plan.dialects import HttpDialect
from signet.clients.load_test.plan.load_plan import LoadPlan
from signet.clients.load_test.plan.mix import MixEntry
from signet.clients.load_test.run.load_generator import Share
from signet.clients.load_test.run.result import ModelUnderTest
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.signature import Signature, select

_MOST_PAYLOAD_BYTES = 64 << 20


@dataclass(frozen=True)
class PreparedLoad:
    """The models with what their requests are, and the requests."""

    tested: list[ModelUnderTest]
    shares: list[Share]
    signatures: list[Signature]
    """The signature of each model, which its first answer is held against."""


def prepare(plan: LoadPlan) -> PreparedLoad:
    """Ask the server what the models take, and make the requests."""
    entries = mix.parse(plan.models)
    chance = random.Random(plan.seed)  # noqa: S311  # no secret
    tested, shares, signatures = [], [], []
    for entry, described in zip(entries, _described(plan, entries), strict=True):
        source, arrays = bodies.read(
            entry, described, plan.bodies, plan.models_dir, rows=plan.rows, size=plan.size, chance=chance
        )
        payloads = _payloads(plan, entry, arrays)
        mean_bytes = round(sum(map(len, payloads)) / len(payloads))
        tested.append(ModelUnderTest(str(entry), described.number, entry.weight, plan.rows, source, mean_bytes))
        shares.append(Share(entry.weight, payloads))
        signatures.append(select(described.signatures, entry.signature, entry.model))
    return PreparedLoad(tested, shares, signatures)


def _described(plan: LoadPlan, entries: list[MixEntry]) -> list[Version]:
    if isinstance(plan.dialect, HttpDialect):
        with Client.of(plan.url, plan.access, timeout_s=plan.timeout_s) as client:
            return [client.describe(entry.model, version=plan.version) for entry in entries]
    from signet.clients.client.grpc_client import GrpcClient  # noqa: PLC0415  # gRPC is only imported where it is used

    with GrpcClient.of(plan.url, plan.access, timeout_s=plan.timeout_s) as client:
        return [client.describe(entry.model, version=plan.version) for entry in entries]


def _payloads(plan: LoadPlan, entry: MixEntry, requests: list[Arrays]) -> list[bytes]:
    """The requests as they are sent: as many as fit in memory, at least one."""
    dialect = plan.dialect
    payloads: list[bytes] = []
    taken_bytes = 0
    for arrays in requests:
        if isinstance(dialect, HttpDialect):
            payload = dialect.payload(plan.url, plan.access, entry, plan.version, arrays)
        else:
            payload = dialect.build(entry, plan.version, arrays)
        taken_bytes += len(payload)
        if payloads and taken_bytes > _MOST_PAYLOAD_BYTES:
            break
        payloads.append(payload)
    return payloads
