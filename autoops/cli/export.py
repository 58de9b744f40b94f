"""The registry and its ledger as streams of lines that an outsider can check without this program."""

from __future__ import annotations

import os
from collections.abc import Iterator

from autoops import names
from autoops.cli.context import Context
from autoops.core.canonical import canonical, entry_text
from autoops.errors import UsageError
from autoops.store.registry import Registry


def lines(context: Context, output_format: str, root: str | None) -> Iterator[str]:
    """Yield the export's lines. Raises UsageError for a format there is not."""
    registry = context.registry()
    match output_format:
        case "jsonl":
            return (entry_text(entry) for entry in registry.entries(root=root))
        case "ledger":
            return _ledger(registry)
        case "hashdeep":
            return _hashdeep(registry, root)
    raise UsageError(detail=f"there is no format {output_format!r}; there are jsonl, ledger and hashdeep")


def _ledger(registry: Registry) -> Iterator[str]:
    for record in registry.records():
        line = {"hash": record.hash.hex(), "record": record.text, "signature": record.signature.hex()}
        yield canonical(line)


def _hashdeep(registry: Registry, root: str | None) -> Iterator[str]:
    """Yield the file format that `hashdeep -a -k FILE` audits against (hashdeep's own manual page describes it)."""
    yield "%%%% HASHDEEP-1.0"
    yield "%%%% size,sha256,filename"
    yield f"## autoops export, registry hash {registry.head().digest.hex()}"
    places = registry.root_paths()
    for entry in registry.entries(root=root, status="active"):
        if entry.observation.kind == "file" and entry.observation.sha256:
            path = os.path.join(places.get(entry.root, b""), entry.path)
            # the format has no escape: a name with a newline is written in its shown form, which no file has
            name = names.show(path) if b"\n" in path or b"\r" in path else os.fsdecode(path)
            yield f"{entry.observation.size_bytes},{entry.observation.sha256.hex()},{name}"
