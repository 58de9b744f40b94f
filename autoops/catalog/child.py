"""One process of a crew: takes orders as lines of JSON on standard input, answers each with one line, ends with its input.

Reads registry.db; writes files into the new generation that it is told. See crew.py.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

from autoops import names
from autoops.catalog.cut import cut_of
from autoops.catalog.parts import write_range
from autoops.config import CatalogConfig
from autoops.core.catalog import Range
from autoops.errors import AutoopsError
from autoops.model import JSON
from autoops.prove.catalogs import slice_of
from autoops.store.database import Database
from autoops.store.registry import SCHEMA, Registry
from autoops.store.slices import Slices


def main() -> None:
    """Carry out orders until there are none any more."""
    lines = iter(sys.stdin.buffer.readline, b"")
    try:
        _work(json.loads(next(lines)), lines)
    except (AutoopsError, OSError) as error:
        _answer({"fault": names.show(str(error))})


def _work(setup: JSON, lines: Any) -> None:
    table = CatalogConfig(**{**setup["table"], "command": tuple(setup["table"]["command"])})
    cut = cut_of(table, {root: names.to_bytes(path) for root, path in setup["places"].items()})
    with Database.open(Path(setup["database"]), SCHEMA, mode="ro") as database, contextlib.ExitStack() as held:
        for line in lines:
            order = json.loads(line)
            if "snapshot" in order:
                held.close()
                registry = Registry(held.enter_context(database.snapshot()))
                head = registry.head()
                _answer({"hash": head.hash.hex(), "sequence": head.sequence})
            else:
                where = Range(order["first"], order["end"])
                written = write_range(
                    Slices(database), slice_of(table), cut, Path(setup["directory"]), where, setup["part_entries"]
                )
                facts = [{"made": one.made._asdict() if one.made else None, "part": one.part._asdict()} for one in written]
                _answer({"written": facts})


def _answer(value: JSON) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
