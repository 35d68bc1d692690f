"""A client against a server, and each against `h2` of others: whatever the order, every byte arrives once, within the windows."""

import random
from collections import defaultdict

import h2.config
import h2.connection
import h2.events
import pytest
from h2.settings import SettingCodes
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from signet.serving.h2 import hpack
from signet.serving.h2.client import ClientConnection
from signet.serving.h2.events import (
    ConnectionEnded,
    DataReceived,
    GoAwayReceived,
    HeadersReceived,
    StreamReset,
    TrailersReceived,
)
from signet.serving.h2.limits import Limits
from signet.serving.h2.server import ServerConnection
from tests.serving.h2.wire import HEAD, REQUEST, TRAILERS, Clock

BLOCK = hpack.encode([(name.encode(), value.encode()) for name, value in REQUEST])
WINDOW = 65_535
sizes = st.sampled_from([0, 1, 5, 1000, 16_384, 16_385, 70_000, 200_000])


class Both(RuleBasedStateMachine):
    """A client and a server whose bytes wait on the line until a rule delivers some of them."""

    streams = Bundle("streams")

    @initialize(most=st.integers(1, 5))
    def start(self, most):
        limits = Limits(stream_window=WINDOW, connection_window=2 * WINDOW, concurrent_streams=most)
        self.client = ClientConnection(limits, Clock())
        self.server = ServerConnection(limits, Clock())
        self.line = {self.client: bytearray(), self.server: bytearray()}  # what goes to whom
        self.sent = defaultdict(bytes)  # by the stream's side and the client's stream
        self.got = defaultdict(bytes)
        self.unconsumed = {self.client: [], self.server: []}
        self.ended = set()  # sides of streams whose end came
        self.asked = {}  # the server's streams by number
        self.reset = set()
        self.rng = random.Random(0)
        self.going_away = False

    @rule(target=streams, size=sizes, whole=st.booleans())
    def ask(self, size, whole):
        if not self.client.can_open:
            return None
        body = self.rng.randbytes(size)
        if whole:
            stream = self.client.send_request(BLOCK, body[:5], body[5:])
        else:
            stream = self.client.open(BLOCK)
            self.client.send_data(stream, body)
        self.sent["server", stream] += body
        return stream

    @rule(stream=streams, size=sizes, end=st.booleans())
    def ask_more(self, stream, size, end):
        if stream is not None and not stream.local_ended:
            body = self.rng.randbytes(size)
            self.client.send_data(stream, body, end)
            self.sent["server", stream] += body

    @rule(stream=streams, size=sizes, whole=st.booleans())
    def answer(self, stream, size, whole):
        """Only with streams whose HEADERS have come."""
        theirs = stream and self.asked.get(stream.id)
        if not theirs or theirs.local_ended:
            return
        body = self.rng.randbytes(size)
        if theirs.owner is None and whole:
            self.server.send_response(theirs, HEAD, body[:5], body[5:], TRAILERS)
        else:
            if theirs.owner is None:
                self.server.send_headers(theirs, HEAD)
            self.server.send_message(theirs, body[:5], body[5:])
            if whole:
                self.server.send_headers(theirs, TRAILERS, end_stream=True)
        theirs.owner = "begun"
        self.sent["client", stream] += body

    @rule(stream=consumes(streams), by_server=st.booleans())
    def take_back(self, stream, by_server):
        if stream is None or stream.closed:
            return
        if not by_server:
            self.client.reset(stream)
        elif stream.id in self.asked:
            self.server.reset(self.asked[stream.id])
        else:
            return
        self.reset.add(stream)

    @rule(to_server=st.booleans(), most=st.sampled_from([1, 9, 100, 20_000, 1 << 30]))
    def deliver(self, to_server, most):
        side = self.server if to_server else self.client
        line = self.line[side]
        other = self.client if to_server else self.server
        line += other.take_output()
        piece = bytes(line[:most])
        del line[:most]
        self.take(side, side.receive(piece))

    def take(self, side, events):
        for event in events:
            assert not isinstance(event, ConnectionEnded), event
            if isinstance(event, HeadersReceived) and side is self.server:
                self.asked[event.stream.id] = event.stream
            if isinstance(event, GoAwayReceived):
                self.reset.update(event.unprocessed)
            if isinstance(event, StreamReset):
                assert event.by_peer, event
                self.reset.add(event.stream)
            if isinstance(event, DataReceived):
                self.got[self.key(side, event.stream)] += event.data
                self.unconsumed[side].append((event.stream, len(event.data)))
            if isinstance(event, TrailersReceived) or getattr(event, "end_stream", False):
                key = self.key(side, event.stream)
                assert key not in self.ended
                self.ended.add(key)

    def key(self, side, stream):
        return ("server" if side is self.server else "client", stream.id)

    @rule(by_server=st.booleans(), share=st.floats(0, 1))
    def consume(self, by_server, share):
        side = self.server if by_server else self.client
        waiting = self.unconsumed[side]
        for _ in range(round(len(waiting) * share)):
            stream, size = waiting.pop(0)
            side.consumed(stream, size)

    @precondition(lambda self: not self.going_away)
    @rule(now=st.sampled_from([False] * 9 + [True]))
    def drain(self, now):
        if now:
            self.going_away = True
            self.server.drain()

    @invariant()
    def what_came_is_the_beginning_of_what_was_sent(self):
        if not hasattr(self, "client"):
            return
        for (side, stream), body in self.sent.items():
            assert body.startswith(self.got[side, stream.id]) or not stream.id

    @invariant()
    def no_more_is_held_than_windows_allow(self):
        if not hasattr(self, "client"):
            return
        for side in (self.client, self.server):
            assert 0 <= side._unconsumed <= 2 * WINDOW
            assert all(0 <= stream.unconsumed <= WINDOW for stream in side.streams.values())
            assert side._send_window >= 0
        assert len(self.server.streams) <= self.server.limits.concurrent_streams

    def teardown(self):
        """Deliver all, consume all, end all: then every byte has come."""
        if not hasattr(self, "client"):
            return
        for _ in range(4000):
            for to_server in (True, False):
                self.deliver(to_server, 1 << 30)
                self.consume(to_server, 1)
            for stream in [*self.client.streams.values(), *self.client._waiting]:
                if not stream.local_ended:
                    self.client.send_data(stream, b"", end_stream=True)
            for stream in list(self.server.streams.values()):
                if stream.owner is None:
                    self.server.send_headers(stream, HEAD)
                    stream.owner = "begun"
                self.server.send_headers(stream, TRAILERS, end_stream=True)
            quiet = not (self.client.has_output or self.server.has_output)
            if quiet and not (self.client.streams or self.server.streams or self.client.waiting_streams):
                break
        else:
            raise AssertionError("streams that never end")
        for (side, stream), body in self.sent.items():
            if stream not in self.reset:
                assert self.got[side, stream.id] == body
                assert (side, stream.id) in self.ended
        for one in (self.client, self.server):
            assert (one.held_bytes, one.unsent_bytes, one._ready) == (0, 0, {})
            assert one._receive_window + one._ungranted == 2 * WINDOW


@pytest.mark.parametrize("examples", [20, pytest.param(1500, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
def test_every_byte_arrives_once_whatever_the_order(examples):
    run_state_machine_as_test(Both, settings=settings(max_examples=examples, stateful_step_count=40, deadline=None))


bodies = st.lists(st.tuples(sizes, sizes), min_size=1, max_size=6)


def exchange(ours, theirs, on_ours, on_theirs):
    """Bytes to and fro until both are silent."""
    while True:
        to_them = ours.take_output()
        if to_them:
            on_theirs(theirs.receive_data(to_them))
        to_us = theirs.data_to_send()
        if to_us:
            on_ours(ours.receive(to_us))
        if not (to_us or to_them):
            return


class Other:
    """An `h2` connection that consumes what it gets, and sends what its windows allow."""

    def __init__(self, client_side, window):
        self.connection = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=client_side, header_encoding=None)
        )
        self.connection.initiate_connection()
        self.connection.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.waiting = {}
        self.got = defaultdict(bytes)
        self.heads = {}
        self.trailers = {}
        self.ended = set()

    def queue(self, stream_id, body, trailers=None):
        self.waiting[stream_id] = [body, trailers]
        self.pump()

    def pump(self):
        for stream_id, (all_of_it, trailers) in list(self.waiting.items()):
            body = all_of_it
            while body:
                size = min(
                    len(body),
                    self.connection.local_flow_control_window(stream_id),
                    self.connection.max_outbound_frame_size,
                )
                if not size:
                    break
                self.connection.send_data(stream_id, body[:size])
                body = body[size:]
            self.waiting[stream_id][0] = body
            if not body:
                del self.waiting[stream_id]
                if trailers:
                    self.connection.send_headers(stream_id, trailers, end_stream=True)
                else:
                    self.connection.end_stream(stream_id)

    def take(self, events):
        for event in events:
            if isinstance(event, h2.events.RequestReceived | h2.events.ResponseReceived):
                self.heads[event.stream_id] = event.headers
            elif isinstance(event, h2.events.TrailersReceived):
                self.trailers[event.stream_id] = event.headers
            elif isinstance(event, h2.events.DataReceived):
                self.got[event.stream_id] += event.data
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self.ended.add(event.stream_id)
            assert not isinstance(event, h2.events.ConnectionTerminated | h2.events.StreamReset), event
        self.pump()


windows = st.sampled_from([1000, 65_535, 1 << 20])


@settings(max_examples=30)
@given(sizes=bodies, window=windows)
def test_a_client_of_others_is_served(sizes, window):
    ours = ServerConnection(Limits(stream_window=WINDOW, connection_window=WINDOW), Clock())
    theirs = Other(True, window)
    answers = {}
    got = defaultdict(bytes)

    def on_ours(events):
        for event in events:
            assert not isinstance(event, ConnectionEnded | StreamReset), event
            if isinstance(event, DataReceived):
                got[event.stream.id] += event.data
                ours.consumed(event.stream, len(event.data))
            if isinstance(event, TrailersReceived) or getattr(event, "end_stream", False):
                body = answers[event.stream.id]
                ours.send_response(event.stream, HEAD, body[:5], body[5:], TRAILERS)

    sent = {}
    for i, (asked, answered) in enumerate(sizes):
        stream_id = theirs.connection.get_next_available_stream_id()
        theirs.connection.send_headers(stream_id, [*REQUEST, ("x-number", str(i))])
        sent[stream_id] = bytes([i]) * asked
        answers[stream_id] = bytes([i + 100]) * answered
        theirs.queue(stream_id, sent[stream_id], [("a-trailer", "x")] if i % 2 else None)
    exchange(ours, theirs.connection, on_ours, theirs.take)
    assert {stream_id: got[stream_id] for stream_id in sent} == sent
    assert {stream_id: theirs.got[stream_id] for stream_id in answers} == answers
    assert theirs.ended == set(answers)
    assert all(dict(theirs.trailers[stream_id]) == {b"grpc-status": b"0"} for stream_id in answers)
    assert (ours.held_bytes, ours.unsent_bytes, ours.streams) == (0, 0, {})


@settings(max_examples=30)
@given(sizes=bodies, window=windows)
def test_a_server_of_others_is_asked(sizes, window):
    ours = ClientConnection(Limits(stream_window=WINDOW, connection_window=WINDOW), Clock())
    theirs = Other(False, window)
    theirs.connection.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 2})
    got = defaultdict(bytes)
    ended = set()
    answers = {2 * i + 1: bytes([i + 100]) * answered for i, (_, answered) in enumerate(sizes)}

    def on_ours(events):
        for event in events:
            assert not isinstance(event, ConnectionEnded | StreamReset), event
            if isinstance(event, DataReceived):
                got[event.stream.id] += event.data
                ours.consumed(event.stream, len(event.data))
            if isinstance(event, TrailersReceived):
                assert event.headers.fields == [(b"grpc-status", b"0")]
                ended.add(event.stream.id)

    def on_theirs(events):
        theirs.take(events)
        for event in events:
            if isinstance(event, h2.events.StreamEnded):
                theirs.connection.send_headers(event.stream_id, [(":status", "200")])
                theirs.queue(event.stream_id, answers[event.stream_id], [("grpc-status", "0")])

    # First without streams: h2 does not open a window that its own setting has made negative.
    exchange(ours, theirs.connection, on_ours, on_theirs)
    streams = [ours.send_request(BLOCK, b"", bytes([i]) * asked) for i, (asked, _) in enumerate(sizes)]
    exchange(ours, theirs.connection, on_ours, on_theirs)
    assert {stream.id: len(theirs.got[stream.id]) for stream in streams} == {
        2 * i + 1: asked for i, (asked, _) in enumerate(sizes)
    }
    assert {stream_id: got[stream_id] for stream_id in answers} == answers
    assert ended == set(answers)
    assert all(stream.closed for stream in streams)
    assert (ours.held_bytes, ours.unsent_bytes, ours.waiting_streams) == (0, 0, 0)


@pytest.mark.parametrize("quick", [True, False])
def test_sent_frames_are_as_large_as_the_peer_takes(quick):
    theirs = Other(True, 1 << 20)
    theirs.connection.update_settings({SettingCodes.MAX_FRAME_SIZE: 20_000})
    ours = ServerConnection(Limits(), Clock())
    theirs.connection.send_headers(1, REQUEST, end_stream=True)
    exchange(ours, theirs.connection, lambda _: None, theirs.take)
    ours.send_headers(ours.streams[1], HEAD)
    ours.send_message(ours.streams[1], b"", bytes(50_000), end_stream=quick)
    ours.send_headers(ours.streams[1], TRAILERS, end_stream=True) if not quick else None
    exchange(ours, theirs.connection, lambda _: None, theirs.take)
    assert len(theirs.got[1]) == 50_000
