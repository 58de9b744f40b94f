"""The formats whose files are made anew as a whole when anything in them changed: markdown and bagit.

Each writes its files, line by line while these are made, in constant memory, and returns what of the slice they leave out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from itertools import groupby, islice
from typing import NamedTuple

from autoops import __version__, names
from autoops.catalog.cut import when
from autoops.core.catalog import LeftOut, Slice
from autoops.errors import CatalogFailed
from autoops.model import Entry
from autoops.store.slices import Slices

Write = Callable[[str, Iterable[str]], None]  # a file of the new generation, from its lines


class Asked(NamedTuple):
    """What a whole catalog is made from."""

    name: str
    slice: Slice
    slices: Slices
    page_entries: int
    made_at: str


# markdown: an index, and for each root a page or several, by path

_PUNCTUATION = re.compile(r"""([\\`*_{}\[\]<>()#+!|~&:@$^"'=])""")


def escaped(shown: str) -> str:
    """Return a shown name as Markdown that shows it: every character that could mean something is escaped (CommonMark 2.4)."""
    return _PUNCTUATION.sub(r"\\\1", shown).replace("www.", "www\\.")


def markdown(asked: Asked, write: Write) -> LeftOut:
    """Write the pages of every root, by path, and the index of them."""
    index = [f"# {escaped(asked.name)}\n", "\n", "| root | entries | pages |\n", "|---|---|---|\n"]
    for number, (root, entries) in enumerate(groupby(asked.slices.by_path(asked.slice), key=lambda entry: entry.root), 1):
        pages: list[str] = []
        total = 0
        while page := list(islice(entries, asked.page_entries)):
            pages.append(f"{asked.name}-{number:03d}-{len(pages) + 1:05d}.md")
            total += len(page)
            write(pages[-1], _page(root, page))
        links = " ".join(f"[{count}]({name})" for count, name in enumerate(pages, 1))
        index.append(f"| {escaped(names.show(root))} | {total} | {links} |\n")
    write("index.md", index)
    return {}


def _page(root: str, page: Iterable[Entry]) -> Iterator[str]:
    yield f"# {escaped(names.show(root))}\n\n| path | class | bytes | modified | ID |\n|---|---|---:|---|---|\n"
    for entry in page:
        seen, path = entry.observation, escaped(names.show(entry.path))
        status = "" if entry.status == "active" else f" ({entry.status})"
        class_name = escaped(names.show(entry.described.class_name or ""))
        yield f"| {path}{status} | {class_name} | {seen.size_bytes} | {when(seen.mtime_ns // 1_000_000_000)} | {entry.id} |\n"


# bagit (RFC 8493)

_MUST = re.compile(r"[\r\n%]")
_DOTS = {"", ".", ".."}


def bagit(asked: Asked, write: Write) -> LeftOut:
    """Write the manifests of a bag whose payload is a copy of the tree: for one root data/PATH, for all data/ROOT/PATH."""
    sums: dict[str, str] = {}
    oxum = [0, 0]
    left_out: Counter[str] = Counter()

    def told(name: str, lines: Iterable[str]) -> None:
        hashed = sha256()
        write(name, _hashing(lines, hashed.update))
        sums[name] = hashed.hexdigest()

    told("bagit.txt", ["BagIt-Version: 1.0\n", "Tag-File-Character-Encoding: UTF-8\n"])
    told("manifest-sha256.txt", _manifest(asked, oxum, left_out))
    info = (
        f"Bag-Software-Agent: autoops {__version__}\n",
        f"Bagging-Date: {asked.made_at[:10]}\n",
        f"External-Identifier: {asked.name}\n",
        f"Payload-Oxum: {oxum[0]}.{oxum[1]}\n",
        *(f"Left-Out: {count} ({why})\n" for why, count in sorted(left_out.items())),
    )
    told("bag-info.txt", info)
    write("tagmanifest-sha256.txt", [f"{hashed}  {name}\n" for name, hashed in sorted(sums.items())])
    return left_out


def _hashing(lines: Iterable[str], update: Callable[[bytes], object]) -> Iterator[str]:
    for line in lines:
        update(line.encode())
        yield line


def _manifest(asked: Asked, oxum: list[int], left_out: Counter[str]) -> Iterator[str]:
    """Yield the payload manifest; add up octets and files, and what cannot be in it, by reason."""
    for entry, _ in asked.slices.entries(asked.slice):
        seen = entry.observation
        if why := why_left_out(entry):
            left_out[why] += 1
        elif seen.sha256 is not None:
            oxum[0] += seen.size_bytes
            oxum[1] += 1
            yield f"{seen.sha256.hex()}  data/{_prefix(asked, entry.root)}{percent(entry.path.decode())}\n"


def why_left_out(entry: Entry) -> str:
    """Return why a manifest cannot have an entry, "" when it can. A manifest is UTF-8, and its escapes are of characters."""
    if entry.observation.kind != "file":
        return "no plain file"
    if entry.observation.sha256 is None:
        return "never read"
    try:
        entry.path.decode()
    except UnicodeDecodeError:
        return "name is not UTF-8"
    return ""


def _prefix(asked: Asked, root: str) -> str:
    if asked.slice.root:
        return ""
    parts = root.strip("/").split("/")
    if not _DOTS.isdisjoint(parts):
        reason = f"the root {names.show(root)} cannot be a directory in a bag"
        raise CatalogFailed(name=asked.name, reason=reason, remedy="give that root another name, or the catalog one root")
    return percent("/".join(parts)) + "/"


def percent(path: str) -> str:
    """Return a path as a manifest has it: CR, LF and % percent-encoded (RFC 8493, 2.1.3), and nothing else."""
    return _MUST.sub(lambda found: f"%{ord(found[0]):02X}", path)


FORMATS: dict[str, Callable[[Asked, Write], LeftOut]] = {"markdown": markdown, "bagit": bagit}
