"""Patch jobs: what people and programs submit, and rollbacks. Applied whole or refused whole, each at most once.

Note jobs too: what the ledger is to say without a change of any entry, that an older state was put back, say.
"""

from __future__ import annotations

import time

from autoops.core import patch as patches
from autoops.errors import NotFound, PreconditionFailed, Refused
from autoops.log import emit
from autoops.model import JSON, Change, Job
from autoops.store.commit import RegistryWriter, Why
from autoops.store.measured import ROLLBACK
from autoops.store.past import past_of
from autoops.store.queue import Queue
from autoops.store.records import id_of, patches_of, said_by
from autoops.store.registry import Registry
from autoops.work.register import Register


class Patches:
    """Applies submitted patches."""

    def __init__(self, registry: RegistryWriter, queue: Queue, register: Register) -> None:
        self._registry, self._queue, self._register = registry, queue, register

    def perform(self, job: Job) -> None:
        """Apply one patch or note job and complete it; a refused one becomes a dead letter with the reason."""
        submission = job.key.decode()
        try:
            if self._registry.sequence_of(submission) is None:  # else a crash came between commit and completion
                if job.kind == "note":
                    self._note(job.facts, submission)
                else:
                    self._apply(job.facts, submission)
        except (Refused, NotFound) as error:
            emit("patch_refused", key=submission, reason=str(error))
            self._queue.fail(job, str(error), retry=False)
            return
        self._queue.complete([job])

    def _note(self, facts: JSON, submission: str) -> None:
        self._register.commit((), Why(str(facts["actor"]), str(facts["source"]), str(facts["reason"]), submission))

    def _apply(self, facts: JSON, submission: str) -> None:
        actor = str(facts["actor"])
        now_s, undone = int(time.time()), ""
        if "rollback" in facts:
            changes, reason, undone = undo(self._registry, str(facts["rollback"]), actor, now_s)
        else:
            patch = patches.read(str(facts["patch"]))
            digest = self._registry.ledger_head.digest.hex()
            changes = patches.resolve(patch, self._registry.by_id(patch.ids), digest, actor, now_s)
            reason = patch.reason or "submitted"
        self._require_free_paths(changes)
        if changes:
            why = Why(f"operator:{actor}", f"patch:{submission}", reason, submission)
            done = self._register.commit(changes, why)
            if "rollback" in facts:
                emit("rolled_back", sequence=done.head.sequence)
                self._register.meter.add(ROLLBACK, 1)
            if "rollback" in facts and undone == "worker":  # what a person did, only a person does again
                self._register.undone.remember(changes, done.head.sequence)
            else:
                self._register.undone.forget(changes)

    def _require_free_paths(self, changes: list[Change]) -> None:
        """Refuse to put a document at a path where another one lives."""
        own = {change.after.id for change in changes}
        for change in changes:
            if change.after.status == "retired":
                continue
            for other in self._registry.at(change.after.root, [change.after.path]):
                if other.id not in own:
                    raise PreconditionFailed(what=f"the path of {change.after.id}", wanted="free", found=f"taken by {other.id}")


def undo(registry: Registry, what: str, actor: str, now_s: int) -> tuple[list[Change], str, str]:
    """Return the changes that undo a commit, or an entry's last change; why; and who had made it."""
    only = what if len(what) == 16 else None
    sequence = _last_commit(registry, only) if only else int(what)
    record = registry.record(sequence) if len(what) <= 18 else None
    if record is None:
        raise NotFound(what=f"commit {sequence}")
    touched = {id_of(patch): patch for patch in patches_of(record) if only in (None, id_of(patch))}
    before = past_of(registry, touched, sequence - 1)
    past = {entry_id: before[entry_id].value if entry_id in before else None for entry_id in touched}
    entries = registry.by_id(touched)
    changes = patches.undo(touched, entries, past, actor, sequence, now_s)
    reason = f"rollback of commit {sequence}" + (f" for {only}" if only else "")
    return changes, reason, said_by(record).actor


def _last_commit(registry: Registry, entry_id: str) -> int:
    history = registry.history(entry_id)
    if not history:
        raise NotFound(what=entry_id)
    return history[-1][1]
