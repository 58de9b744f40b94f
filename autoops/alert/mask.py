"""Secrets of a channel's address, taken out of whatever is said about it. Pure.

Of most services any part of the address is a key: user, password, host, path, query. Of the plain ones (http, mail) the host may be
said, so that an error can be understood.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import unquote, urlsplit

from autoops import names
from autoops.core.redact import REMOVED, redact

_HOST_IS_PUBLIC = ("http", "https", "mailto", "mailtos", "json", "jsons", "xml", "xmls", "form", "forms")
_LEAST = 4  # characters: shorter ones are words of every sentence
_SAID_CHARACTERS = 400


def shown(url: str) -> str:
    """Return an address for people: scheme and, where it is no secret, host."""
    scheme, host = _scheme(url), host_of(url)
    return f"{scheme}://{host}/{REMOVED}" if host else f"{scheme}://{REMOVED}"


def host_of(url: str) -> str:
    """Return the host of an address, "" where that is a secret, or none."""
    return _host(url) if _scheme(url) in _HOST_IS_PUBLIC else ""


def secrets_of(url: str) -> frozenset[str]:
    """Return the parts of an address that nobody is to see, also as they are when decoded."""
    scheme, _, rest = url.partition("://")
    public = {_host(url)} if scheme.lower() in _HOST_IS_PUBLIC else set()
    parts = {rest, *re.split(r"[/?#&=@:,;+]", rest)}
    return frozenset(one for part in parts for one in (part, unquote(part)) if len(one) >= _LEAST and one.lower() not in public)


def masked(text: str, secrets: Collection[str]) -> str:
    """Return text for people, one line that is not endless, without these secrets and without what looks like one."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, REMOVED)
    return names.show(redact(text))[:_SAID_CHARACTERS]


def _scheme(url: str) -> str:
    return names.show(url.partition("://")[0].lower())[:20]


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:  # no address at all
        return ""
