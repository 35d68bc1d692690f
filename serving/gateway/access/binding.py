"""Whether the API ports may be opened where strangers reach them: with keys, or where somebody says that this is meant so."""

import ipaddress
import logging

from signet.serving.errors import UsageError
from signet.serving.gateway.settings import Settings

log = logging.getLogger(__name__)


def check(settings: Settings) -> None:
    """Raise `UsageError` for API ports that other machines would reach without a key, unless they are meant to.

    The admin port is another matter: it tells how the service is, and answers for no model.
    """
    if settings.keys is not None or is_loopback(settings.host):
        return
    if not settings.insecure:
        raise UsageError(
            f"at {settings.host} other machines could use the API without a key: make one with `signet keys add NAME --file "
            "keys.jsonl` and start with --keys keys.jsonl; or say --insecure where something in front keeps strangers out"
        )
    log.warning("the API at %s asks for no keys (--insecure): whoever reaches it may use it", settings.host)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there. Names but `localhost` may mean anything."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
