"""W3C Trace Context: what is taken, what counts as nothing, what is passed on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.tracing.trace_context import TraceContext, new_span_id, new_trace_id, parse

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
USUAL = f"00-{TRACE}-{SPAN}-01"

IDS = st.tuples(
    *(st.text("0123456789abcdef", min_size=n, max_size=n).filter(lambda id: id.strip("0")) for n in (32, 16))
)
KEYS = st.from_regex(r"[a-z0-9][a-z0-9_*/@-]{0,20}", fullmatch=True)
VALUES = st.text([chr(code) for code in range(0x20, 0x7F) if chr(code) not in ",="], min_size=1, max_size=40).filter(
    lambda text: text == text.strip(" ")
)


@given(IDS, st.integers(0, 255), st.dictionaries(KEYS, VALUES, max_size=8))
def test_what_is_written_is_read(ids, flags, state):
    context = TraceContext(*ids, flags, ",".join(f"{key}={value}" for key, value in state.items()))
    fields = dict(context.fields())
    assert parse(fields["traceparent"], fields.get("tracestate")) == context
    assert context.sampled == bool(flags % 2)


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-0x",
        f"0-{TRACE}-{SPAN}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN.upper()}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00_{TRACE}_{SPAN}_01",
        f"{USUAL},{USUAL}",
        f"{USUAL} ",
        f" {USUAL}",
        f"{USUAL}\n",
        f"01-{TRACE}-{SPAN}-01more",
        f"01-{TRACE}-{SPAN}-01-{'x' * 600}",
        USUAL.replace("4", "\u0664", 1),
    ],
)
def test_what_is_no_traceparent_counts_as_none(traceparent):
    assert parse(traceparent, "a=1") is None


@pytest.mark.parametrize(("version", "rest"), [("01", ""), ("cc", "-what-the-future-will-be-like"), ("fe", "-")])
def test_a_later_version_is_read_as_far_as_it_is_known(version, rest):
    context = parse(f"{version}-{TRACE}-{SPAN}-ff{rest}")
    assert context == TraceContext(TRACE, SPAN, 3)
    assert context.traceparent == f"00-{TRACE}-{SPAN}-03"


@pytest.mark.parametrize(
    ("tracestate", "passed_on"),
    [
        ("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
        ("a=1, \tb=2 ,,c=3", "a=1,b=2,c=3"),
        ("1a@b*/_-=x y", "1a@b*/_-=x y"),
        ("", ""),
        (" , ", ""),
        ("a=1,a=2", ""),
        ("a", ""),
        ("a=", ""),
        ("A=1", ""),
        ("a=1=2", ""),
        ("a=\u00e4", ""),
        ("a =1", ""),
        (",".join(f"k{i}=1" for i in range(33)), ""),
        (",".join(f"k{i}=1" for i in range(32)), ",".join(f"k{i}=1" for i in range(32))),
        (f"a={'x' * 250},b={'y' * 250},c=1", f"a={'x' * 250},b={'y' * 250},c=1"),
        (f"a={'x' * 250},b={'y' * 100},c={'z' * 250}", f"b={'y' * 100}"),
        (",".join(f"k{i}={'x' * 97}" for i in range(8)), ",".join(f"k{i}={'x' * 97}" for i in range(5))),
    ],
)
def test_a_tracestate_is_passed_on_within_bounds(tracestate, passed_on):
    context = parse(USUAL, tracestate)
    assert context is not None
    assert context.state == passed_on


@given(st.text(max_size=700), st.text(max_size=700))
def test_no_text_makes_trouble(traceparent, tracestate):
    parse(traceparent, tracestate)
    context = parse(USUAL, tracestate)
    assert context is not None
    assert len(context.state) <= 512
    assert context.state.isascii()
    assert context.state.count(",") < 32
    assert parse(*(value for _, value in context.fields())) == context


def test_new_ids_can_be_sent_and_differ():
    contexts = {TraceContext(new_trace_id(), new_span_id()) for _ in range(100)}
    assert len(contexts) == 100
    assert all(parse(context.traceparent) == context for context in contexts)
