"""Send a text through Apprise, which is loaded here and nowhere else: it is an optional dependency, of channels of that kind alone.

Talks to the network, by whatever Apprise does for the scheme of an address (mail, ntfy, chat services). github.com/caronc/apprise
"""

from __future__ import annotations

import importlib.util
import logging

MISSING = 'apprise is not installed, which channels of kind "apprise" need: apt install apprise'


def is_installed() -> bool:
    """Tell whether there is an Apprise."""
    return importlib.util.find_spec("apprise") is not None


def relay(url: str, title: str, body: str, mood: str, attach: str = "") -> str:
    """Send one message; return what is wrong, "" when it was taken. `mood`: "failure", "warning", "info" or "success".

    attach: a file to go with it; where a service takes none, Apprise sends the text alone.
    """
    if not is_installed():
        return MISSING
    import apprise

    logger, said = logging.getLogger("apprise"), _Said()
    logger.addHandler(said)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    target = apprise.Apprise()
    if not target.add(url):
        return "Apprise does not know such an address: " + (said.last or "see github.com/caronc/apprise/wiki")
    taken = target.notify(body=body, title=title, notify_type=mood, body_format=apprise.NotifyFormat.TEXT, attach=attach or None)
    return "" if taken else (said.last or "Apprise does not say why it failed")


def flaw(url: str) -> str:
    """Return what is wrong with an address, as far as Apprise can tell without the network, "" when nothing is."""
    if not is_installed():
        return MISSING
    import apprise

    logging.getLogger("apprise").setLevel(logging.CRITICAL)
    return "" if apprise.Apprise().add(url) else "Apprise does not know such an address"


class _Said(logging.Handler):
    """Keeps the last thing that was said."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.last = record.getMessage()
