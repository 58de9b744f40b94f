"""Which names a root does not want to know: .gitignore semantics, asked directory by directory.

Guarantee: the answers are git's (`git check-ignore`): the deepest ignore file speaks first, its last matching line wins, and
what lies below an ignored directory stays ignored whatever is said about it. Names and patterns are compared byte by byte, as
git does, so a name need not be UTF-8. A pattern that cannot be used is skipped and listed in `faults`.

Most directories hold nothing that is ignored. So each pattern is first reduced to needles, byte strings of which a name must
contain one to match; the NUL-joined names of a directory are searched for them, and only the names found are put to pathspec
(3 µs a name; the search costs about 0.1 µs).

Reads ignore files below the root: regular files only, never through a link, at most 64 KiB and 1,000 lines. Writes nothing.
"""

from __future__ import annotations

import os
import re
import stat
import warnings
from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

MAX_FILE_BYTES = 64 * 1024
MAX_LINES = 1000
MAX_STARS = 3  # in one component, plus the "**/"; each further one multiplies the worst case of a regular expression
MAX_DEAR_LINES = 20  # in one ignore file
MAX_FAULTS = 1000
MAX_CACHED_DIRECTORIES = 4096
_MAX_VARIANTS = 16  # of a needle, when a bracket like [cod] is written out

_SIMPLE_BRACKET = re.compile(rb"\[([A-Za-z0-9_]+)\]")
_NEGATED = re.compile(r"\[\^\]?")
_GAP = b""  # in a list of tokens: anything may stand here


class Fault(NamedTuple):
    """One pattern or ignore file that is not used."""

    source: bytes  # path of the ignore file below the root; b"" for the configuration
    line: int  # from 1; 0: the whole file
    reason: str


class _Wide(NamedTuple):
    """A pattern whose last part fits any name: where it may apply at all."""

    prefix: bytes  # the directory, below the ignore file's, that it begins with
    depth: int | None  # how many directories deep the names are; None: any


class _Rule(NamedTuple):
    """One line, as pathspec understands it."""

    include: bool
    regex: re.Pattern[str]
    by_name: bool  # no slash in the pattern: it is about the last component alone


class _Rules:
    """The lines of one ignore file, or of the configuration; what needs pathspec is compiled when first asked."""

    def __init__(self, source: bytes, base: bytes, lines: Sequence[bytes], faults: list[Fault]) -> None:
        self.source, self.base, self._faults = source, base, faults
        self._rules: list[_Rule] | None = None
        self._lines: list[tuple[int, bytes]] = []
        needles: set[bytes] = set()
        self.wide: list[_Wide] = []
        dear = 0
        for number, raw in enumerate(lines[:MAX_LINES], 1):
            line = _trimmed(raw)
            if not line.strip(b"!/") or line.startswith(b"#"):
                continue
            if reason := _unusable(line):
                self.fault(number, reason)
                continue
            if source and _is_dear(line):
                dear += 1
                if dear > MAX_DEAR_LINES:
                    self.fault(number, f"only {MAX_DEAR_LINES} lines with several wildcards in a component are used")
                    continue
            self._lines.append((number, line))
            if not line.startswith(b"!"):
                found = _needles(line)
                needles.update(found)
                if not found:
                    self.wide.append(_wide(line))
        self.needles = tuple(needles)
        if len(lines) > MAX_LINES:
            self.fault(MAX_LINES + 1, f"only the first {MAX_LINES} lines are read")

    def fault(self, number: int, reason: str) -> None:
        if len(self._faults) < MAX_FAULTS:
            self._faults.append(Fault(self.source, number, reason))

    def may_apply(self, directory: bytes) -> bool:
        """Return whether a wide pattern is about names in this directory."""
        below = directory[len(self.base) + 1 :] if self.base else directory
        depth = below.count(b"/") + 1 if below else 0
        return any(
            (wide.depth is None or wide.depth == depth) and (below + b"/").startswith(wide.prefix and wide.prefix + b"/")
            for wide in self.wide
        )

    def verdict(self, path: bytes, is_dir: bool) -> bool | None:
        """Return True (ignored), False (kept) or None (nothing said) for a path below the root whose directory is kept."""
        if self._rules is None:
            self._rules = list(self._compiled())
        below = _decoded(path[len(self.base) + 1 :] if self.base else path)
        if is_dir:
            below += "/"
        name = below[below.rfind("/", 0, -1) + 1 :]
        for rule in reversed(self._rules):
            asked = name if rule.by_name else below
            match = rule.regex.search(asked)
            # pathspec also matches what lies below a directory that matches; that directory was asked, and kept
            if match and ("ps_d" not in rule.regex.groupindex or match.end("ps_d") in (-1, len(asked))):
                return rule.include
        return None

    def _compiled(self) -> Iterator[_Rule]:
        from pathspec import GitIgnoreSpec  # 30 ms: only for a name that may be ignored

        for number, line in self._lines:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # re's FutureWarning for brackets such as [[a]
                    patterns = list(GitIgnoreSpec.from_lines([_protected(line)]).patterns)
            except (ValueError, re.error) as error:
                self.fault(number, str(error).partition("\n")[0][:200])
                continue
            for pattern in patterns:
                if pattern.include is not None and pattern.regex is not None:
                    # no bracket fits a slash (wildmatch with WM_PATHNAME), but pathspec's negated ones do
                    text = _NEGATED.sub(r"\g<0>/", pattern.regex.pattern)
                    by_name = b"/" not in line.removeprefix(b"!").rstrip(b"/") or not text.startswith("^")
                    yield _Rule(pattern.include, re.compile(text), by_name)


class Ignore:
    """What is ignored below one root."""

    def __init__(self, root: bytes, patterns: Sequence[str], file_names: Sequence[bytes]) -> None:
        """Take patterns of the configuration (weaker than any ignore file) and the names of ignore files (a later one wins)."""
        self.faults: list[Fault] = []
        self._root = root
        self._file_names = tuple(file_names)
        lines = [pattern.encode("utf-8", "surrogateescape") for pattern in patterns]
        self._configured = (_Rules(b"", b"", lines, self.faults),)
        self._stacks: dict[bytes, tuple[_Rules, ...]] = {}

    def ignored(self, directory: bytes, names: Sequence[tuple[bytes, bool]]) -> set[bytes]:
        """Return those names (name, is a directory) in a kept directory, b"" being the root, that are ignored."""
        stack = self._stack(directory)
        joined = b"\0" + b"\0".join([name for name, _ in names]) + b"\0"
        if any(rules.wide and rules.may_apply(directory) for rules in stack):
            asked = {name for name, _ in names}
        else:
            asked = set()
            for rules in stack:
                for needle in rules.needles:
                    if needle in joined:
                        asked.update(_holders(joined, needle))
        if not asked:
            return asked
        return {name for name, is_dir in names if name in asked and _verdict(stack, _join(directory, name), is_dir)}

    def is_ignored(self, path: bytes, is_dir: bool) -> bool:
        """Return whether a path below the root, or a directory it lies in, is ignored."""
        parts = path.split(b"/")
        directory = b""
        for position, name in enumerate(parts, 1):
            if self.ignored(directory, [(name, is_dir or position < len(parts))]):
                return True
            directory = _join(directory, name)
        return False

    def forget(self, directory: bytes) -> None:
        """Read the ignore files of this directory, and of all below it, again when next asked."""
        if not directory:
            self._stacks.clear()
            return
        if directory not in self._stacks:
            return
        below = directory + b"/"
        for known in [known for known in self._stacks if known == directory or known.startswith(below)]:
            del self._stacks[known]

    def _stack(self, directory: bytes) -> tuple[_Rules, ...]:
        """Return the rules for names in this directory, the strongest first."""
        stack = self._stacks.get(directory)
        if stack is not None:
            return stack
        if len(self._stacks) >= MAX_CACHED_DIRECTORIES:
            self._stacks.clear()  # before the upper ones are asked: what is known below a directory implies the directory
        unknown = [directory]  # by a loop: a directory may be deeper than Python's stack
        while unknown[-1] and (upper := unknown[-1].rpartition(b"/")[0]) not in self._stacks:
            unknown.append(upper)
        for one in reversed(unknown):
            above = self._stacks[one.rpartition(b"/")[0]] if one else self._configured
            own = [rules for name in reversed(self._file_names) if (rules := self._read(one, name))]
            self._stacks[one] = (*own, *above) if own else above
        return self._stacks[directory]

    def _read(self, directory: bytes, name: bytes) -> _Rules | None:
        source = _join(directory, name)
        try:
            os.lstat(_join(self._root, source))  # cheap, and nearly always the end of it
            content = _content(self._root, directory, name)
        except FileNotFoundError:
            return None
        except OSError as error:
            if len(self.faults) < MAX_FAULTS:
                self.faults.append(Fault(source, 0, error.strerror or str(error)))
            return None
        if len(content) > MAX_FILE_BYTES:
            content = content[:MAX_FILE_BYTES].rpartition(b"\n")[0]
            self.faults.append(Fault(source, 0, f"only the first {MAX_FILE_BYTES} bytes are read"))
        return _Rules(source, directory, content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), self.faults)


def _verdict(stack: tuple[_Rules, ...], path: bytes, is_dir: bool) -> bool:
    for rules in stack:
        verdict = rules.verdict(path, is_dir)
        if verdict is not None:
            return verdict
    return False


def _join(directory: bytes, name: bytes) -> bytes:
    return directory + b"/" + name if directory else name


def _content(root: bytes, directory: bytes, name: bytes) -> bytes:
    """Return a little more than MAX_FILE_BYTES of a regular file, reached without following any link below the root."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    at = os.open(root or b"/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in (*directory.split(b"/"), name) if directory else (name,):
            below = os.open(part, flags, dir_fd=at)
            os.close(at)
            at = below
        if not stat.S_ISREG(os.fstat(at).st_mode):
            raise OSError(0, "an ignore file must be a regular file")
        return os.read(at, MAX_FILE_BYTES + 1)
    finally:
        os.close(at)


def _decoded(raw: bytes) -> str:
    """Return one character per byte, as git compares; a newline, which regular expressions treat apart, becomes another one."""
    return raw.decode("latin-1").replace("\n", "\u0100")


def _trimmed(line: bytes) -> bytes:
    r"""Return a line without its end: git drops "\r", and spaces that no backslash precedes (gitignore(5))."""
    line = line.removesuffix(b"\r")
    bare = line.rstrip(b" ")
    escapes = len(bare) - len(bare.rstrip(b"\\"))
    return bare + b" " if escapes % 2 and bare != line else bare


def _protected(line: bytes) -> str:
    """Return a pattern as text with what pathspec would strip at its ends, though git does not, in brackets."""
    text = line.decode("latin-1")
    if text.endswith("\\ "):
        text = text[:-2] + "[ ]"
    elif text[-1:].isspace():
        text = f"{text[:-1]}[{text[-1]}]"
    if text[:1].isspace():
        text = f"[{text[0]}]{text[1:]}"
    if text.endswith("/**"):
        text += "/*"  # all below, not the directory itself
    elif text.lstrip("!/") == "**/" or text.endswith("/**/"):
        text += "*/"  # any directory below; pathspec 1 would find only the first component
    return text


def _unusable(line: bytes) -> str:
    """Return why a pattern is not used, "" when it is."""
    if b"\0" in line or b"\n" in line:
        return "a pattern cannot contain NUL or a newline"
    if len(line) > 4096:
        return "longer than any path"
    if b"//" in line:
        return "an empty component matches nothing"
    parts = line.split(b"/")
    doubled = parts.count(b"**")
    if doubled + max(part != b"**" and len(re.findall(rb"\*+", part)) for part in parts) > MAX_STARS:
        return f"more than {MAX_STARS} wildcards"
    if line.count(b"[") and b"]" not in line[line.rindex(b"[") :]:
        return "a bracket is never closed"
    return ""


def _is_dear(line: bytes) -> bool:
    """Tell whether a pattern costs more than the length of a name: somebody may write a thousand of them into a tree."""
    return any(len(re.findall(rb"\*+", part)) > 1 for part in line.split(b"/"))


def _wide(line: bytes) -> _Wide:
    body = line.rstrip(b"/")
    if b"/" not in body:
        return _Wide(b"", None)
    parts = body.lstrip(b"/").split(b"/")
    prefix: list[bytes] = []
    for part in parts[:-1]:
        if not part or re.search(rb"[*?\[\]\\]", part):
            break
        prefix.append(part)
    exact = len(prefix) == len(parts) - 1 and b"**" not in parts[-1]
    return _Wide(b"/".join(prefix), len(parts) - 1 if exact else None)


def _needles(line: bytes) -> list[bytes]:
    """Return byte strings of which one is in every NUL-enclosed name that the pattern matches; none: any name may match."""
    last = line.rstrip(b"/").rpartition(b"/")[2]
    if b"]" in last.partition(b"[")[0]:
        return []  # the end of a bracket with a slash in it
    runs: list[list[bytes]] = [[b"\0"]]
    for token in _tokens(last):
        if token == [_GAP]:
            runs.append([b""])
        elif len(runs[-1]) * len(token) <= _MAX_VARIANTS:
            runs[-1] = [start + end for start, end in product(runs[-1], token)]
        else:
            runs.append(token)
    best = max(runs, key=_length)
    return best if _length(best) else []


def _length(run: list[bytes]) -> int:
    return min(len(way.strip(b"\0")) for way in run)


def _tokens(part: bytes) -> Iterator[list[bytes]]:
    """Yield the ways each token of the last part of a pattern can be written, [_GAP] for a wildcard; then the closing NUL."""
    at = 0
    while at < len(part):
        char = part[at : at + 1]
        if char == b"[":
            bracket = _SIMPLE_BRACKET.match(part, at)
            if not bracket:
                yield [_GAP]  # what follows may still be inside of it
                return
            yield [bytes([option]) for option in bracket[1]]
            at = bracket.end()
            continue
        if char == b"\\":
            at += 1
            char = part[at : at + 1]
            yield [char] if char else [_GAP]
        else:
            yield [_GAP] if char in (b"*", b"?") else [char]
        at += 1
    yield [b"\0"]


def _holders(joined: bytes, needle: bytes) -> Iterator[bytes]:
    """Yield the names in NUL-joined names that contain the needle."""
    at = joined.find(needle)
    while at >= 0:
        start = at if needle.startswith(b"\0") else joined.rfind(b"\0", 0, at)
        end = joined.index(b"\0", start + 1)
        yield joined[start + 1 : end]
        at = joined.find(needle, end)
