"""The Dockerfile as data."""

import json
import re

from tests.servers import ROOT

TEXT = (ROOT / "Dockerfile").read_text()


def stages() -> dict[str, list[tuple[str, str]]]:
    """Stage -> its instructions, those of the stages it starts from first: [("ENV", "PATH=…"), …]."""
    found: dict[str, list[tuple[str, str]]] = {}
    name = ""
    for line in re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", TEXT, flags=re.MULTILINE)).splitlines():
        if not line.strip():
            continue
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            below, name = re.fullmatch(r"(\S+) AS ([\w-]+)", rest).groups()
            found[name] = list(found.get(below, []))
        if name:
            found[name].append((word, rest.strip()))
    return found


def arguments() -> dict[str, str]:
    """The build's arguments and what they are by default."""
    return dict(re.findall(r"^ARG (\w+)=(.*)", TEXT, re.MULTILINE))


def last(stage: str, word: str) -> str:
    """What the last instruction of a stage that begins with the word says."""
    return next(rest for other, rest in reversed(stages()[stage]) if other == word)


def command(stage: str, word: str = "ENTRYPOINT") -> list[str]:
    """The words of an instruction in exec form; a shell form fails."""
    words: list[str] = json.loads(re.sub(r"^.*?CMD (?=\[)", "", last(stage, word)))
    return words


def settings(stage: str) -> dict[str, str]:
    """The settings of the gateway that a stage makes, by their variables."""
    return {name: value for name, value in environment(stage).items() if name.startswith("SIGNET_")}


def environment(stage: str) -> dict[str, str]:
    """The variables that a stage sets."""
    return dict(re.findall(r"(\w+)=(\S+)", " ".join(rest for word, rest in stages()[stage] if word == "ENV")))
