"""Certificates followed: whatever is done to the files, what is shown is a pair that fits, and in the end the new one."""

import logging
import os
import shutil
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.errors import UsageError
from signet.serving.process.supervision import CERTIFICATES, Failures
from signet.serving.tls import following
from signet.serving.tls.credentials import HTTP1, HTTP2
from tests import servers
from tests.certificates import DAY, Authority

AUTHORITY = Authority()
PAIRS = [AUTHORITY.signed() for _ in range(3)]
EXPIRED = AUTHORITY.signed(begins=-3 * DAY, ends=-DAY)


def followed(folder, roots=False):
    files = (folder / "tls.crt", folder / "tls.key", AUTHORITY.written(folder) if roots else None)
    return following.of_server(*files, [HTTP1, HTTP2])


def write(folder, pair):
    (folder / "tls.crt").write_bytes(pair[0])
    (folder / "tls.key").write_bytes(pair[1])


def shown(one):
    return one.credentials.certificate, one.credentials.key


def test_what_is_renewed_is_shown_from_then_on(tmp_path):
    write(tmp_path, PAIRS[0])
    one = followed(tmp_path)
    before = one.context(HTTP1), one.context(HTTP2)
    assert one.look()
    assert (one.context(HTTP1), one.context(HTTP2)) == before  # nothing is made anew for nothing
    write(tmp_path, PAIRS[1])
    assert one.look()
    assert shown(one) == PAIRS[1]
    assert {one.context(HTTP1), one.context(HTTP2)}.isdisjoint(before)


def test_a_folder_behind_a_link_as_in_kubernetes(tmp_path):
    for number, pair in enumerate(PAIRS):
        (tmp_path / f"..{number}").mkdir()
        write(tmp_path / f"..{number}", pair)
    (tmp_path / "..data").symlink_to("..0")
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    one = followed(tmp_path)
    for number in (1, 2):
        (tmp_path / "..new").symlink_to(f"..{number}")
        os.replace(tmp_path / "..new", tmp_path / "..data")
        shutil.rmtree(tmp_path / f"..{number - 1}")
        assert one.look()
        assert shown(one) == PAIRS[number]


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda folder: (folder / "tls.crt").write_bytes(PAIRS[1][0]), "is not the key of the certificate"),
        (lambda folder: (folder / "tls.crt").write_bytes(PAIRS[1][0][:300]), "cannot be used"),
        (lambda folder: (folder / "tls.key").write_bytes(b""), "holds no private key"),
        (lambda folder: (folder / "tls.key").unlink(), "cannot read"),
        (lambda folder: (folder / "tls.key").write_bytes(b"x" * (1 << 21)), "more than 1048576 bytes"),
        (lambda folder: (folder / "ca.crt").write_bytes(b"x"), "holds no certificates"),
        (
            lambda folder: (folder / "ca.crt").write_bytes(b""),
            "holds no certificates",
        ),  # who asks does not cease to ask
        (lambda folder: write(folder, EXPIRED), "has expired"),
    ],
)
def test_what_cannot_be_used_changes_nothing_and_is_said_once(tmp_path, caplog, spoil, problem):
    write(tmp_path, PAIRS[0])
    one = followed(tmp_path, roots=True)
    spoil(tmp_path)
    assert [one.look() for _ in range(3)] == [False] * 3
    assert shown(one) == PAIRS[0]
    assert caplog.text.count(problem) == caplog.text.count("the one before stays in use") == 1
    AUTHORITY.written(tmp_path)
    write(tmp_path, PAIRS[1])
    assert one.look()
    assert shown(one) == PAIRS[1]


def test_an_expired_certificate_is_used_at_the_start_with_a_warning(tmp_path, caplog):
    """Who has none other is told by its callers; who renews it is not kept from that."""
    write(tmp_path, EXPIRED)
    with caplog.at_level(logging.WARNING):
        one = followed(tmp_path)
    assert "tls.crt has expired at " in caplog.text
    write(tmp_path, PAIRS[0])
    assert one.look()
    assert shown(one) == PAIRS[0]


def test_a_start_with_what_cannot_be_used_is_refused(tmp_path):
    write(tmp_path, (PAIRS[0][0], PAIRS[1][1]))
    with pytest.raises(UsageError, match="is not the key of the certificate"):
        followed(tmp_path)


STEPS = st.lists(
    st.tuples(st.sampled_from(["tls.crt", "tls.key"]), st.integers(0, 2), st.sampled_from([0, 1, 100, None]))
    | st.just(None),
    max_size=12,
)


@given(STEPS)
def test_whatever_is_written_in_whatever_order_a_pair_is_shown(tmp_path_factory, steps):
    """Each file is written by itself, whole or in part; None: a look."""
    folder = tmp_path_factory.mktemp("pem")
    write(folder, PAIRS[0])
    one, state = followed(folder), {"tls.crt": PAIRS[0][0], "tls.key": PAIRS[0][1]}
    expected = PAIRS[0]
    for step in [*steps, None]:
        if step:
            name, number, length = step
            state[name] = PAIRS[number][name == "tls.key"][:length]
            (folder / name).write_bytes(state[name])
            continue
        now = (state["tls.crt"], state["tls.key"])
        assert one.look() is (now in PAIRS)
        expected = now if now in PAIRS else expected
        assert shown(one) == expected


def test_a_thread_looks_and_counts_what_fails(tmp_path):
    write(tmp_path, PAIRS[0])
    one, failures = followed(tmp_path), Failures()
    following_thread = following.follow(one, failures, look_s=0.001)
    write(tmp_path, PAIRS[1])
    servers.wait_until(lambda: shown(one) == PAIRS[1])
    (tmp_path / "tls.key").unlink()
    servers.wait_until(lambda: failures.counts()[CERTIFICATES] >= 2)
    following_thread.stop()
    assert following_thread.join(10)
    assert CERTIFICATES not in {thread.name for thread in threading.enumerate()}
