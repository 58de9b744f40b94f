"""Policy `rename`: the file's name gets the document's ID in front, `<ID>_<name>`.

The intent is written to the registry first, then the file is renamed without ever overwriting another, then the new path is
committed and the intent removed. After a crash in between, `resume` completes what was done and does what was not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase

from autoops import names
from autoops.config import RootConfig
from autoops.files import opening, rename
from autoops.log import emit
from autoops.model import Change, Entry
from autoops.store.commit import RegistryWriter, Why
from autoops.trace import trace
from autoops.work.notes import Notes

Commit = Callable[[Sequence[Change], Why], object]
_WHY = Why("worker", "rename", "the root's policy is to carry the ID in the file name")


class Renames:
    """Renames files of the roots whose policy says so."""

    def __init__(self, registry: RegistryWriter, notes: Notes, configured: Mapping[str, RootConfig]) -> None:
        self._registry, self._notes, self._roots = registry, notes, configured

    def perform(self, entries: Sequence[Entry], commit: Commit) -> None:
        """Rename what was just committed and does not carry its ID yet."""
        wanted = {entry.id: target for entry in entries if (target := self._target(entry)) and self._is_free(entry, target)}
        if wanted:
            self._registry.intend(wanted)
            trace("rename:intent")
            self._carry_out([entry for entry in entries if entry.id in wanted], wanted, commit)
        self._notes.flush()  # what cannot be renamed

    def resume(self, commit: Commit) -> None:
        """Complete or drop the renames that a crash interrupted; an intent that is not ours, or no longer, is dropped."""
        wanted = dict(self._registry.intents())
        if wanted:
            ours = [entry for entry in self._registry.by_id(wanted).values() if self._target(entry) == wanted[entry.id]]
            self._carry_out([entry for entry in ours if self._is_free(entry, wanted[entry.id])], wanted, commit)

    def _is_free(self, entry: Entry, target: bytes) -> bool:
        """Tell whether no other document lives at a path, be it a missing one, which may come back."""
        if all(other.id == entry.id for other in self._registry.at(entry.root, [target])):
            return True
        detail = {"id": entry.id, "reason": "another document lives at that path"}
        self._notes.open("not_renamed", entry.root, entry.path, detail)
        self._notes.flush()
        return False

    def _target(self, entry: Entry) -> bytes | None:
        root = self._roots.get(entry.root)
        if root is None or root.policy != "rename" or entry.status != "active" or entry.observation.kind != "file":
            return None
        parent, name = opening.parts(entry.path)
        if any(fnmatchcase(names.text(name), pattern) for pattern in root.rename_skip):
            return None
        new_name = rename.target_name(entry.id, name)
        if new_name is None:
            if not name.startswith(entry.id.encode()):
                detail = {"id": entry.id, "reason": "the name would be too long"}
                self._notes.open("not_renamed", entry.root, entry.path, detail)
            return None
        return parent + b"/" + new_name if parent else new_name

    def _carry_out(self, entries: Sequence[Entry], wanted: Mapping[str, bytes], commit: Commit) -> None:
        done = []
        for entry in entries:
            target = wanted[entry.id]
            if self._rename(entry, target):
                after = entry._replace(rev=entry.rev + 1, path=target)
                evidence = {"confidence": 100, "from": names.text(entry.path), "from_root": entry.root, "kind": "own-rename"}
                done.append(Change(entry, after, evidence))
                emit("entry_renamed", id=entry.id, path=target, was=entry.path)
        trace("rename:done")
        if done:
            commit(done, _WHY)
        self._registry.forget_intents(wanted)
        self._notes.flush()

    def _rename(self, entry: Entry, target: bytes) -> bool:
        """Rename one file; True when it now is at its target, by this call or by the one that a crash interrupted."""
        root = self._roots.get(entry.root)
        if root is None or entry.path == target:
            return False
        try:
            rename.rename_in_place(root.path, entry.path, opening.parts(target)[1], entry.observation.inode)
        except FileNotFoundError:
            return opening.file_at(root.path, target) == entry.observation.file
        except OSError as error:
            self._notes.open("not_renamed", entry.root, entry.path, {"id": entry.id, "reason": str(error.strerror)})
            return False
        self._notes.close("not_renamed", entry.root, entry.path)
        return True
