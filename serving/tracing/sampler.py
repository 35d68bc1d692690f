"""Whether a request is recorded: where whoever is above records it, and of those without anybody above a share, by chance."""

from random import random

from signet.serving.tracing.trace_context import KNOWN_FLAGS, SAMPLED, TraceContext, new_span_id, new_trace_id


class Sampler:
    """The rule of one program."""

    def __init__(self, share: float) -> None:
        """share: of the requests whose callers name no trace, from 0 to 1."""
        self._share = share

    def own(self, above: TraceContext | None) -> TraceContext | None:
        """The span of a request that is recorded; None where it is not. above: what its caller says."""
        if above is None:
            if random() >= self._share:  # noqa: S311  # no secret
                return None
            return TraceContext(new_trace_id(), new_span_id(), SAMPLED)
        if not above.sampled:
            return None
        return above._replace(span_id=new_span_id(), flags=above.flags & KNOWN_FLAGS)
