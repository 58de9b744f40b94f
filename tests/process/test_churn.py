"""Several processes create, edit, rename, move, replace, copy, link and delete thousands of files while the suite runs.

Afterwards the export is the disk, byte for byte, and every document that lived on kept its ID. Run as a program, this file is one
of those processes: it does as it pleases as often as it is told, and remembers which document is where. In one round a
document is moved about, or it is replaced and copied: a file with a new inode under a new name, both unseen, is nobody's.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from running import PROJECT, Suite, environment

CHURNERS = 4
DEEDS = 1200  # of each, in each of two rounds
DIRECTORIES = ("in", "in/deep", "out", "out/a b", "made")
IGNORED = ("node_modules", "in/__pycache__", ".git")
MOST_FILES = 500


class Churner:
    """One busy process. A document is a number; it keeps it whatever happens to its file's name, content or inode."""

    def __init__(self, root: Path, name: str) -> None:
        self.root, self.name = root, name
        self.random = random.Random(name)
        self.count = self.documents = 0
        self.at: dict[int, str] = {}  # document: where it is, below the root
        self.origin: dict[int, int] = {}  # copies and links: the document they were made from
        self.done: dict[str, int] = {}
        self.linked: set[int] = set()  # one file under two names: which of them is the document, when one is replaced?
        self.resting: set[int] = set()  # what is done through a name that is gone again at once, nobody sees until the next scan
        self.round = 0

    def churn(self, deeds: int) -> None:
        self.round += 1
        self.resting.clear()
        verbs: list[tuple[Callable[[], None], int]] = [
            (self.create, 14), (self.edit, 20), (self.append, 8), (self.rename, 14), (self.move, 14), (self.replace, 14),
            (self.replace_hidden, 6), (self.delete, 8), (self.copy, 4), (self.link, 2), (self.move_directory, 1), (self.noise, 6),
        ]  # fmt: skip
        doing, weights = zip(*verbs, strict=True)
        for _ in range(deeds):
            verb = self.random.choices(doing, weights)[0]
            if len(self.at) < 20:
                verb = self.create
            elif len(self.at) > MOST_FILES and verb in (self.create, self.copy, self.link):
                verb = self.delete
            verb()
            self.done[verb.__name__] = self.done.get(verb.__name__, 0) + 1
            if self.random.random() < 0.2:
                time.sleep(0.004)  # people and programs pause now and then

    def fresh(self) -> str:
        """Return a path where nothing ever was."""
        self.count += 1
        directory = self.random.choice((*DIRECTORIES, f"made/{self.name}"))
        (self.root / directory).mkdir(parents=True, exist_ok=True)
        return f"{directory}/{self.name}-{self.count}{self.random.choice(('.txt', '.py', '.json', ''))}"

    def document(self) -> int:
        self.documents += 1
        return self.documents

    def content(self) -> bytes:
        """Return what no file ever held."""
        self.count += 1
        return f"{self.name} {self.count}\n".encode() * self.random.choice((1, 10, 1000, 9000))

    def any(self) -> int:
        return self.random.choice([one for one in self.at if one not in self.resting])

    def movable(self) -> int:
        return self.random.choice([one for one in self.at if one % 2 == self.round % 2 and one not in self.resting])

    def replaceable(self) -> int:
        ours = f"made/{self.name}/"  # may be moved, with all that is in it
        still = [one for one, path in self.at.items() if one % 2 != self.round % 2 and not path.startswith(ours)]
        return self.random.choice([one for one in still if one not in self.resting])

    def place(self, document: int) -> Path:
        return self.root / self.at[document]

    def create(self) -> None:
        path = self.fresh()
        (self.root / path).write_bytes(self.content())
        self.at[self.document()] = path

    def edit(self) -> None:
        self.place(self.any()).write_bytes(self.content())

    def append(self) -> None:
        with self.place(self.any()).open("ab") as out:
            for _ in range(self.random.randrange(1, 4)):
                out.write(self.content())
                out.flush()

    def rename(self) -> None:
        document = self.movable()
        self.count += 1
        place = self.place(document)
        self.at[document] = os.path.relpath(place.rename(place.with_name(f"{self.name}-{self.count}")), self.root)

    def move(self) -> None:
        document, path = self.movable(), self.fresh()
        self.place(document).rename(self.root / path)
        self.at[document] = path

    def replace(self) -> None:
        self._replace(lambda place: place.with_name(f"{place.name}.new"))

    def replace_hidden(self) -> None:
        self._replace(lambda place: place.with_name(f"{place.name}~"))

    def _replace(self, beside: Callable[[Path], Path]) -> None:
        place = self.place(self.replaceable())
        temporary = beside(place)
        temporary.write_bytes(self.content())
        temporary.replace(place)

    def delete(self) -> None:
        document = self.any()
        self.place(document).unlink()
        del self.at[document]

    def copy(self) -> None:
        self._another(self.replaceable(), shutil.copyfile)

    def link(self) -> None:
        document = self.replaceable()
        self._another(document, os.link)
        self.linked |= {document, self.documents}
        self.resting |= {document, self.documents}

    def _another(self, document: int, how: Callable[[Path, Path], object]) -> None:
        path = self.fresh()
        how(self.place(document), self.root / path)
        self.at[self.document()] = path
        self.origin[self.documents] = document

    def move_directory(self) -> None:
        """Rename a directory of our own, with all that is in it."""
        before = f"made/{self.name}"
        if (self.root / before).is_dir():
            self.count += 1
            after = f"out/{self.name}-{self.count}.d"
            (self.root / before).rename(self.root / after)
            self.at = {one: after + path[len(before) :] if path.startswith(before + "/") else path for one, path in self.at.items()}

    def noise(self) -> None:
        """Write what nobody wants to know of."""
        name = f"{self.name}-{self.random.randrange(50)}"
        (self.root / self.random.choice(IGNORED) / name).write_bytes(self.content())
        (self.root / "in" / f".{name}.swp").write_bytes(self.content())

    def report(self) -> dict[str, Any]:
        return {"at": self.at, "done": self.done, "linked": sorted(self.linked), "origin": self.origin}


def main() -> None:
    """Churn as often as each line of standard input says, and answer with what is where."""
    churner = Churner(Path(sys.argv[1]), sys.argv[2])
    for line in sys.stdin:
        churner.churn(int(line))
        print(json.dumps(churner.report()), flush=True)


Reports = dict[str, dict[str, Any]]


def churn(processes: dict[str, subprocess.Popen[str]]) -> Reports:
    for process in processes.values():
        assert process.stdin
        process.stdin.write(f"{DEEDS}\n")
        process.stdin.flush()
    return {name: json.loads(process.stdout.readline()) for name, process in processes.items() if process.stdout}


def ids(suite: Suite, reports: Reports) -> dict[tuple[str, str], str]:
    """Return the ID of each document."""
    known = {os.fsdecode(path): entry["id"] for (_, path), entry in suite.active().items()}
    return {(name, number): known[path] for name, report in reports.items() for number, path in report["at"].items()}


def ignored(path: bytes) -> bool:
    text = os.fsdecode(path)
    return text.startswith(tuple(f"{directory}/" for directory in IGNORED)) or text.endswith((".swp", "~"))


def require_all_registered(suite: Suite) -> None:
    """The export is the disk; of a file with several names after a scan: the kernel tells of the name that was written through,
    and when that name is gone before anybody looks, nothing says which file it was."""

    def has_other_names(path: bytes) -> bool:
        place = os.path.join(os.fsencode(suite.root), path)
        return os.path.lexists(place) and os.lstat(place).st_nlink > 1

    suite.require_disk_registered(lambda path: ignored(path) or has_other_names(path))
    suite.run("scan")
    suite.idle()
    suite.require_disk_registered(ignored)


def test_after_a_storm_the_export_is_the_disk_and_every_document_that_lived_on_kept_its_id(suite: Suite) -> None:
    for directory in (*DIRECTORIES, *IGNORED):
        (suite.root / directory).mkdir(parents=True)
    command = [sys.executable, __file__, str(suite.root)]
    env = environment(PYTHONPATH=str(PROJECT / "tests" / "process"))
    processes = {
        name: subprocess.Popen([*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        for name in (f"c{number}" for number in range(CHURNERS))
    }
    try:
        first = churn(processes)
        suite.idle()
        require_all_registered(suite)
        before = ids(suite, first)
        second = churn(processes)
        suite.idle()
    finally:
        for process in processes.values():
            process.kill()
            process.communicate()
    require_all_registered(suite)
    assert [path for _, path in suite.active() if ignored(path)] == []
    suite.require_nothing_left_to_do()
    after = ids(suite, second)
    linked = {(name, str(number)) for name, report in second.items() for number in report["linked"]}
    lived_on = (before.keys() & after.keys()) - linked
    lost = {document: (before[document], after[document]) for document in lived_on if before[document] != after[document]}
    told = {document: suite.evidence({"id": both[1]}) for document, both in list(lost.items())[:5]}
    assert not lost, (len(lost), len(lived_on), told)
    assert len(set(after.values())) == len(after)
    require_copies_of_their_own(second, after)
    assert len(lived_on) > 200 and sum(sum(report["done"].values()) for report in second.values()) == CHURNERS * 2 * DEEDS


def require_copies_of_their_own(reports: Reports, after: dict[tuple[str, str], str]) -> None:
    """A copy is another document than its original."""
    pairs = [
        (after[name, number], after[name, str(origin)])
        for name, report in reports.items()
        for number, origin in report["origin"].items()
        if (name, number) in after and (name, str(origin)) in after
    ]
    assert len(pairs) > 10 and all(copy != original for copy, original in pairs)


if __name__ == "__main__":
    main()
