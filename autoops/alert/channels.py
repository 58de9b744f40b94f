"""Channels as they are used: the configuration's, with the addresses that are kept elsewhere. Reads credentials."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from autoops.alert import guard, mask
from autoops.alert.decide import Receiver
from autoops.config import ChannelConfig

PREFIX = "autoops-channel."  # of a credential's name
STORE = Path("/etc/credstore")  # where systemd finds credentials that a unit imports (systemd.exec(5))
_MOST_BYTES = 8192


class Channel(NamedTuple):
    """One channel. Its address is a secret: only send.py gets it."""

    name: str
    kind: str  # "apprise", "alertmanager"
    url: str
    allow_private: bool
    timeout_s: float
    fault: str = ""  # why there is no address

    @property
    def secrets(self) -> frozenset[str]:
        """What nobody is to see."""
        return mask.secrets_of(self.url)

    @property
    def refusal(self) -> str:
        """Why nobody will connect to it, as far as its address says that by itself; "" when it does not."""
        host = mask.host_of(self.url)
        number = "127.0.0.1" if host == "localhost" else host
        why = guard.refusal(number, allow_private=self.allow_private) if guard.is_number(number) else ""
        return f"nobody will connect to {host}: {why}" if why else ""


def channels_of(tables: Sequence[ChannelConfig]) -> list[Channel]:
    """Return the configured channels; one whose address cannot be read has a fault, and fails at each attempt with that."""
    return [_channel(table) for table in tables]


def receivers_of(tables: Sequence[ChannelConfig]) -> tuple[Receiver, ...]:
    """Return what deciding needs to know of the channels."""
    return tuple(Receiver(table.name, table.severities, table.escalation) for table in tables)


def _channel(table: ChannelConfig) -> Channel:
    url, fault = table.url, ""
    if table.url_credential:
        url, fault = _read(_place_of(table.url_credential))
    return Channel(table.name, table.kind, url, table.allow_private, table.timeout_s, fault)


def _place_of(credential: str) -> Path:
    """Return the file of a credential: itself, when it is a path; else the one that systemd gave us, or would give to the unit."""
    if credential.startswith("/"):
        return Path(credential)
    given = os.environ.get("CREDENTIALS_DIRECTORY")
    return (Path(given) if given else STORE) / (PREFIX + credential)


def _read(path: Path) -> tuple[str, str]:
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES).decode("utf-8", "replace").strip()
    except OSError as error:
        return "", f"its address cannot be read from {path}: {error.strerror}"
    return (text, "") if "://" in text and text.isprintable() else ("", f"{path} holds no address of one line")
