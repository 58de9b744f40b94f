"""Which names a root does not want to know: .gitignore semantics, asked directory by directory.

Guarantee: the answers are git's (`git check-ignore`): the deepest ignore file speaks first, its last matching line wins, and
what lies below an ignored directory stays ignored whatever is said about it. Names and patterns are compared byte by byte, as
git does, so a name need not be UTF-8. A pattern that cannot be used is skipped and listed in `faults`.

Most directories hold nothing that is ignored. So the NUL-joined names of a directory are searched for the needles of all patterns
(`files/patterns.py`), and only the names found are put to pathspec (3 µs a name; the search costs about 0.1 µs).

Reads ignore files below the root: regular files only, never through a link, at most 64 KiB and 1,000 lines of each, and 5,000 lines
of all that a directory lies under. Writes nothing.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Sequence

from autoops.files import opening
from autoops.files.patterns import Fault, Rules, note

MAX_FILE_BYTES = 64 * 1024
MAX_CACHED_DIRECTORIES = 4096
MAX_CACHED_LINES = 20_000  # of all ignore files that are held; compiled, each takes more than a kilobyte
MAX_LINES_ABOVE = 5_000  # of all ignore files that one directory lies under


class Ignore:
    """What is ignored below one root."""

    def __init__(self, root: bytes, patterns: Sequence[str], file_names: Sequence[bytes]) -> None:
        """Take patterns of the configuration (weaker than any ignore file) and the names of ignore files (a later one wins)."""
        self.faults: list[Fault] = []
        self._root = root
        self._file_names = tuple(file_names)
        lines = [pattern.encode("utf-8", "surrogateescape") for pattern in patterns]
        self._configured = (Rules(b"", b"", lines, self.faults),)
        self._stacks: dict[bytes, tuple[Rules, ...]] = {}
        self._lines = 0  # that have come into the stacks since there were none

    def ignored(self, directory: bytes, names: Collection[bytes], directories: Collection[bytes]) -> set[bytes]:
        """Return those names in a kept directory, b"" being the root, that are ignored; `directories`: which are directories."""
        stack = self._stack(directory)
        if any(rules.wide and rules.may_apply(directory) for rules in stack):
            asked = set(names)
        else:
            asked = set()
            joined = b"\0" + b"\0".join(names) + b"\0"
            for rules in stack:
                for needle in rules.needles:
                    if needle in joined:
                        asked.update(_holders(joined, needle))
        return {name for name in asked if _verdict(stack, _join(directory, name), name in directories)}

    def is_ignored(self, path: bytes, is_dir: bool) -> bool:
        """Return whether a path below the root, or a directory it lies in, is ignored."""
        parts = path.split(b"/")
        directory = b""
        for position, name in enumerate(parts, 1):
            if self.ignored(directory, (name,), (name,) if is_dir or position < len(parts) else ()):
                return True
            directory = _join(directory, name)
        return False

    def forget(self, directory: bytes) -> None:
        """Read the ignore files of this directory, and of all below it, again when next asked."""
        if not directory:
            self._clear()
            return
        if directory not in self._stacks:
            return
        below = directory + b"/"
        for known in [known for known in self._stacks if known == directory or known.startswith(below)]:
            del self._stacks[known]

    def _stack(self, directory: bytes) -> tuple[Rules, ...]:
        """Return the rules for names in this directory, the strongest first."""
        stack = self._stacks.get(directory)
        if stack is not None:
            return stack
        if len(self._stacks) >= MAX_CACHED_DIRECTORIES or self._lines >= MAX_CACHED_LINES:
            self._clear()  # before the upper ones are asked: what is known below a directory implies the directory
        unknown = [directory]  # by a loop: a directory may be deeper than Python's stack
        while unknown[-1] and (upper := unknown[-1].rpartition(b"/")[0]) not in self._stacks:
            unknown.append(upper)
        for one in reversed(unknown):
            above = self._stacks[one.rpartition(b"/")[0]] if one else self._configured
            own = [rules for name in reversed(self._file_names) if (rules := self._read(one, name))]
            self._stacks[one] = self._stacked(own, above) if own else above
        return self._stacks[directory]

    def _stacked(self, own: list[Rules], above: tuple[Rules, ...]) -> tuple[Rules, ...]:
        if sum(rules.lines for rules in (*own, *above)) > MAX_LINES_ABOVE:
            note(self.faults, Fault(own[0].source, 0, f"with those above it there are more than {MAX_LINES_ABOVE} lines"))
            return above
        self._lines += sum(rules.lines for rules in own)
        return (*own, *above)

    def _clear(self) -> None:
        self._stacks.clear()
        self._lines = 0

    def _read(self, directory: bytes, name: bytes) -> Rules | None:
        source = _join(directory, name)
        try:
            os.lstat(_join(self._root, source))  # cheap, and nearly always the end of it
            content = _content(self._root, directory, name)
        except FileNotFoundError:
            return None
        except OSError as error:
            note(self.faults, Fault(source, 0, error.strerror or str(error)))
            return None
        if len(content) > MAX_FILE_BYTES:
            content = content[:MAX_FILE_BYTES].rpartition(b"\n")[0]
            note(self.faults, Fault(source, 0, f"only the first {MAX_FILE_BYTES} bytes are read"))
        return Rules(source, directory, content.removeprefix(b"\xef\xbb\xbf").removesuffix(b"\n").split(b"\n"), self.faults)


def _verdict(stack: tuple[Rules, ...], path: bytes, is_dir: bool) -> bool:
    for rules in stack:
        verdict = rules.verdict(path, is_dir)
        if verdict is not None:
            return verdict
    return False


def _join(directory: bytes, name: bytes) -> bytes:
    return directory + b"/" + name if directory else name


def _content(root: bytes, directory: bytes, name: bytes) -> bytes:
    """Return a little more than MAX_FILE_BYTES of a regular file, reached without following any link below the root."""
    with opening.directory(root, directory) as there:
        fd = opening.file(there, name)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(0, "an ignore file must be a regular file")
        return os.read(fd, MAX_FILE_BYTES + 1)
    finally:
        os.close(fd)


def _holders(joined: bytes, needle: bytes) -> Iterator[bytes]:
    """Yield the names in NUL-joined names that contain the needle."""
    at = joined.find(needle)
    while at >= 0:
        start = at if needle.startswith(b"\0") else joined.rfind(b"\0", 0, at)
        end = joined.index(b"\0", start + 1)
        yield joined[start + 1 : end]
        at = joined.find(needle, end)
