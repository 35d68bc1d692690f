"""Which requests a candidate is shown copies of, how it is asked, and what came of it, output by output.

Exchange, about to be run ──begin──▶ Copy ──▶ answered: `observe` ──▶ Shadow ──show──▶ candidate's call ──▶ `Outputs`, Brake
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from signet.serving.errors import InvalidInput, NotFound
from signet.serving.gateway.core.backend import Backend, releasing
from signet.serving.gateway.core.exchange import Exchange
from signet.serving.gateway.core.inference import Inference, LeasedSignature
from signet.serving.gateway.observability.request_context import RequestContext
from signet.serving.gateway.releases.brake import Brake
from signet.serving.gateway.releases.comparison import Difference
from signet.serving.gateway.releases.shadow import FULL, Copy, Shadow
from signet.serving.gateway.releases.trial import Trial
from signet.serving.process.concurrency import settled
from signet.serving.tensors.arrays import Arrays

_MOST_OUTPUTS = 100
"""Outputs of a model of which is told how they differ."""


@dataclass(slots=True)
class OutputCounts:
    """How one output of the candidate's differed so far."""

    copies: int = 0
    differs: int = 0
    """By more than the tolerance, or missing."""
    missing: int = 0
    argmax_changed: int = 0
    """Copies in which the highest value of any row was at another place."""
    most_absolute: float = 0.0
    most_relative: float = 0.0

    def add(self, found: Difference, tolerance: float) -> None:
        """Count one copy more."""
        self.copies += 1
        self.differs += found.beyond(tolerance)
        if found.missing:
            self.missing += 1
            return
        self.argmax_changed += found.argmax
        self.most_absolute = max(self.most_absolute, found.absolute)
        self.most_relative = max(self.most_relative, found.relative)

    def __add__(self, other: "OutputCounts") -> "OutputCounts":
        """Those of two processes."""
        counts = (self.copies + other.copies, self.differs + other.differs, self.missing + other.missing)
        changed = self.argmax_changed + other.argmax_changed
        most = max(self.most_absolute, other.most_absolute), max(self.most_relative, other.most_relative)
        return OutputCounts(*counts, changed, *most)


class Copying:
    """The copies of one gateway. For its event loop, but for `outputs_of`."""

    def __init__(self, inference: Inference, backend: Backend, brake: Brake, shadow: Shadow | None = None) -> None:
        self._inference, self._backend, self._brake = inference, backend, brake
        self.shadow = shadow or Shadow(self._show, lambda _: inference.idle, self._told, self._count)
        self._outputs: dict[str, tuple[Trial, dict[str, OutputCounts]]] = {}
        self.outcomes: dict[tuple[str, str], int] = {}
        """(model, outcome) -> copies. The event loop writes it; any thread may read."""

    def begin(self, request: RequestContext, leased: LeasedSignature, inputs: Arrays) -> Copy | None:
        """What is to be shown of a request about to be run, if it is one that most get and chance chooses it."""
        lease = leased.lease
        trial = self._brake.trials.get(lease.name)
        if trial is None or trial.verdict or not Shadow.chosen(trial.release.shadow):
            return None
        if request.version != trial.stable or not isinstance(request, Exchange):
            return None
        asked = request.request
        named = asked is None or asked.version is not None or asked.label is not None
        if named or type(request).submit is not Exchange.submit:  # one that runs several signatures has no one answer
            return None
        if self.shadow.full:
            self._count(lease.name, FULL)
            return None
        return Copy(lease.name, trial, leased.signature.name, inputs)

    def observe(self, request: RequestContext, code: str, seconds: float, response_bytes: int) -> None:
        """Have a request shown that was answered well. An `Observer`."""
        sample = request.sample
        if sample is None or sample.copy is None or sample.outputs is None or code != "OK":
            return
        copy: Copy = sample.copy
        copy.outputs = sample.outputs
        self.shadow.answered(copy)

    def outputs_of(self, model: str) -> Mapping[str, OutputCounts]:
        """How the outputs of the candidate that is, or was last, on trial differed: copies, by the name of the output."""
        _, outputs = self._outputs.get(model, (None, {}))
        return {name: replace(counts) for name, counts in list(outputs.items())}

    async def _show(self, copy: Copy) -> Arrays:
        trial: Trial = copy.trial
        if not self._goes_on(copy) or trial.verdict or not trial.release.shadow:
            raise NotFound("the candidate is shown no copies any more")
        lease = await settled(self._backend.lease(copy.model, trial.release.candidate))
        with releasing(lease):
            signature = lease.signatures.get(copy.signature)
            if signature is None or signature.inputs.keys() != copy.inputs.keys():
                raise InvalidInput(f"the candidate has no signature {copy.signature!r} with the same inputs")
            wanted = [name for name in copy.outputs if name in signature.outputs]
            if not wanted:
                raise InvalidInput("the candidate has none of these outputs")
            outputs = self._backend.run(lease, signature, copy.inputs, wanted, self._inference.timeout_s, beside=True)
            return await settled(outputs)

    def _told(self, copy: Copy, found: Mapping[str, Difference] | None) -> None:
        trial: Trial = copy.trial
        if not self._goes_on(copy):
            return
        if found is None:
            self._brake.compared(copy.model, trial, failed=True, differs=False)
            return
        known = self._outputs.get(copy.model)
        if known is None or known[0] is not trial:
            known = self._outputs[copy.model] = trial, {}
        tolerance = trial.policy.tolerance
        for name, difference in found.items():
            if name in known[1] or len(known[1]) < _MOST_OUTPUTS:
                counts = known[1].get(name, OutputCounts())
                counts.add(difference, tolerance)
                known[1][name] = counts  # never without a copy: any thread divides by them
        differs = any(difference.beyond(tolerance) for difference in found.values())
        self._brake.compared(copy.model, trial, failed=False, differs=differs)

    def _goes_on(self, copy: Copy) -> bool:
        """Whether no other candidate is on trial by now: copies may have waited for long."""
        return self._brake.trials.get(copy.model) is copy.trial

    def _count(self, model: str, outcome: str) -> None:
        self.outcomes[model, outcome] = self.outcomes.get((model, outcome), 0) + 1
