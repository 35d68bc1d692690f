"""Variables SIGNET_… that nothing reads: a misspelt one would be ignored without a word.

os.environ ── those of options ── those of `Settings` ── those of Kubernetes' Services ──▶ a line for what is left
"""

import difflib
import os
import re
from collections.abc import Collection, Iterator
from typing import Any

from signet.clients.client.connecting import KEY_VARIABLE, TOKEN_VARIABLE, URL_VARIABLE

_PREFIX = "SIGNET_"
_OTHERS = frozenset({URL_VARIABLE, TOKEN_VARIABLE, KEY_VARIABLE})
_OF_SERVICES = re.compile(
    r"SIGNET_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?|(?P<port>PORT))"
)
"""What Kubernetes tells each container of Services whose names begin with `signet`."""
_MOST_SHOWN = 80


def unknown(context: Any) -> Iterator[str]:
    """A sentence for each variable that no option and no setting has. context: of the outermost command."""
    names = {name for name in os.environ if name.startswith(_PREFIX)} - _OTHERS
    if not names:
        return
    known = _OTHERS | set(_of_options(context.command))
    if names <= known:
        return
    try:  # what takes a while to be read is read only now
        from signet.serving.gateway.settings import variables
    except ModuleNotFoundError:  # there is no gateway here, so its settings are somebody else's
        return
    known |= set(variables())
    for name in sorted(names - known):
        if not _is_of_service(name):
            yield f"the variable {name[:_MOST_SHOWN]} is none that is read{_hint(name, known)}"


def _is_of_service(name: str) -> bool:
    match = _OF_SERVICES.fullmatch(name)
    return match is not None and (not match["port"] or "://" in os.environ.get(name, ""))


def _of_options(command: Any) -> Iterator[str]:
    """The variables of a command's options and of its sub-commands'."""
    for parameter in command.params:
        names = parameter.envvar or ()
        yield from (names,) if isinstance(names, str) else names
    for sub_command in getattr(command, "commands", {}).values():
        yield from _of_options(sub_command)


def _hint(name: str, known: Collection[str]) -> str:
    shorter = {other.removeprefix(_PREFIX): other for other in known}
    near = difflib.get_close_matches(name.removeprefix(_PREFIX), shorter, n=1)
    return f" (did you mean {shorter[near[0]]}?)" if near else ""
