"""From what was found on the disk to a commit: gather what is known, decide, commit, and what follows from it.

The decision is core.identity's; here are only its inputs and its effects. For a root whose policy is `observe` the effects are
rows in the dry-run report and nothing else. Reads the registry and the watched trees; writes the registry and queue.db.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import cast

from autoops.config import RootConfig
from autoops.core.drift import REGISTRY_EDITED, evidence_of
from autoops.core.hints import rename_facts
from autoops.core.histogram import Meter
from autoops.core.identity import Verdict, decide, is_doubtful
from autoops.core.view import Place, Sighting, View
from autoops.errors import EditedPastLedger
from autoops.model import PRIORITY_LIVE, PRIORITY_RETRY, Change, Work, path_key
from autoops.store.commit import Committed, RegistryWriter, Why
from autoops.store.findings import Findings
from autoops.store.measured import CHANGE, COMMIT, DETECT, ENTRIES, HASHED
from autoops.store.queue import Queue
from autoops.walk.absence import Absences
from autoops.walk.gather import entries_at, view_of
from autoops.walk.scan import Effects
from autoops.walk.untouched import split_corrupt
from autoops.work import links
from autoops.work.checkpoints import Checkpoints
from autoops.work.notes import PLACE_KINDS, Notes
from autoops.work.rehearsal import Rehearsal
from autoops.work.renames import Renames
from autoops.work.reporting import report
from autoops.work.undone import Undone

_ASK_AGAIN_S = 0.3  # a deferred decision: by then the other half of a move has been seen


class Register:
    """Stage one for the worker: takes what was found, leaves a commit."""

    def __init__(
        self,
        registry: RegistryWriter,
        queue: Queue,
        notes: Notes,
        rehearsal: Rehearsal,
        absences: Absences,
        checkpoints: Checkpoints,
        configured: Mapping[str, RootConfig],
        undone: Undone,
        findings: Findings,
        meter: Meter,
    ) -> None:
        self._registry, self._queue, self.notes, self.rehearsal = registry, queue, notes, rehearsal
        self._checkpoints, self.absences, self.undone = checkpoints, absences, undone
        self._roots, self._findings, self.meter = configured, findings, meter
        self._places = {name: root.path for name, root in configured.items()}
        self.renames = Renames(registry, notes, configured)
        self.on_pending: Callable[[], None] = lambda: None

    def take(
        self,
        found: Sequence[Sighting],
        source: str,
        reason: str,
        overtaken: Callable[[Sequence[Sighting]], Collection[Place]] | None = None,
        due_s: Mapping[Place, float] | None = None,
    ) -> Effects:
        """Bring the registry up to what was found. All of it is one ledger record.

        `overtaken`: asked about what is doubtful; the places it returns are left out, for they will be looked at again.
        `due_s`: when the jobs about single paths were due, in seconds since 1970.
        """
        self.meter.add(HASHED, sum(one.seen.size_bytes for one in found if one.seen and one.ctime_ns and one.seen.kind == "file"))
        # What lies in the place of a root would make it look like the root, and the rest of the root like deleted.
        here = {root for root in {one.root for one in found} if root in self._roots and not self.absences.is_lost(root)}
        found = self.absences.believable([one for one in found if one.root in here])
        if not found:
            return Effects(0, 0)
        view = self._view(found)
        doubtful = [one for one in found if is_doubtful(one, view)] if overtaken else []
        if overtaken and doubtful and (late := overtaken(doubtful)):
            found = [one for one in found if one.place not in late]
            view = self._view(found)
        verdicts = links.without_false(self._registry, self._places, decide(found, view, int(time.time())))
        verdicts, corrupt = split_corrupt(self._registry, verdicts)
        self._note_contents(verdicts, corrupt)
        self._note_troubles(found)
        self._follow_up(verdicts)
        wanted = [one.change for one in verdicts if one.change and one.sighting.root not in self.rehearsal.roots]
        changes = self.undone.allowed(wanted)
        self._close_left_behind(changes)
        self.notes.flush()
        rehearsed = self.rehearsal.record(verdicts)
        self._note_same(verdicts)
        committed = self.commit_sound(changes, Why("worker", source, reason)) if changes else []
        self._measure(committed, due_s or {})
        self.notes.settle(_settled(verdicts, committed))
        missing = sum(1 for change in changes if change.after.status == "missing")
        return Effects(len(changes) + rehearsed, missing)

    def _measure(self, committed: Sequence[Change], due_s: Mapping[Place, float]) -> None:
        """Measure how long it took from an edit on the disk until the job about it was due, and until it was committed.

        (Of a new file the disk does not say when it came here: with a directory that was moved here, it may be years old.)
        """
        for change in committed if due_s else ():
            at_s = due_s.get((change.after.root, change.after.path))
            if at_s is not None and change.ctime_ns and _is_edit(change):
                changed_s = abs(change.ctime_ns) / 1e9
                self.meter.add(DETECT, at_s - changed_s)
                self.meter.add(CHANGE, time.time() - changed_s)

    def _view(self, found: Sequence[Sighting]) -> View:
        return view_of(self._registry, self._places, found, self.absences.is_lost, self._queue.on_their_way)

    def commit(self, changes: Sequence[Change], why: Why) -> Committed:
        """Commit, report and follow up. Raises PreconditionFailed, EditedPastLedger."""
        began_s = time.perf_counter()
        done = self._registry.commit(changes, why, time.time())
        self.meter.add(COMMIT, time.perf_counter() - began_s)
        self.meter.add(ENTRIES, len(changes))
        report(changes, done, why)
        self._checkpoints.due = True
        self.on_pending()
        if any(root.policy == "rename" for root in self._roots.values()):
            self.renames.perform(done.entries, self.commit_sound)
        return done

    def commit_sound(self, changes: Sequence[Change], why: Why) -> list[Change]:
        """Commit what may be committed; return it. What was edited past the ledger is left as it is, and told."""
        try:
            self.commit(changes, why)
        except EditedPastLedger as error:
            edited = set(cast("list[str]", error.facts["ids"]))
            self._findings.open(
                [(REGISTRY_EDITED, entry_id.encode(), {"said": str(error)}) for entry_id in edited], int(time.time())
            )
            changes = [change for change in changes if change.after.id not in edited]
            return self.commit_sound(changes, why) if changes else []
        return list(changes)

    @property
    def root_names(self) -> Collection[str]:
        """The configured roots."""
        return self._roots.keys()

    def path_of(self, root: str) -> bytes:
        """Return where a configured root is."""
        return self._roots[root].path

    # what follows

    def _note_same(self, verdicts: Sequence[Verdict]) -> None:
        """Remember what was read again and found to be as registered, so that it is not read a third time."""
        again = [one.sighting for one in verdicts if not one.change and not one.deferred and one.sighting.ctime_ns]
        entries = {(entry.root, entry.path): entry for entry in entries_at(self._registry, again)} if again else {}
        seen = []
        for sighting in again:
            entry = entries.get((sighting.root, sighting.path))
            if entry and not sighting.unreadable and entry.observation == sighting.seen:
                seen.append((entry.id, sighting.ctime_ns))
        if seen:
            self._registry.saw_again(seen, time.time())

    def _follow_up(self, verdicts: Sequence[Verdict]) -> None:
        works = []
        for verdict in verdicts:
            sighting = verdict.sighting
            if verdict.deferred:  # of one urgency, so that the newest word on when holds for both, and they are looked at together
                facts = rename_facts(sighting.moved_from, sighting.vacated) | {"asked": sighting.asked + 1}
                works.append(Work("path", path_key(*sighting.place), PRIORITY_LIVE, facts, _ASK_AGAIN_S))
                if verdict.beside:
                    works.append(Work("path", path_key(*verdict.beside), PRIORITY_LIVE, None, _ASK_AGAIN_S))
            if verdict.change and "replaced_by" in verdict.change.evidence:
                lost = self._registry.by_id([verdict.change.evidence["replaced_by"]])
                works += [Work("path", path_key(entry.root, entry.path), PRIORITY_RETRY) for entry in lost.values()]
            if verdict.finding:
                self.notes.open("duplicate_id", sighting.root, sighting.path, verdict.finding.detail)
        works += links.other_names(self._registry, verdicts)
        if works:
            self._queue.enqueue(works)

    def _close_left_behind(self, changes: Sequence[Change]) -> None:
        """Close what was noted about a path where its document no longer is."""
        for change in changes if self.notes.any else ():
            before, after = change.before, change.after
            if before and (after.status != "active" or (before.root, before.path) != (after.root, after.path)):
                for kind in PLACE_KINDS:
                    self.notes.close(kind, before.root, before.path)

    def _note_contents(self, sound: Sequence[Verdict], corrupt: Sequence[Verdict]) -> None:
        """Tell of contents that changed by themselves; the registry keeps what was written."""
        for verdict in sound if self.notes.any else ():
            if verdict.sighting.ctime_ns:
                self.notes.close("corrupt", *verdict.sighting.place)
        for verdict in corrupt:
            assert verdict.change
            self.notes.open("corrupt", *verdict.sighting.place, evidence_of(verdict.change))

    def _note_troubles(self, found: Sequence[Sighting]) -> None:
        any_stand = self.notes.any
        for one in found:
            if one.unreadable:
                self.notes.open("unreadable", one.root, one.path, {"reason": one.unreadable})
            elif any_stand:
                self.notes.close("unreadable", one.root, one.path)


def _settled(verdicts: Sequence[Verdict], committed: Sequence[Change]) -> Iterator[Place]:
    """Yield the places of what was looked at and needed no change, or got it; and those that a document has left."""
    same = {one.sighting.place for one in verdicts if one.change is None and not one.deferred and not one.sighting.unreadable}
    entries = [entry for change in committed for entry in (change.before, change.after) if entry]
    yield from same | {(entry.root, entry.path) for entry in entries}


def _is_edit(change: Change) -> bool:
    """Tell whether the content of a document changed that was there, and stayed where it was."""
    before, after = change.before, change.after
    if before is None or (before.root, before.path, before.status) != (after.root, after.path, "active"):
        return False
    return before.observation.sha256 != after.observation.sha256
