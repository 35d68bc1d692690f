"""The door by itself: who gets in, and that the keys in use are always those of one content of the file."""

import logging
import os
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signet.serving.errors import Forbidden, NotFound, UsageError
from signet.serving.gateway.access import binding, key_file, tokens
from signet.serving.gateway.access.access import LABELLED, OTHERS, Access
from signet.serving.gateway.observability.metrics import ACCESS_REFUSED
from signet.serving.gateway.settings import Settings
from signet.serving.process.supervision import Failures

CREATED = [tokens.create() for _ in range(6)]


def write(path, names=("a",), **said):
    """A file with the first tokens under these names."""
    path.unlink(missing_ok=True)
    path.touch(0o600)
    for name, created in zip(names, CREATED, strict=False):
        key_file.add(path, created, name=name, **{"models": "*", **said})
    return path


def bearer(i=0):
    return f"Bearer {CREATED[i].token}".encode()


def test_a_key_is_shown_in_either_header_whatever_else_stands_in_the_other(tmp_path):
    access = Access(write(tmp_path / "keys"))
    token = CREATED[0].token.encode()
    shown = [
        (bearer(), None),
        (b"bearer  " + token + b" ", None),
        (None, token),
        (b"Basic eDp5", token),
        (b"Bearer of.another.kind", token),
        (bearer(), token),
    ]
    assert {access.identify(*headers).name for headers in shown} == {"a"}


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ((None, None), "no_key"),
        ((b"Basic eDp5", None), "no_key"),
        ((b"", b""), "malformed"),
        ((b"Bearer x", None), "malformed"),
        ((bearer() + b"," + bearer(), None), "malformed"),
        ((b"Bearer " + b"x" * 60_000, None), "malformed"),
        ((bearer(0), CREATED[1].token.encode()), "several"),
        ((bearer(5), None), "unknown"),
        ((bearer(0)[:-1] + b"%x" % (15 - int(bearer(0)[-1:], 16)), None), "unknown"),
    ],
)
def test_who_shows_no_key_that_holds_is_told_so_and_counted(tmp_path, headers, reason):
    refused = []
    access = Access(write(tmp_path / "keys", ("a", "b")), refused=refused.append)
    with pytest.raises(Exception) as error:  # noqa: PT011
        access.identify(*headers)
    assert (type(error.value).__name__, error.value.http_status) == ("Unauthenticated", 401)
    assert refused == [reason]
    assert reason in ACCESS_REFUSED
    for created in CREATED:
        assert created.token[20:] not in str(error.value)
    assert not any(name in str(error.value).split() for name in ("'a'", "'b'"))


def test_an_expired_key_is_named_to_who_has_its_secret_alone(tmp_path):
    soon = datetime.now(UTC) + timedelta(seconds=60)
    access = Access(write(tmp_path / "keys", expires=key_file.written(soon)))
    identity = access.identify(bearer(), None)
    assert access.holds(identity)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: soon.timestamp() + 1)
        assert not access.holds(identity)
        with pytest.raises(Exception, match="the key 'a' has expired"):
            access.identify(bearer(), None)
        wrong = f"Bearer signet_{CREATED[0].id}_{'0' * 64}".encode()
        with pytest.raises(Exception, match="none of this service"):
            access.identify(wrong, None)


def test_a_key_is_for_its_models_and_is_told_of_no_other(tmp_path):
    access = Access(write(tmp_path / "keys", models=["m", "gone"]), served=lambda: ["m", "secret"])
    identity = access.identify(bearer(), None)
    access.check_model(identity, "m")
    with pytest.raises(Forbidden, match="the key 'a' is not for the model 'secret'"):
        access.check_model(identity, "secret")
    with pytest.raises(NotFound) as error:
        access.check_model(identity, "gone")
    assert "secret" not in str(error.value)
    with pytest.raises(Forbidden, match="--admin"):
        access.check_admin(identity)


def test_a_change_of_the_file_keeps_debts_and_ends_what_was_known(tmp_path):
    path = write(tmp_path / "keys", ("a", "b"), requests_per_s=1)
    access = Access(path)
    before = access.identify(bearer(), None)
    before.began(100.0)
    key_file.revoke(path, "b")
    access._look()
    assert not access.holds(before)
    after = access.identify(bearer(), None)
    assert after is not before
    assert access.over_rate(after, 100.0).retry_after_s == pytest.approx(1)
    with pytest.raises(Exception, match="none of this service"):
        access.identify(bearer(1), None)


def test_each_of_several_processes_has_its_share_of_the_rates(tmp_path):
    identity = Access(write(tmp_path / "keys", requests_per_s=8), 1 / 4).identify(bearer(), None)
    assert identity._requests.per_s == 2


@pytest.mark.parametrize("broken", [b"{}", b"", b"\xff", None])
def test_what_is_broken_later_leaves_the_keys_as_they_were_and_is_said_once(tmp_path, caplog, broken):
    path, failures = write(tmp_path / "keys"), Failures()
    access = Access(path, failures=failures)
    path.unlink()
    if broken is not None:
        path.write_bytes(broken)
    for _ in range(3):
        access._look()
    assert access.identify(bearer(), None).name == "a"
    assert (access.up_to_date, failures.counts()["keys"]) == (False, 1)
    assert [record.levelname for record in caplog.records if "stay as they were" in record.message] == ["ERROR"]
    write(path, ("a", "b"))
    access._look()
    assert (access.up_to_date, len(access)) == (True, 2)


def test_what_is_broken_at_the_start_is_a_sentence(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        Access(tmp_path / "keys")
    (tmp_path / "keys").write_text("# nobody yet\nx\n")
    with pytest.raises(UsageError, match="keys, line 2: it is no JSON"):
        Access(tmp_path / "keys")


def test_a_file_that_everybody_may_read_is_complained_about(tmp_path, caplog):
    path = write(tmp_path / "keys")
    Access(path)
    assert not caplog.records
    path.chmod(0o644)
    Access(path)
    assert "can be read by everybody" in caplog.text


def test_a_secret_of_kubernetes_is_followed_through_its_links(tmp_path):
    for name, names in (("one", ("a",)), ("two", ("b",))):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "keys", names)
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "keys").symlink_to("..data/keys")
    access = Access(tmp_path / "keys")
    access._look()
    assert access.identify(bearer(), None).name == "a"
    (tmp_path / "..new").symlink_to("two")
    (tmp_path / "..new").replace(tmp_path / "..data")
    access._look()
    assert access.identify(bearer(), None).name == "b"


def test_a_change_within_one_tick_of_the_clock_is_seen(tmp_path):
    path = write(tmp_path / "keys")
    access = Access(path)
    access._look()
    status = path.stat()
    text = path.read_bytes()
    path.write_bytes(text.replace(b'"a"', b'"c"'))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    access._look()
    assert access.identify(bearer(), None).name == "c"


def test_metrics_tell_so_many_keys_apart_and_no_more(tmp_path):
    path = tmp_path / "keys"
    line = '{"name": "k%d", "id": "%012x", "salt": "' + "0" * 32 + '", "sha256": "' + "0" * 64 + '", "models": "*"}\n'
    path.write_text("".join(line % (i, i) for i in range(LABELLED + 3)))
    labels = [identity.label for identity in Access(path)._in_use.by_id.values()]
    assert len(set(labels)) == LABELLED + 1
    assert labels[LABELLED:] == [OTHERS] * 3


@settings(max_examples=25)
@given(st.lists(st.sampled_from(["ab", "ba", "abc", "c", "", "!"]), min_size=1, max_size=6))
def test_keys_in_use_are_those_of_a_content_that_was_whole(tmp_path_factory, contents):
    """`!` breaks the file; what was in use before stays."""
    logging.disable(logging.ERROR)
    path = write(tmp_path_factory.mktemp("keys") / "keys")
    access, expected = Access(path), "a"
    for content in contents:
        if content == "!":
            path.write_bytes(path.read_bytes() + b'{"name": "half')
        else:
            write(path, content)
            if content:
                expected = content
        access._look()
        found = []
        for i in range(3):
            try:
                found.append(access.identify(bearer(i), None).name)
            except Exception as error:  # noqa: BLE001
                assert getattr(error, "http_status", 500) == 401  # noqa: PT017
        assert "".join(found) == expected
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize(
    ("host", "opens"),
    [("127.0.0.1", True), ("127.8.0.1", True), ("::1", True), ("localhost", True)]
    + [(host, False) for host in ("0.0.0.0", "::", "192.0.2.1", "example.com", "")],
)
def test_only_this_machine_gets_in_without_keys(host, opens, tmp_path, caplog):
    if opens:
        binding.check(Settings(host=host))
    else:
        with pytest.raises(UsageError, match="signet keys add"):
            binding.check(Settings(host=host))
    assert not caplog.records
    binding.check(Settings(host=host, keys=tmp_path / "keys"))
    assert not caplog.records
    binding.check(Settings(host=host, insecure=True))
    assert ("asks for no keys" in caplog.text) is not opens
