"""A pool process: takes one task after the other, touches the hostile files, and answers. It reads the registry and writes nothing.

Tasks come in on stdin, answers go out on stdout, both as length-prefixed marshal (this is one program talking to itself, and
marshal costs half of pickle). Before it touches a file it writes the name into shared memory: when it dies or hangs, the worker
knows which file it was. It ends when stdin does.
"""

from __future__ import annotations

import gc
import marshal
import mmap
import os
import struct
import sys
from collections.abc import Collection
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

from autoops.files import opening
from autoops.files.ignore import Ignore
from autoops.files.listing import Contents, Listing, list_directory
from autoops.files.observe import Rules, Seen, Unreadable, Unsettled, observe
from autoops.pool import tasks

if TYPE_CHECKING:
    from autoops.store.registry import Registry

_MANY = 1024  # files: 4 ms
LENGTH = struct.Struct("=I")


class Slot:
    """The shared page that says which file is being touched: a counter of files, and the name."""

    SIZE = 8192
    _NAME = 1024  # no name is longer than 255 bytes, but a file system of another kind might
    _PAGE = struct.Struct(f"=QH{_NAME}s")

    def __init__(self, fd: int) -> None:
        self._page = mmap.mmap(fd, self.SIZE)
        self._count = 0

    def begin(self, name: bytes) -> None:
        """Say that this file is touched now."""
        self._count += 1
        self._PAGE.pack_into(self._page, 0, self._count, len(name), name)

    def current(self) -> tuple[int, bytes]:
        """Return (files touched so far, the last one's name)."""
        count, length, name = self._PAGE.unpack_from(self._page, 0)
        return count, name[:length]


def packed(message: Any) -> bytes:
    """Return one message as it is sent."""
    data = marshal.dumps(message)
    return LENGTH.pack(len(data)) + data


def write_message(out: IO[bytes], message: Any) -> None:
    """Send one message."""
    out.write(packed(message))


def read_message(source: IO[bytes]) -> Any:
    """Return the next message, None at the end."""
    head = source.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    return marshal.loads(source.read(length))


class Child:
    """The state of a pool process between tasks."""

    def __init__(self, setup: tasks.Setup, slot: Slot) -> None:
        self._setup = setup
        self._slot = slot
        self._rules = Rules(setup.settle_s, setup.min_age_s, setup.with_xattr)
        self._ignore: dict[str, Ignore] = {}
        self._epoch = -1
        self._registry: Registry | None = None

    def _ignored(self, root: str, epoch: int) -> Ignore:
        if epoch != self._epoch:  # an ignore file may have changed since
            self._ignore.clear()
            self._epoch = epoch
        if root not in self._ignore:
            spec = self._setup.roots[root]
            self._ignore[root] = Ignore(spec.path, spec.patterns, spec.ignore_files)
        return self._ignore[root]

    def list_some(self, task: tasks.List) -> list[tuple[str, Any]]:
        """Compare directories with what is known of them, until something was read or many files were looked at."""
        answers: list[tuple[str, Any]] = []
        looked_at = 0
        with opening.Descent(self._setup.roots[task.root].path) as descent:
            for path in task.paths:
                self._slot.begin(b"")  # no file of this directory has been touched yet
                try:
                    listing = self._listing(task, path, descent)
                except OSError as error:
                    answers.append(("error", _told(error)))
                    continue
                answers.append(("done", tuple(tasks.listed(listing))))
                looked_at += listing.same
                if looked_at > _MANY or listing.seen:
                    break
        return answers

    def _listing(self, task: tasks.List, path: bytes, descent: opening.Descent) -> Listing:
        spec = self._setup.roots[task.root]
        own_parent, own_name = opening.parts(spec.own) if spec.own else (b"", None)

        def ignored(path: bytes, names: Collection[bytes], directories: Collection[bytes]) -> set[bytes]:
            left_out = self._ignored(task.root, task.epoch).ignored(path, names, directories)
            return left_out | {own_name} if own_name and path == own_parent else left_out

        fd = descent.open(path)
        try:
            return list_directory(
                fd,
                path,
                {} if task.is_bare else self._known.stamps_in(task.root, path),
                self._rules,
                ignored,
                contents=self._contents(task, path),
                skip=task.skip,
                progress=self._slot.begin,
            )
        finally:
            os.close(fd)

    @property
    def _known(self) -> Registry:
        if self._registry is None:
            from autoops.store.registry import Registry  # what only looks at files never needs it

            self._registry = Registry.open(Path(self._setup.registry))
        return self._registry

    def _contents(self, task: tasks.List, path: bytes) -> Contents | None:
        if not task.rehash:
            return None
        return {} if task.is_bare else self._known.contents_in(task.root, path)

    def look(self, task: tasks.Look) -> tasks.Looked:
        """Observe some names of one directory."""
        spec = self._setup.roots[task.root]
        ignore = self._ignored(task.root, task.epoch)
        seen: list[Seen] = []
        unreadable: list[Unreadable] = []
        unsettled: list[tuple[Any, ...]] = []
        gone: list[bytes] = []
        with opening.directory(spec.path, task.path) as fd:
            for name, closed, sample in task.names:
                path = task.path + b"/" + name if task.path else name
                self._slot.begin(name)
                outcome = None if ignore.is_ignored(path, False) else observe(fd, name, self._rules, closed=closed, sample=sample)
                match outcome:
                    case Seen():
                        seen.append(outcome)
                    case Unsettled():
                        unsettled.append(tuple(outcome))
                    case Unreadable():
                        unreadable.append(outcome)
                    case None:
                        gone.append(name)
        return tasks.Looked(tasks.flat(seen), unsettled, tasks.flat(unreadable), gone)

    def describe(self, task: tasks.Describe) -> list[Any]:
        """Describe and classify some files of one directory."""
        from autoops.pool.describing import describe_file  # brings the extractors; a scan never needs them

        spec = self._setup.roots[task.root]
        answers = []
        with opening.directory(spec.path, task.path) as fd:
            for item in task.files:
                self._slot.begin(item[0])
                answers.append(describe_file(fd, task.path, tasks.File(*item), self._setup))
        return answers

    def answer(self, kind: str, fields: tuple[Any, ...]) -> tuple[str, Any]:
        """Carry out one task: ("done", result) or ("error", text) when its directory cannot be opened or listed."""
        self._slot.begin(b"")  # no file of this task has been touched yet
        try:
            match kind:
                case "list":
                    return "done", self.list_some(tasks.List(*fields))
                case "look":
                    return "done", tuple(self.look(tasks.Look(*fields)))
                case _:
                    return "done", self.describe(tasks.Describe(*fields))
        except OSError as error:
            return "error", _told(error)


def _told(error: OSError) -> tuple[str, int, str]:
    return type(error).__name__, error.errno or 0, error.strerror or str(error)


def serve(page: int) -> None:
    """Serve tasks until stdin ends. page: the descriptor of the shared page."""
    source, out = os.fdopen(0, "rb", closefd=False), os.fdopen(os.dup(1), "wb", buffering=1 << 16)
    os.dup2(2, 1)  # whatever prints, prints to the log, not between the answers
    setup = tasks.setup_from(read_message(source))
    child = Child(setup, Slot(page))
    try:
        while (message := read_message(source)) is not None:
            kind, fields = message
            write_message(out, child.answer(kind, fields))
            out.flush()
    except BrokenPipeError:  # who asked is gone, and stdin is about to end
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())


def serve_forked(page: int) -> NoReturn:
    """Serve tasks in a copy of the process that asks, and end without what that one does at its end."""
    os.closerange(3, page)
    os.closerange(page + 1, os.sysconf("SC_OPEN_MAX"))
    gc.freeze()  # the other process's objects stay as they are: one that is released could close a descriptor that is ours now
    try:
        serve(page)
    except BaseException:  # noqa: BLE001  # nobody is above us to report it
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
