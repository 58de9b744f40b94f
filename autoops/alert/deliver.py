"""Delivery: each channel sends one message at a time, in a child process with a time limit; so none holds up another.

Reads and writes the outbox; starts processes (send.py).
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from autoops import log
from autoops.alert import mask, message
from autoops.alert.channels import Channel
from autoops.alert.message import Message
from autoops.model import JSON
from autoops.runtime.child import Child
from autoops.store.outbox import Claim, Outbox, Retry
from autoops.trace import trace

_GRACE_S = 5.0  # over the channel's own limit: a child has to start, too
_LEASE_S = 30.0  # over that
_ANSWER_BYTES = 65536
_TOOK_TOO_LONG = "it took too long"
# What a sender needs of our environment; above all no proxy, which would connect in our place.
_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "LANG", "TZ", "HOME", "SSL_CERT_FILE", "SSL_CERT_DIR")

Compose = Callable[[Claim], Message]


class Sending:
    """One message on its way to one channel."""

    def __init__(self, channel: Channel, told: Message) -> None:
        """Start it."""
        self._channel, self._answer = channel, b""
        self._until_s = time.monotonic() + channel.timeout_s + _GRACE_S
        self._fault = channel.fault
        if not self._fault:
            self._start(told)

    def _start(self, told: Message) -> None:
        environment = {key: os.environ[key] for key in _ENVIRONMENT if key in os.environ}
        try:
            self._child = Child([sys.executable, "-m", "autoops.alert.send"], environment=environment)
        except OSError as error:
            self._fault = f"its sender cannot be started: {error.strerror}"
            return
        try:
            self._child.write(json.dumps(_order(self._channel, told)).encode(), self._until_s)
            self._child.close_input()
        except (BrokenPipeError, TimeoutError):
            pass  # it has died, or will be killed: what it said last is why

    def poll(self) -> str | None:
        """Return what went wrong, "" when the message was taken, None while it is on its way."""
        if self._fault:
            return self._masked(self._fault)
        while part := self._child.read(_ANSWER_BYTES):
            self._answer = (self._answer + part)[:_ANSWER_BYTES]
        if self._child.ended() is None:
            return None if time.monotonic() < self._until_s else f"{_TOOK_TOO_LONG}: {self._channel.timeout_s:g} s"
        while part := self._child.read(_ANSWER_BYTES):
            self._answer = (self._answer + part)[:_ANSWER_BYTES]
        try:
            return self._masked(str(json.loads(self._answer)["wrong"]))
        except (ValueError, LookupError, TypeError):
            return self._masked(f"its sender fell over: {self._child.last_words()}")

    def close(self) -> None:
        """End it."""
        if not self._fault:
            self._child.close()

    def _masked(self, said: str) -> str:
        return mask.masked(said, self._channel.secrets)


class _Flight(NamedTuple):
    claim: Claim
    sending: Sending


class Deliverer:
    """What is on its way from one outbox."""

    def __init__(self, outbox: Outbox, channels: Sequence[Channel], retry: Retry, compose: Compose) -> None:
        self._outbox, self._channels, self._retry, self._compose = outbox, channels, retry, compose
        self._flights: dict[str, _Flight] = {}
        self._failed: set[str] = set()  # channels that took something not; whatever waits for them is left to a later run

    def pump(self) -> bool:
        """Take in what has ended, and send what is due; return whether anything is on its way. Raises StorageError."""
        for name, flight in list(self._flights.items()):
            wrong = flight.sending.poll()
            if wrong is not None:
                trace("outbox:delivered")
                flight.sending.close()
                del self._flights[name]
                self._settle(flight.claim, wrong)
        for channel in self._channels:
            if channel.name not in self._flights and channel.name not in self._failed:
                lease_s = channel.timeout_s + _GRACE_S + _LEASE_S
                claim = self._outbox.claim(channel.name, lease_s, int(time.time()), self._retry.longest_s)
                if claim:
                    self._flights[channel.name] = _Flight(claim, Sending(channel, self._compose(claim)))
        return bool(self._flights)

    def _settle(self, claim: Claim, wrong: str) -> None:
        held = self._outbox.settle(claim, sent=not wrong, detail=wrong or "taken", now_s=int(time.time()), retry=self._retry)
        if not held:
            log.emit("lease_lost", kind="message", path=claim.channel)
        elif wrong:
            self._failed.add(claim.channel)
            log.emit("delivery_failed", channel=claim.channel, message=claim.id, attempt=claim.attempt, reason=wrong)
        else:
            log.emit("message_delivered", channel=claim.channel, message=claim.id, severity=claim.severity)

    def close(self) -> None:
        """End what is on its way; it is tried again."""
        for flight in self._flights.values():
            flight.sending.close()
        self._flights.clear()


def send_now(channel: Channel, told: Message, look_s: float = 0.05) -> str:
    """Send one message and wait for it, without the outbox; return what went wrong, "" when it was taken."""
    sending = Sending(channel, told)
    try:
        while (wrong := sending.poll()) is None:
            time.sleep(look_s)
        return wrong
    finally:
        sending.close()


def _order(channel: Channel, told: Message) -> JSON:
    order: JSON = {"kind": channel.kind, "url": channel.url, "allow_private": channel.allow_private, "timeout_s": channel.timeout_s}
    if channel.kind == "alertmanager":
        number = told.number or os.urandom(8).hex()  # who drops what is doubled must not drop what is told without the outbox
        return order | {"key": f"{told.host}-{number}", "payload": message.webhook(told)}
    order |= {"title": message.title(told), "body": message.body(told), "mood": message.mood(told)}
    return order | {"attach": told.letter.page if told.letter else ""}
