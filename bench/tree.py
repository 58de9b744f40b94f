"""Makes the trees that the workloads run on: the same arguments give the same bytes on every machine.

Sizes are log-normal, with a median of 4 KiB (mixed, python) or 300 bytes (small); a hundred files a directory, three levels
deep. Every .py file is valid Python and every .json file valid JSON. Writes below a scratch directory only, and keeps what it
made there for the next run.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

RECIPE = 1  # raise it when the bytes change, so that no cached tree of an older recipe is measured
FILES_PER_DIRECTORY = 100
_MIXED = ("py",) * 5 + ("md",) * 5 + ("json",) * 4 + ("txt",) * 4 + ("bin",) * 2
_WORDS = (
    "ledger",
    "shelf",
    "parcel",
    "harbour",
    "signal",
    "copper",
    "meadow",
    "lantern",
    "voyage",
    "anchor",
    "timber",
    "ribbon",
    "saddle",
    "orchard",
    "compass",
    "granite",
)


class Profile(NamedTuple):
    """What the files of a tree are like."""

    median_bytes: int
    sigma: float  # of the logarithm of the size
    most_bytes: int
    kinds: tuple[str, ...]


PROFILES = {
    "mixed": Profile(4096, 1.5, 4 << 20, _MIXED),
    "small": Profile(300, 0.8, 64 << 10, _MIXED),
    "python": Profile(4096, 1.5, 4 << 20, ("py",)),
}


class Writer:
    """Writes contents out of a stock of ready pieces, so that a million files take minutes."""

    def __init__(self, seed: int, profile: Profile) -> None:
        self._random = random.Random(seed)
        self._profile = profile
        self._noise = self._random.randbytes(1 << 20)
        self._stock = {
            "py": [self._function(number) for number in range(300)],
            "md": [f"## {self._words(3)}\n\n{self._words(20)}.\n\n" for _ in range(300)],
            "json": [self._member(number) for number in range(300)],
            "txt": [self._words(20) + "\n" for _ in range(300)],
        }

    def _words(self, count: int) -> str:
        return " ".join(self._random.choice(_WORDS) for _ in range(count))

    def _function(self, number: int) -> str:
        name, part = self._random.choice(_WORDS), self._random.choice(_WORDS)
        return (
            f"def {name}_{number}({part}, most={self._random.randrange(1000)}):\n"
            f'    """{self._words(6)}."""\n'
            f"    if not {part} or len({part}) > most:\n"
            f'        raise ValueError(f"{name}: {{{part}!r}}")\n'
            f"    return [item for item in {part} if item != {self._random.randrange(100)}]\n\n\n"
        )

    def _member(self, number: int) -> str:
        return f'  "{self._words(1)}_{number}": {{"count": {self._random.randrange(10**6)}, "text": "{self._words(8)}"}}'

    def next(self, serial: int) -> tuple[str, bytes]:
        """Return the (ending, content) of file number `serial`; no two contents are equal."""
        chance, profile = self._random, self._profile
        kind = profile.kinds[chance.randrange(len(profile.kinds))]
        size = min(profile.most_bytes, int(chance.lognormvariate(math.log(profile.median_bytes), profile.sigma)) + 1)
        if kind == "bin":
            start = chance.randrange(len(self._noise))
            return kind, serial.to_bytes(8) + (self._noise[start:] + self._noise * (size // len(self._noise) + 1))[:size]
        if kind == "json":
            members = [f'  "serial": {serial}', *self._pieces(kind, size)]
            return kind, ("{\n" + ",\n".join(members) + "\n}\n").encode()
        head = {"py": f'"""Module {serial}."""\n\nimport os\n\n\n', "md": f"# Page {serial}\n\n", "txt": f"Note {serial}\n"}[kind]
        return kind, (head + "".join(self._pieces(kind, size - len(head)))).encode()

    def _pieces(self, kind: str, size: int) -> Iterator[str]:
        stock = self._stock[kind]
        while size > 0:
            piece = stock[self._random.randrange(len(stock))]
            size -= len(piece)
            yield piece


def directory_of(serial: int, per_directory: int = FILES_PER_DIRECTORY) -> str:
    """Return the directory, below the tree, of file number `serial`."""
    number = serial // per_directory
    return f"pack{number // 64:03d}/group{number // 8 % 8}/part{number % 8}"


def write_tree(
    root: Path, files: int, profile: str, *, seed: int = 1, first: int = 0, per_directory: int = FILES_PER_DIRECTORY
) -> None:
    """Write `files` files below root, numbered from `first`."""
    writer = Writer(seed, PROFILES[profile])
    made = ""
    for serial in range(first, first + files):
        kind, content = writer.next(serial)
        directory = f"{root}/{directory_of(serial, per_directory)}"
        if directory != made:
            os.makedirs(directory, exist_ok=True)
            made = directory
        with open(f"{directory}/f{serial:07d}.{kind}", "wb", buffering=0) as file:  # noqa: PTH123
            file.write(content)


def cached_tree(scratch: Path, files: int, profile: str) -> Path:
    """Return a tree that is made once and kept below the scratch directory. Nobody may change it."""
    tree = scratch / "trees" / f"{profile}-{files}-recipe{RECIPE}"
    if not tree.exists():
        draft = tree.with_name(tree.name + ".draft")
        empty(draft)
        write_tree(draft, files, profile)
        os.sync()  # its writing must not disturb the first measurement
        draft.rename(tree)
    return tree


def empty(directory: Path) -> Path:
    """Make a directory that exists and holds nothing."""
    while directory.exists():
        with contextlib.suppress(FileNotFoundError):  # a daemon that is ending removes its own socket meanwhile
            shutil.rmtree(directory)
    directory.mkdir(parents=True)
    return directory
