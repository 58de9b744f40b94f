"""The lines of an ignore file, as git understands them: which names they ignore, and where they can apply at all. Pure.

A pattern is reduced to needles, byte strings of which a name must contain one to match; only names that hold one are put to
pathspec. One that cannot be used, or that would cost too much, is skipped with a reason (`Fault`).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

MAX_LINES = 1000
MAX_STARS = 3  # in one component, plus the "**/"; each further one multiplies the worst case of a regular expression
MAX_DEAR_LINES = 20  # in one ignore file
MAX_FAULTS = 1000
_MAX_VARIANTS = 16  # of a needle, when a bracket like [cod] is written out

_SIMPLE_BRACKET = re.compile(rb"\[([A-Za-z0-9_]+)\]")
_NEGATED = re.compile(r"\[\^\]?")
_GAP = b""  # in a list of tokens: anything may stand here


class Fault(NamedTuple):
    """One pattern or ignore file that is not used."""

    source: bytes  # path of the ignore file below the root; b"" for the configuration
    line: int  # from 1; 0: the whole file
    reason: str


def note(faults: list[Fault], fault: Fault) -> None:
    """Add a fault unless there are very many: whoever may write into a tree can make any number of them."""
    if len(faults) < MAX_FAULTS:
        faults.append(fault)


class _Wide(NamedTuple):
    """A pattern whose last part fits any name: where it may apply at all."""

    prefix: bytes  # the directory, below the ignore file's, that it begins with
    depth: int | None  # how many directories deep the names are; None: any


class _Rule(NamedTuple):
    """One line, as pathspec understands it."""

    include: bool
    regex: re.Pattern[str]
    by_name: bool  # no slash in the pattern: it is about the last component alone


class Rules:
    """The lines of one ignore file, or of the configuration; what needs pathspec is compiled when first asked."""

    def __init__(self, source: bytes, base: bytes, lines: Sequence[bytes], faults: list[Fault]) -> None:
        self.source, self.base, self._faults = source, base, faults
        self._rules: list[_Rule] | None = None
        self._lines: list[tuple[int, bytes]] = []
        needles: set[bytes] = set()
        self.wide: list[_Wide] = []
        dear = 0
        for number, raw in enumerate(lines[:MAX_LINES], 1):
            line = trimmed(raw)
            if not line.strip(b"!/") or line.startswith(b"#"):
                continue
            if reason := unusable(line):
                self._fault(number, reason)
                continue
            if source and _is_dear(line):
                dear += 1
                if dear > MAX_DEAR_LINES:
                    self._fault(number, f"only {MAX_DEAR_LINES} lines with several wildcards in a component are used")
                    continue
            self._lines.append((number, line))
            if not line.startswith(b"!"):
                found = needles_of(line)
                needles.update(found)
                if not found:
                    self.wide.append(_wide(line))
        self.needles = tuple(needles)
        if len(lines) > MAX_LINES:
            self._fault(MAX_LINES + 1, f"only the first {MAX_LINES} lines are read")

    @property
    def lines(self) -> int:
        """How many lines of it are used."""
        return len(self._lines)

    def _fault(self, number: int, reason: str) -> None:
        note(self._faults, Fault(self.source, number, reason))

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
                self._fault(number, str(error).partition("\n")[0][:200])
                continue
            for pattern in patterns:
                if pattern.include is not None and pattern.regex is not None:
                    # no bracket fits a slash (wildmatch with WM_PATHNAME), but pathspec's negated ones do
                    text = _NEGATED.sub(r"\g<0>/", pattern.regex.pattern)
                    by_name = b"/" not in line.removeprefix(b"!").rstrip(b"/") or not text.startswith("^")
                    yield _Rule(pattern.include, re.compile(text), by_name)


def _decoded(raw: bytes) -> str:
    """Return one character per byte, as git compares; a newline, which regular expressions treat apart, becomes another one."""
    return raw.decode("latin-1").replace("\n", "\u0100")


def trimmed(line: bytes) -> bytes:
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


def unusable(line: bytes) -> str:
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


def needles_of(line: bytes) -> list[bytes]:
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
