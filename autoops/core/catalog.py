"""What a catalog is: which entries belong to it, how it is cut into parts, its digest, and what its metadata.json says. Pure.

A *slice* is the entries of one root, class and status, each or all. It is cut by ID: a part holds the entries from its first ID up
to the first ID of the next part; whatever is before the first part's belongs to the first.

    part(p) = SHA-256(04 | ID | leaf | ID | leaf ...)   of its entries by ID, the leaves as in core/digest.py
    slice   = SHA-256(05 | part(1) | part(2) ...)

So the digest of a slice of a million entries is renewed by reading the few thousand that share a part with what was changed. Where
the cuts are, follows from what was built when: they stand in metadata.json, and whoever compares digests takes them from there.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

from autoops.core.canonical import canonical, parse
from autoops.model import JSON, Entry

FORMAT = 1
METADATA = "metadata.json"
LOWEST = "0" * 16
MAX_METADATA_BYTES = 256 << 20
LeftOut = Mapping[str, int]  # why, and how many entries of a slice are in none of its files therefore
_HEX = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"[0-9]{16}")


class Slice(NamedTuple):
    """Which entries; "" is all."""

    root: str = ""
    class_name: str = ""
    status: str = ""

    def holds(self, entry: Entry) -> bool:
        """Tell whether an entry belongs to it."""
        return (
            self.root in ("", entry.root)
            and self.class_name in ("", entry.described.class_name)
            and self.status in ("", entry.status)
        )


class Part(NamedTuple):
    """One part of a catalog as it was built."""

    first: str  # its entries have this ID or a greater one
    entries: int
    digest: str
    file: str = ""  # "" where the files of a format are not cut by ID


class Made(NamedTuple):
    """One file of a catalog as it was written."""

    size_bytes: int
    sha256: str


class Metadata(NamedTuple):
    """What metadata.json says."""

    name: str
    generator: str  # "jsonl/1": the format and the version of what made it
    declared: JSON  # how the configuration declared it, and what else its lines depend on
    made_at: str
    sequence: int  # of the ledger: the registry was as after this commit
    registry_digest: str  # at that commit
    digest: str  # of the slice
    entries: int
    parts: tuple[Part, ...]
    files: Mapping[str, Made]  # by name, all but metadata.json itself
    left_out: LeftOut


class Range(NamedTuple):
    """IDs from `first` on, below `end` ("": to the end)."""

    first: str
    end: str


class Touch(NamedTuple):
    """What the ledger says happened to one entry since a commit."""

    is_new: bool
    fields: frozenset[str]  # that were set


def spoken(left_out: LeftOut) -> str:
    """Return what a catalog leaves out in words, "" when nothing."""
    return "left out: " + ", ".join(f"{count} ({why})" for why, count in sorted(left_out.items())) if left_out else ""


# digests


def part_digest(members: bytes) -> str:
    """Return the digest of a part whose (ID | leaf) pairs are concatenated in order of ID."""
    return sha256(b"\4" + members).hexdigest()


def slice_digest(parts: Iterable[Part]) -> str:
    """Return the digest of a slice from its parts in order."""
    return sha256(b"\5" + b"".join(bytes.fromhex(part.digest) for part in parts)).hexdigest()


# what a commit touches


def touches(patches: Iterable[tuple[str, JSON]], known: dict[str, Touch]) -> dict[str, Touch]:
    """Add the patches of one record, each with its entry's ID, to what is known of the touched entries, and return that."""
    for entry_id, patch in patches:
        if patch["op"] == "create":
            known[entry_id] = Touch(True, frozenset())
        else:
            before = known.get(entry_id, Touch(False, frozenset()))
            known[entry_id] = before._replace(fields=before.fields | frozenset(patch["set"]))
    return known


def concerns(slice_: Slice, entry: Entry | None, touch: Touch) -> bool:
    """Tell whether a touched entry, as it is now, belongs to a slice or may have belonged to it before it was touched.

    A field that no patch has set is what it was; so what is of another root, and was not moved, was of another root before.
    """
    if entry is None or slice_.holds(entry):
        return True
    if touch.is_new:
        return False
    values = {"root": entry.root, "class": entry.described.class_name, "status": entry.status}
    wanted = {"root": slice_.root, "class": slice_.class_name, "status": slice_.status}
    return all(not wanted[name] or wanted[name] == values[name] or name in touch.fields for name in values)


def parts_of(parts: Sequence[Part], entry_ids: Iterable[str]) -> list[int]:
    """Return the numbers, from 0, of the parts that hold or would hold these IDs, in order."""
    firsts = [part.first for part in parts]
    return sorted({max(0, bisect.bisect_right(firsts, entry_id) - 1) for entry_id in entry_ids})


def range_of(parts: Sequence[Part], number: int) -> Range:
    """Return the IDs that belong to a part."""
    return Range(LOWEST if number == 0 else parts[number].first, parts[number + 1].first if number + 1 < len(parts) else "")


def piece_entries(entries: int, wanted: int) -> int:
    """Return how many entries each piece of a part gets: a part that grew to twice the wanted size is cut, evenly."""
    if entries <= 2 * wanted:
        return max(1, entries)
    pieces = -(-entries // wanted)
    return -(-entries // pieces)


def file_name(stem: str, suffix: str, number: int, total: int) -> str:
    """Return the name of part `number`, from 0, of so many: NAME.jsonl when it is the only one, else NAME-00001.jsonl."""
    return f"{stem}{suffix}" if total == 1 else f"{stem}-{number + 1:05d}{suffix}"


# metadata.json


def metadata_text(made: Metadata) -> str:
    """Return the content of metadata.json."""
    facts = made._asdict() | {
        "format": FORMAT,
        "files": {name: one._asdict() for name, one in made.files.items()},
        "parts": [one._asdict() for one in made.parts],
    }
    return canonical(facts) + "\n"


def metadata_of(raw: bytes) -> Metadata:
    """Return what a metadata.json says. Raises ValueError when it is none, or not one of this version."""
    try:
        value = parse(raw)
        if value.pop("format") != FORMAT:
            raise ValueError("it is of another version")
        parts = tuple(_part(one) for one in value.pop("parts"))
        files = {_name(name): _made(one) for name, one in value.pop("files").items()}
        made = Metadata(**value, parts=parts, files=files)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it is no metadata of a catalog ({error!r})") from None
    texts = (made.name, made.generator, made.made_at)
    if not all(isinstance(text, str) for text in texts) or not isinstance(made.declared, dict):
        raise ValueError("a field of it is no text")
    _require(_is_count(made.sequence) and _is_count(made.entries), "a count of it is none")
    _require(all(_is_hash(text) for text in (made.digest, made.registry_digest)), "a digest of it is none")
    _require(isinstance(made.left_out, dict) and all(map(_is_count, made.left_out.values())), "what it leaves out is no count")
    firsts = [part.first for part in parts]
    _require(bool(parts) and firsts == sorted(set(firsts)), "its parts are not in order")
    return made


def _part(value: JSON) -> Part:
    part = Part(**value)
    _require(isinstance(part.first, str) and bool(_ID.fullmatch(part.first)), "a part of it begins at no ID")
    _require(_is_count(part.entries) and _is_hash(part.digest) and isinstance(part.file, str), "a part of it is none")
    return part


def _made(value: JSON) -> Made:
    made = Made(**value)
    _require(_is_count(made.size_bytes) and _is_hash(made.sha256), "a file of it is none")
    return made


def _name(name: str) -> str:
    _require(bool(name) and "/" not in name and "\0" not in name and name not in (".", "..", METADATA), "a file of it has no name")
    return name


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_hash(value: object) -> bool:
    return isinstance(value, str) and bool(_HEX.fullmatch(value))


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(what)
