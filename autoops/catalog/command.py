"""Catalogs that an external program makes: canonical entries as lines on its standard input, files in its working directory.

docs/formats.md has the protocol. What it leaves must be plain files directly in that directory, none a link to anything; else, and
when it fails or breaks a limit, there is no new generation and the old one stays.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from autoops import names
from autoops.config import CatalogConfig
from autoops.core.catalog import METADATA
from autoops.errors import CatalogFailed
from autoops.runtime import confined


def make(table: CatalogConfig, lines: Iterable[bytes], directory: Path, alive: Callable[[], None]) -> list[str]:
    """Let the program make its files and return their names, in stored form. Raises CatalogFailed."""
    limits = confined.Limits(table.timeout_s, table.max_bytes)
    try:
        ended = confined.run(table.command, lines, directory, limits, alive)
    except OSError as error:
        raise _failed(table, f"{table.command[0]} cannot be started: {error.strerror}") from error
    if ended.why:
        said = names.show(ended.said.decode(errors="replace").strip())
        raise _failed(table, f"{table.command[0]}: {ended.why}" + (f"; it said: {said}" if said else ""))
    return _files(table, directory)


def _files(table: CatalogConfig, directory: Path) -> list[str]:
    found = []
    for name in sorted(os.listdir(os.fsencode(directory))):
        there = os.lstat(os.path.join(os.fsencode(directory), name))
        if not stat.S_ISREG(there.st_mode) or there.st_nlink != 1:
            raise _failed(table, f"{table.command[0]} made {names.show(name)}, which is no plain file")
        if name == METADATA.encode():
            raise _failed(table, f"{table.command[0]} made a {METADATA}, which is not its own")
        found.append(names.text(name))
    return found


def _failed(table: CatalogConfig, reason: str) -> CatalogFailed:
    return CatalogFailed(
        name=table.name, reason=names.show(reason), remedy="docs/formats.md, 'External commands', has the protocol"
    )
