"""The file of keys: what it may hold, what is said of what it may not, and that nobody ever sees a half of it."""

import json
import stat
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.errors import UsageError
from signet.serving.gateway.access import key_file, tokens
from tests.servers import SIGNET

LINE = {"name": "mobile", "id": "0123456789ab", "salt": "00" * 16, "sha256": "11" * 32, "models": "*"}


def line(**changed):
    return json.dumps({name: value for name, value in {**LINE, **changed}.items() if value is not ...}).encode()


def test_a_line_has_all_there_is_to_say_of_a_key():
    said = line(
        models=["a", "team/b"], requests_per_s=5, rows_per_s=0.5, expires="2027-01-31T01:00:00+01:00", admin=True
    )
    (key,) = key_file.parse(b"# mine\n\n" + said + b"\r\n", "keys")
    assert (key.name, key.id, key.models) == ("mobile", "0123456789ab", frozenset(("a", "team/b")))
    assert (key.requests_per_s, key.rows_per_s, key.admin) == (5, 0.5, True)
    assert key.expires == datetime(2027, 1, 31, tzinfo=UTC)
    assert "00" * 16 not in repr(key)
    assert "1111" not in repr(key)


def test_what_is_left_out_is_no_limit():
    (key,) = key_file.parse(line(), "keys")
    assert (key.models, key.requests_per_s, key.rows_per_s, key.expires, key.admin) == (None, None, None, None, False)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"mobile secret", "it is no JSON"),
        (b"\xff\xfe", "it is no JSON"),
        (b"[" * 100_000, "it is no JSON"),
        (b"[1]", "it is no object"),
        (line(model="a"), "there is no field 'model'; expected admin, expires"),
        (line(models=...), "there is no 'models'; expected name, id, salt, sha256, models at least"),
        (line(models=[]), 'models is []; expected "*", or a list of names'),
        (line(models=["*", "a"]), 'models has "*" among others'),
        (line(models="a"), "models is 'a'; expected \"*\", or a list of names"),
        (line(name="a b"), "name is 'a b'; expected 1 to 64 letters"),
        (line(name="x" * 65), "expected 1 to 64 letters"),
        (line(id="ABCDEF012345"), "id is 'ABCDEF012345'; expected 12 hexadecimal digits"),
        (line(salt="00"), "salt is not 32 hexadecimal digits"),
        (line(sha256=5), "sha256 is not 64 hexadecimal digits"),
        (line(requests_per_s=0), "requests_per_s is 0; expected a number above 0"),
        (line(rows_per_s=True), "rows_per_s is True; expected a number"),
        (line(rows_per_s=float("nan")), "rows_per_s is nan; expected a number"),
        (line(expires="soon"), "expires is 'soon'; expected a date such as 2027-01-31"),
        (line(expires=17), "expires is 17; expected a date"),
        (line(expires="0001-01-01T00:00:00+23:00"), "which no clock can show"),
        (line(admin="yes"), "admin is 'yes'; expected true or false"),
        (line()[:-1] + b', "models": ["a"]}', "there is 'models' twice"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text, problem):
    with pytest.raises(UsageError) as error:
        key_file.parse(b"# mine\n" + line(name="other", id="a" * 12) + b"\n" + text, "keys.jsonl")
    assert str(error.value).startswith("keys.jsonl, line 3: ")
    assert problem in str(error.value)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [({"id": "b" * 12}, "a key 'mobile' already"), ({"name": "n"}, "its id is that of the key 'mobile'")],
)
def test_a_name_and_an_id_are_one_keys(changed, problem):
    with pytest.raises(UsageError, match=f"line 2: .*{problem}"):
        key_file.parse(line() + b"\n" + line(**changed), "keys")


@given(st.binary(max_size=300))
def test_whatever_the_bytes_are_there_are_keys_or_a_sentence(text):
    try:
        key_file.parse(text, "keys")
    except UsageError as error:
        assert "keys, line " in str(error)  # noqa: PT017


def test_what_is_no_file_is_said(tmp_path):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(UsageError, match="cannot be read"):
            key_file.read(path)


def test_a_key_is_added_and_revoked_and_people_keep_their_remarks(tmp_path):
    path = tmp_path / "keys"
    first, second = tokens.create(), tokens.create()
    key_file.add(path, first, name="a", models="*")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_bytes(path.read_bytes() + b"# the next one is the app's\n")
    path.chmod(0o640)
    key_file.add(path, second, name="b", models=["m"], admin=True)
    assert [key.name for key in key_file.read(path)] == ["a", "b"]
    key_file.revoke(path, "a")
    assert [key.id for key in key_file.read(path)] == [second.id]
    assert b"# the next one is the app's\n" in path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert first.token[20:] not in path.read_text()
    assert [file.name for file in tmp_path.iterdir()] == ["keys"]
    with pytest.raises(UsageError, match="has no key 'a'; it has b"):
        key_file.revoke(path, "a")
    with pytest.raises(UsageError, match="has a key 'b' already"):
        key_file.add(path, first, name="b", models="*")


def test_a_link_stays_one(tmp_path):
    (tmp_path / "keys").symlink_to("there")
    key_file.add(tmp_path / "keys", tokens.create(), name="a", models="*")
    assert (tmp_path / "keys").is_symlink()
    assert (tmp_path / "there").is_file()


def test_what_was_broken_by_hand_is_not_written_over(tmp_path):
    path = tmp_path / "keys"
    path.write_text("mobile secret\n")
    with pytest.raises(UsageError, match="line 1: it is no JSON"):
        key_file.add(path, tokens.create(), name="a", models="*")
    assert path.read_text() == "mobile secret\n"


def test_many_who_add_at_once_lose_no_key(tmp_path):
    program = (
        "import sys; from pathlib import Path; from signet.serving.gateway.access import key_file, tokens\n"
        "for i in range(10): key_file.add(Path(sys.argv[1]), tokens.create(), name=f'{sys.argv[2]}-{i}', models='*')"
    )
    path = tmp_path / "keys"
    running = [subprocess.Popen([sys.executable, "-c", program, path, str(n)]) for n in range(4)]
    assert [one.wait(60) for one in running] == [0] * 4
    assert len(key_file.read(path)) == 40


def test_a_token_is_its_keys_alone():
    created, other = tokens.create(), tokens.create()
    name, secret = tokens.split(created.token.encode())
    assert (name, len(secret)) == (created.id.encode(), 64)
    assert tokens.matches(secret, created.salt, created.hash)
    assert not tokens.matches(secret, other.salt, created.hash)
    assert not tokens.matches(tokens.split(other.token.encode())[1], created.salt, created.hash)
    for wrong in (
        b"",
        b"x" * 84,
        created.token.replace("_", "-").encode(),
        created.token.encode() + b"0",
        b"0" * 60_000,
    ):
        assert tokens.split(wrong) is None


def test_the_command_prints_the_token_once_and_nothing_else(tmp_path):
    path = tmp_path / "keys"

    def signet(*arguments):
        return subprocess.run(
            [*SIGNET, "keys", *arguments, "--file", path], capture_output=True, text=True, timeout=60, check=False
        )

    added = signet("add", "mobile", "--models", "b,a", "--requests-per-s", "50", "--expires", "90d")
    assert tokens.split(added.stdout.removesuffix("\n").encode())
    assert "mobile" in added.stderr
    token = added.stdout.strip()
    (listed,) = json.loads(signet("list", "--json").stdout)
    assert listed.pop("expires").endswith("Z")
    assert listed == {
        **{"name": "mobile", "models": ["a", "b"], "requests_per_s": 50, "rows_per_s": None},
        **{"admin": False, "state": "valid"},
    }
    table = signet("list").stdout
    assert table.splitlines()[0].split() == ["name", "models", "requests/s", "rows/s", "expires", "admin", "state"]
    (key,) = key_file.read(path)
    for secret in (token, token[-64:], key.salt.hex(), key.hash.hex(), key.id):
        assert secret not in table
    for wrong in (("add", "mobile"), ("add", "x", "--expires", "2020-01-01"), ("add", "x y"), ("revoke", "nobody")):
        failed = signet(*wrong)
        assert (failed.returncode, failed.stdout) == (2, "")
        assert failed.stderr.startswith("signet: ")
    assert signet("revoke", "mobile").returncode == 0
    assert key_file.read(path) == []
