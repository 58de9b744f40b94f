"""Files whose content is another one although nobody touched them: the disk gave back what was never written."""

from __future__ import annotations

from collections.abc import Sequence

from autoops.core.identity import Verdict
from autoops.model import Change
from autoops.store.registry import Registry


def split_corrupt(registry: Registry, verdicts: Sequence[Verdict]) -> tuple[list[Verdict], list[Verdict]]:
    """Return (what may be believed, what is corrupt): content changed although size, mtime, inode and ctime say that it did not.

    The kernel sets ctime at every write, and nobody can set it back; one that was too near to the reading proves nothing.
    """
    doubtful = [one for one in verdicts if one.change and _is_same_but_for_content(one.change)]
    if not doubtful:
        return list(verdicts), []
    kept = registry.ctimes(one.change.after.id for one in doubtful if one.change)
    corrupt = [one for one in doubtful if one.change and kept.get(one.change.after.id) == one.change.ctime_ns]
    return [one for one in verdicts if one not in corrupt], corrupt


def _is_same_but_for_content(change: Change) -> bool:
    before, after = change.before, change.after
    if before is None or change.ctime_ns <= 0 or (before.root, before.path, before.status) != (after.root, after.path, "active"):
        return False
    old, new = before.observation, after.observation
    same = (old.kind, old.size_bytes, old.mtime_ns, old.file) == (new.kind, new.size_bytes, new.mtime_ns, new.file)
    return same and None not in (old.sha256, new.sha256) and old.sha256 != new.sha256
