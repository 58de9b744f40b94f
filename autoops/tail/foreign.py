"""One configured checkpoint of others: its file's newest digest against what its provider says.

What happens, in order: a new line, or time, has the provider asked; when both disagree and `refresh` is on, once for this very
disagreement every root is scanned and the refresh command run, and the provider asked again; only then the finding is opened, with
the entries that differ when the provider has a tree. A later look that agrees closes it. Guarantee: no call waits. Reads the file
and the backlog; starts child processes; enqueues scans; what is found goes to notes.py.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from autoops import names
from autoops.config import CheckpointConfig, RefreshConfig
from autoops.core.spoken import counted
from autoops.files.inotify import FileWatch
from autoops.log import emit
from autoops.model import JSON
from autoops.tail import notes
from autoops.tail.asking import Answer, Asking, digest_in, lists_command, lists_in, provider_command
from autoops.tail.newest import Newest, newest
from autoops.tail.notes import Notes

POLL_S = 5.0
RETRY_S = 60.0  # after a provider that failed, and while a disagreement stands
LOOK_S = 0.5  # at the backlog, and at a child whose output is over

Stage = Literal["resting", "asking", "refreshing", "commanding", "asking again", "listing"]


class Work(NamedTuple):
    """What a foreign checkpoint needs of the tailer."""

    refresh: RefreshConfig
    scan: Callable[[], int]  # enqueue scans of every root, and return the horizon behind which they are done
    unfinished: Callable[[int], int]  # how many jobs up to a horizon are left
    state: Path


class Foreign:
    """The watch over one configured checkpoint."""

    def __init__(self, one: CheckpointConfig, work: Work, found: Notes) -> None:
        self._one, self._work, self._notes = one, work, found
        self._file, self.subject = Path(os.fsdecode(one.file)), one.name.encode()
        self.stage: Stage = "resting"
        self._asking: Asking | None = None
        self._newest = Newest()
        self._said = ""  # what the provider said last
        self._refreshed = found.stands(notes.MISMATCH, self.subject)  # for this disagreement, which goes on until both agree
        self._how_refreshed = ""
        self._horizon, self._until_s = 0, 0.0
        self._poll_due_s = self._ask_due_s = 0.0
        self._met_s = 0.0  # when this disagreement was met first
        try:
            self._watch: FileWatch | None = FileWatch(one.file)
        except OSError:  # its directory is not there, or no watch is left: it is looked at every few seconds
            self._watch = None

    def filenos(self) -> list[int]:
        """Return the descriptors that mean that something is to be done when they are readable."""
        asked = self._asking.fileno() if self._asking else None
        return [fileno for fileno in (self._watch.fileno() if self._watch else None, asked) if fileno is not None]

    def step(self, now_s: float) -> float:
        """Do what can be done now; return the seconds until something may be to do. `now_s` is since 1970."""
        stirred = self._watch.drain() if self._watch else False
        if stirred or time.monotonic() >= self._poll_due_s:
            self._look(now_s)
        match self.stage:
            case "resting":
                if self._newest.digest and time.monotonic() >= self._ask_due_s:
                    self._ask("asking")
            case "refreshing":
                self._refreshing()
            case _:
                self._hear(now_s)
        return self._wait_s()

    def _wait_s(self) -> float:
        if self.stage == "resting":
            due_s = min(self._poll_due_s, self._ask_due_s) if self._newest.digest else self._poll_due_s
            return max(0.0, due_s - time.monotonic())
        return LOOK_S

    # the file

    def _look(self, now_s: float) -> None:
        """See which digest is the newest, and whether it is new enough."""
        self._poll_due_s = time.monotonic() + POLL_S
        before, self._newest = self._newest, newest(self._file, self._one.digest_key)
        if self._newest.digest != before.digest:
            self._ask_due_s = 0.0
        detail = staleness(self._newest, now_s, self._one.stale_after_s)
        if detail:
            self._notes.found(notes.STALE, self.subject, {"file": names.text(self._one.file), **detail}, now_s)
        else:
            self._notes.settled(notes.STALE, self.subject, now_s)

    # the provider

    def _ask(self, stage: Stage) -> None:
        self.stage = stage
        self._start(provider_command(self._one), self._one.timeout_s)

    def _start(self, command: list[str], timeout_s: float, good: tuple[int, ...] = (0,)) -> None:
        if self._asking:
            self._asking.close()
        self._asking = Asking(command, timeout_s, good)

    def _hear(self, now_s: float) -> None:
        """Take what the child has said, when it has."""
        if self._asking is None:  # the step before this one was broken off, by a database that was locked
            self._rest(0.0)
            return
        answer = self._asking.poll()
        if answer is None:
            return
        self._asking = None
        match self.stage:
            case "commanding":
                self._how_refreshed = (
                    f"scanned; the command failed: {answer.error}" if answer.error else "scanned, and the command run"
                )
                self._ask("asking again")
            case "listing":
                lists = {"lists": f"cannot tell: {answer.error}"} if answer.error else lists_in(answer.content)
                self._disagrees(lists, now_s)
            case _:
                self._judge(answer, now_s)

    def _judge(self, answer: Answer, now_s: float) -> None:
        """Compare what the provider says with the newest line there is now."""
        digest = "" if answer.error else digest_in(answer.content, self._one.digest_key)
        if not digest:
            said = answer.error or f"no digest in its answer: {names.show(answer.content[:60])}"
            self._notes.found(notes.PROVIDER, self.subject, {"error": said, "provider": provider_of(self._one)}, now_s)
            self._rest(RETRY_S)
            return
        self._notes.settled(notes.PROVIDER, self.subject, now_s)
        asked_about = self._newest.digest
        self._look(now_s)
        self._said = digest
        if digest == self._newest.digest:
            self._met_s, self._refreshed, self._how_refreshed = 0.0, False, ""
            self._notes.settled(notes.MISMATCH, self.subject, now_s)
            self._rest(self._one.interval_s)
        elif self._newest.digest != asked_about:  # the file has gone on meanwhile
            self._rest(0.0)
        else:
            self._met_s = self._met_s or now_s
            self._differs(now_s)

    def _rest(self, ask_after_s: float) -> None:
        self.stage, self._ask_due_s = "resting", time.monotonic() + ask_after_s

    # a disagreement

    def _differs(self, now_s: float) -> None:
        """Refresh once for this disagreement; then list what differs, if the provider can, and say it."""
        if self._work.refresh.enabled and not self._refreshed:
            self._horizon, self._until_s = self._work.scan(), time.monotonic() + self._work.refresh.wait_s
            self._refreshed, self.stage = True, "refreshing"
            emit("refresh_started", checkpoint=self._one.name)
            return
        command = lists_command(self._one, self._work.state)
        if not command:
            self._disagrees({}, now_s)
            return
        self.stage = "listing"
        self._start(command, 2 * self._one.timeout_s, good=(0, 1))

    def _refreshing(self) -> None:
        """Wait for the scans; then run the command, if there is one, and ask again."""
        left = self._work.unfinished(self._horizon)
        if left and time.monotonic() < self._until_s:
            return
        self._how_refreshed = f"not done in time: {counted(left, 'job')} of the scan" if left else "scanned"
        if self._work.refresh.command:
            self.stage = "commanding"
            self._start(list(self._work.refresh.command), self._work.refresh.wait_s)
        else:
            self._ask("asking again")

    def _disagrees(self, lists: JSON, now_s: float) -> None:
        detail: JSON = {"file": names.text(self._one.file), "line": self._newest.digest, "provider": self._said, **lists}
        if self._how_refreshed:
            detail["refresh"] = self._how_refreshed
        is_new = self._notes.found(notes.MISMATCH, self.subject, detail, now_s)
        if is_new and self._newest.at_s <= self._met_s:
            self._notes.took(notes.DETECTION, [self._met_s - self._newest.at_s], now_s)
        self._rest(min(RETRY_S, self._one.interval_s))

    def close(self) -> None:
        """End what runs, and give the watch back."""
        if self._asking:
            self._asking.close()
        if self._watch:
            self._watch.close()


def staleness(found: Newest, now_s: float, stale_after_s: float) -> JSON | None:
    """Return what is wrong with the age of the newest line, None when it is new enough."""
    if not found.digest:
        return {"reason": found.trouble}
    if now_s - found.at_s > stale_after_s:
        return {"reason": f"its newest digest is older than {stale_after_s:g} s", "since_s": int(found.at_s)}
    return None


def provider_of(one: CheckpointConfig) -> str:
    """Return who is asked, in a word or two."""
    return one.url or one.export or names.show(one.command[0])
