"""The house, read from the imports: which room may know which, and one door for each dependency."""

from __future__ import annotations

import ast
import functools
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import autoops

PACKAGE = Path(autoops.__file__).parent

VOCABULARY = {"errors", "model", "names", "trace", "clock", "acting", "journal", "log", "state", "config"}
SHARED = {"store", "files", "describe", "runtime", "pool", "units", "walk"}
ROOMS = {
    *("watch", "work", "catalog", "prove", "window", "health", "reconcile", "replica", "tail", "backup", "alert"),
    *("playbook", "report"),
}
MAY_KNOW: dict[str, set[str]] = {
    "core": set(),
    "store": {"core"},
    "files": {"core"},
    "describe": {"core"},
    "runtime": {"core"},
    "pool": {"core", "files", "describe", "store"},
    "units": {"core"},
    "walk": {"core", "store", "files", "pool"},
    "watch": {"core", *SHARED},
    "prove": {"core", *SHARED},
    "health": {"core", *SHARED},
    "replica": {"core", *SHARED, "prove"},  # the descent is a proof; where its sides are is not
    "tail": {"core", *SHARED, "prove"},
    "reconcile": {"core", *SHARED, "prove", "replica"},  # it compares the configured replicas
    "catalog": {"core", *SHARED, "prove"},  # what a catalog has to be is what the check of it says
    "window": {"core", *SHARED, "prove"},  # what an operator edited is admitted when it proves itself
    # to put a registry in another's place is what a window does too; a drill compares as replicas are compared
    "backup": {"core", *SHARED, "prove", "window", "replica"},
    "work": {"core", *SHARED, "window"},
    "alert": {"core", *SHARED},
    "playbook": {"core", *SHARED},
    "report": {"core", *SHARED},
    "cli": {"core", *SHARED, *ROOMS},
    "__main__": {"cli"},
}
# One module of a room, for a room that may not know the rest of it: what a file is, is asked while it is being read.
BESIDES = {("files", "autoops.describe.sniff")}

DOORS: dict[str, tuple[str, ...]] = {
    "apprise": ("alert/relay.py",),
    "cryptography": ("core/signing.py",),
    "fastjsonschema": ("core/schema.py",),
    "imagesize": ("describe/",),
    "jsonpatch": ("core/patch.py",),
    "pathspec": ("files/patterns.py",),
    "pypdf": ("describe/",),
    "rich": ("cli/",),
    "sdnotify": ("runtime/",),
    "signal": ("runtime/", "trace.py"),  # trace.py kills itself
    "sqlite3": ("store/",),
    "structlog": ("log.py",),
    "typer": ("cli/",),
    "watchdog": ("watch/",),
    "yaml": ("describe/",),
    "zstandard": ("backup/",),
}
# core is values in, values out. (Its schema is read through importlib.resources, as part of the program.)
IMPURE = {"io", "os", "pathlib", "random", "shutil", "socket", "subprocess", "tempfile", "threading", "time", "uuid"}


class Import(NamedTuple):
    """One imported module, and where."""

    file: str  # below the package
    line: int
    module: str

    @property
    def room(self) -> str:
        """The directory or module, directly below the package, that imports."""
        return self.file.partition("/")[0].removesuffix(".py")


def imports(package: Path) -> Iterator[Import]:
    for path in sorted(package.rglob("*.py")):
        yield from imports_of(path.relative_to(package).as_posix(), path.read_text())


@functools.cache
def imports_of(file: str, text: str) -> list[Import]:
    nodes = ast.walk(ast.parse(text, file))
    return [Import(file, getattr(node, "lineno", 0), module) for node in nodes for module in imported(node, file)]


def imported(node: ast.AST, file: str) -> Iterator[str]:
    """Yield the modules that a statement imports, by their full names; a call with a literal name counts too."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = ("autoops", *Path(file).parts[:-1])
        base = ".".join(above[: len(above) + 1 - node.level]) if node.level else ""
        origin = ".".join(filter(None, (base, node.module)))
        # `from autoops import x` names a module behind the import, `from autoops.x import y` may
        yield from (f"{origin}.{alias.name}" for alias in node.names) if origin.startswith("autoops") else [origin]
    elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("import_module", "__import__"):
        yield from (one.value for one in node.args[:1] if isinstance(one, ast.Constant) and isinstance(one.value, str))


def faults(package: Path) -> list[str]:
    """Return every import that the house does not allow."""
    return [f"{one.file}:{one.line}: {fault}" for one in imports(package) if (fault := fault_of(one, package))]


def fault_of(one: Import, package: Path) -> str | None:
    top = one.module.partition(".")[0]
    if top == "autoops":
        return arrow_fault(one, package)
    if one.room == "core" and top in IMPURE:
        return f"core is pure, and imports {top}"
    if top in DOORS:
        return None if one.file.startswith(DOORS[top]) else f"{top} has its door in {' and '.join(DOORS[top])}"
    return None if top in sys.stdlib_module_names else f"{top} is a dependency that nobody decided on"


def arrow_fault(one: Import, package: Path) -> str | None:
    target = ([*one.module.split("."), ""])[1]
    if target in VOCABULARY | {one.room} or not is_module(package, target):
        return None  # `from autoops import __version__`
    if target in MAY_KNOW.get(one.room, set()) or any(
        room == one.room and (one.module + ".").startswith(module + ".") for room, module in BESIDES
    ):
        return None
    return f"{one.room} may not know {target}"


def is_module(package: Path, name: str) -> bool:
    return (package / name).is_dir() or (package / f"{name}.py").is_file()


def test_every_import_is_one_that_the_house_allows() -> None:
    assert faults(PACKAGE) == []


def test_every_part_of_the_package_has_its_place_in_the_house() -> None:
    parts = {path.name.removesuffix(".py") for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert parts == VOCABULARY | set(MAY_KNOW) | {"__init__"}


def test_every_door_is_used() -> None:
    used = {
        (one.module.partition(".")[0], door)
        for one in imports(PACKAGE)
        for door in DOORS.get(one.module.partition(".")[0], ())
        if one.file.startswith(door)
    }
    assert used == {(name, door) for name, doors in DOORS.items() for door in doors}


@pytest.mark.parametrize(
    ("file", "line", "fault"),
    [
        ("names.py", "from autoops.core import ids", "names may not know core"),
        ("config/x.py", "from autoops import store", "config may not know store"),
        ("core/x.py", "from autoops.store.queue import Queue", "core may not know store"),
        ("core/x.py", "import os", "core is pure, and imports os"),
        ("store/x.py", "import autoops.files.durable", "store may not know files"),
        ("files/x.py", "from autoops.store import database", "files may not know store"),
        ("files/x.py", "from autoops.describe.extract import describe", "files may not know describe"),
        ("files/x.py", "from autoops.describe import extract", "files may not know describe"),
        ("files/x.py", "from autoops.describe.sniffer import x", "files may not know describe"),
        ("describe/x.py", "from ..files import opening", "describe may not know files"),
        ("runtime/x.py", "def f():\n    from autoops.store import queue", "runtime may not know store"),
        ("pool/x.py", "from autoops.walk import scan", "pool may not know walk"),
        ("work/x.py", "from autoops.watch.changes import scan", "work may not know watch"),
        ("watch/x.py", "from .. import work", "watch may not know work"),
        ("prove/x.py", "import importlib\nimportlib.import_module('autoops.work.patches')", "prove may not know work"),
        ("work/x.py", "from autoops.cli import main", "work may not know cli"),
        ("work/x.py", "import sqlite3", "sqlite3 has its door in store/"),
        ("cli/x.py", "from sqlite3 import connect", "sqlite3 has its door in store/"),
        ("work/x.py", "import watchdog.events", "watchdog has its door in watch/"),
        ("work/x.py", "import signal", "signal has its door in runtime/ and trace.py"),
        ("core/x.py", "from cryptography.hazmat import primitives", "cryptography has its door in core/signing.py"),
        ("store/x.py", "import structlog", "structlog has its door in log.py"),
        ("store/x.py", "import numpy", "numpy is a dependency that nobody decided on"),
    ],
)
def test_a_wrong_import_is_found(tmp_path: Path, file: str, line: str, fault: str) -> None:
    package = tmp_path / "autoops"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    with (package / file).open("a") as source:
        source.write(f"\n{line}\n")
    (found,) = faults(package)
    assert found.startswith(f"{file}:") and found.endswith(f": {fault}")


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("files/x.py", "from autoops.describe import sniff"),
        ("files/x.py", "from autoops.describe.sniff import sniff"),
        ("describe/x.py", "import yaml"),
        ("cli/x.py", "from autoops import __version__"),
        ("work/x.py", "from autoops.store.queue import Queue"),
    ],
)
def test_a_right_import_is_let_pass(tmp_path: Path, file: str, line: str) -> None:
    (tmp_path / "autoops").mkdir()
    for room in (*SHARED, *ROOMS, "cli"):
        (tmp_path / "autoops" / room).mkdir()
    (tmp_path / "autoops" / file).write_text(line)
    assert faults(tmp_path / "autoops") == []
