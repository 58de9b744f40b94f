"""Playbooks on a disk that is full to the last byte: queue.db cannot be written, and what makes room must not wait for that.

Only playbooks for the check "disk" are carried out then. What is known is read from queue.db, if it can be read; what is done goes
into a small file on another file system (systemd's RUNTIME_DIRECTORY, which is in memory) before it is done, and from there into
queue.db as soon as there is room: so all bounds hold as ever. A file that cannot be understood stands for "nothing more", until it
is removed.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

from autoops.config import PlaybookConfig
from autoops.log import emit
from autoops.model import JSON
from autoops.playbook.decide import Limits, Verdict, decide
from autoops.playbook.perform import Settings, objection, perform
from autoops.runtime import maintenance
from autoops.store.database import Database
from autoops.store.playbooks import Playbooks, Run
from autoops.store.queue import SCHEMA as QUEUE

_MOST_BYTES = 1 << 20
_TROUBLE = ("health", "disk")


class Spare:
    """The runs that queue.db does not have yet, in a file that is open: whoever opened it may be another user than who goes on."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def open(cls, environment: Mapping[str, str]) -> Spare | None:
        """Open the file in RUNTIME_DIRECTORY; None where systemd gave us none. Raises OSError."""
        given = environment.get("RUNTIME_DIRECTORY")
        if not given:
            return None
        path = Path(given.split(":")[0]) / "playbooks.emergency"
        return cls(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))

    def read(self) -> list[Run] | None:
        """Return the runs, None when the file is not as it was written."""
        raw = os.pread(self._descriptor, _MOST_BYTES, 0)
        try:
            return [_run(facts) for facts in json.loads(raw)] if raw else []
        except (ValueError, KeyError, TypeError):
            return None

    def write(self, runs: list[Run]) -> None:
        """Keep these runs instead. Raises OSError."""
        data = json.dumps([run._asdict() for run in runs]).encode() if runs else b""
        os.pwrite(self._descriptor, data, 0)
        os.ftruncate(self._descriptor, len(data))


def _run(facts: JSON) -> Run:
    return Run(**{key: facts[key] for key in Run._fields})


def carry_out_due(settings: Settings, spare: Spare) -> None:
    """Carry out what makes room and is due. Raises StorageError when queue.db cannot even be read, OSError."""
    for one in settings.config.playbook_tables:
        if one.trouble[:2] != _TROUBLE or maintenance.is_set(settings.state.flag):
            continue
        verdict = _verdict(settings, spare, one)
        emit("playbooks_without_store", playbook=one.name, action=verdict.action, reason=verdict.reason)
        if verdict.action == "run" and not objection(settings, verdict):
            _carry_out(settings, spare, verdict)


def _verdict(settings: Settings, spare: Spare, one: PlaybookConfig) -> Verdict:
    now_s, runs = int(time.time()), spare.read()
    if runs is None:
        return Verdict(one, "held", "what was done without queue.db cannot be read")
    with Database.open(settings.state.queue_db, QUEUE, mode="ro") as database:
        books = Playbooks(database)
        known, total = books.known([one.name], now_s)[one.name], books.total(now_s)
    known = known._replace(recent=(*known.recent, *(run for run in runs if run.playbook == one.name)))
    limits = Limits(settings.config.playbooks.at_most, total + len(runs))
    (verdict,) = decide([one], settings.look([one]), {one.name: known}, limits, now_s)
    return verdict


def _carry_out(settings: Settings, spare: Spare, verdict: Verdict) -> None:
    assert verdict.trouble is not None
    before = spare.read() or []
    run = Run(0, verdict.playbook.name, verdict.playbook.remedy, verdict.trouble.label, int(time.time()))
    spare.write([*before, run])
    fault = perform(settings, verdict)
    spare.write([*before, run._replace(ended_s=int(time.time()), outcome="failed" if fault else "good", detail=fault)])
