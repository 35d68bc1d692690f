"""Which signatures each model server holds, by the connection that it has now: nothing is served by those of another program.

    poll, or an answer by a connection of which that is not known ──▶ learn: GetModelMetadata ──▶ the same as before?
                                                                     yes: one `RemoteVersion`, one holder more   no: another one
    connection lost or new, version unloaded ──▶ held no more      every CHECK_S, or an answer that does not fit ──▶ learn again

A server that restarts with another model under the same name and number is noticed by its new connection; a version that is
replaced within a running server by its status, by the first answer that does not fit, or within CHECK_S.
"""

import asyncio
import time
from collections.abc import Mapping

from signet.serving.errors import BadGateway, Unavailable
from signet.serving.gateway.backends import model_server, remote_answers
from signet.serving.gateway.backends.model_server import ModelServer
from signet.serving.gateway.backends.remote_version import RemoteVersion
from signet.serving.gateway.backends.upstream_call import translated
from signet.serving.grpc_transport.channels import CallError, ask
from signet.serving.tensors.protos import get_model_metadata_pb2, meta_graph_pb2
from signet.serving.tensors.signature import Signature

CHECK_S = 5.0
"""Seconds after which a server is asked again what it holds, though nothing speaks for a change."""
_DOUBT_S = 1.0
"""Seconds between two questions that answers which do not fit give rise to: what strangers send may be the reason."""
_TIMEOUT_S = 2.0
_TRIES = 3


class SignatureLedger:
    """What is known of model servers' signatures. Only the event loop touches it."""

    def __init__(self) -> None:
        self._variants: dict[tuple[str, int], list[RemoteVersion]] = {}
        """(model, version) -> those of different signatures, the newest last: one, unless servers differ."""
        self._asking: dict[tuple[ModelServer, str, int], asyncio.Task[RemoteVersion]] = {}
        self._asked_s: dict[tuple[ModelServer, str, int], float] = {}
        """When a server was asked last, by the monotonic clock."""

    def variants(self, model: str, version: int) -> list[RemoteVersion]:
        """The known variants of a version, most of them one; that of most holders first."""
        known = self._variants.get((model, version), [])
        return sorted(known, key=lambda each: -len(each.holders))

    def is_due(self, server: ModelServer, model: str, version: int) -> bool:
        """Whether to ask a server what it holds: nobody knows, or it was asked a while ago."""
        asked_s = self._asked_s.get((server, model, version))
        return server.holds(model, version) is None or asked_s is None or time.monotonic() - asked_s > CHECK_S

    def doubts(self, server: ModelServer, model: str, version: int) -> bool:
        """Whether an answer that does not fit is reason to ask a server again: not so often that strangers could drive it."""
        asked_s = self._asked_s.get((server, model, version))
        return asked_s is None or time.monotonic() - asked_s > _DOUBT_S

    async def learn(self, server: ModelServer, model: str, version: int) -> RemoteVersion:
        """Ask a server for the signatures of a version. Many who ask at once put one question. Raises `ServingError`."""
        key = (server, model, version)
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.get_running_loop().create_task(self._learn(server, model, version))
            task.add_done_callback(lambda done: self._asked(key, done))
        return await asyncio.shield(task)

    def forget(self, model: str, version: int) -> None:
        """The version is offered no more."""
        self._variants.pop((model, version), None)

    def forget_server(self, server: ModelServer) -> None:
        """The server is no longer there."""
        for key in [key for key in self._asked_s if key[0] is server]:
            del self._asked_s[key]

    def stop(self) -> list["asyncio.Task[RemoteVersion]"]:
        """Ask no more; gives what is to be awaited."""
        for task in self._asking.values():
            task.cancel()
        return list(self._asking.values())

    def _asked(self, key: tuple[ModelServer, str, int], task: "asyncio.Task[RemoteVersion]") -> None:
        del self._asking[key]
        if not task.cancelled():
            task.exception()  # those who asked may have left

    async def _learn(self, server: ModelServer, model: str, version: int) -> RemoteVersion:
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name, request.model_spec.version.value = model, version
        data = request.SerializeToString()
        for _ in range(_TRIES):
            epoch = server.epoch
            self._asked_s[server, model, version] = time.monotonic()
            try:
                answer = await ask(server.channel, model_server.METADATA, data, _TIMEOUT_S)
                defs, signatures = remote_answers.signatures_of(answer)
            except CallError as error:
                server.let_go(model, version)
                raise translated(error, server) from error
            except BadGateway as error:
                server.let_go(model, version)
                raise BadGateway(f"model server {server}: {error}") from error
            if server.epoch != epoch:
                continue  # by which connection it came is not known
            known = self._known(model, version, defs, signatures)
            server.hold(known)
            return known
        raise Unavailable(f"the connection to model server {server} does not last")

    def _known(
        self,
        model: str,
        version: int,
        defs: Mapping[str, meta_graph_pb2.SignatureDef],
        signatures: Mapping[str, Signature],
    ) -> RemoteVersion:
        variants = self._variants.setdefault((model, version), [])
        for known in variants:
            if known.signature_defs == defs:
                return known
        new = RemoteVersion(model, version, signatures, defs)
        variants[:] = [each for each in variants if each.holders] + [new]
        return new
