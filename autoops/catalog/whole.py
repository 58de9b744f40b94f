"""The formats whose files are made anew as a whole when anything in them changed: markdown and bagit.

Each is a generator of (file name, lines); a file is written while its lines are made, in constant memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from itertools import groupby, islice
from typing import NamedTuple

from autoops import __version__, names
from autoops.catalog.cut import when
from autoops.core.catalog import Slice
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


def markdown(asked: Asked, write: Write) -> None:
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


def bagit(asked: Asked, write: Write) -> None:
    """Write the manifests of a bag whose payload is a copy of the tree: for one root data/PATH, for all data/ROOT/PATH."""
    sums: dict[str, str] = {}
    oxum = [0, 0]

    def told(name: str, lines: Iterable[str]) -> None:
        hashed = sha256()
        write(name, _hashing(lines, hashed.update))
        sums[name] = hashed.hexdigest()

    told("bagit.txt", ["BagIt-Version: 1.0\n", "Tag-File-Character-Encoding: UTF-8\n"])
    told("manifest-sha256.txt", _manifest(asked, oxum))
    info = (
        f"Bag-Software-Agent: autoops {__version__}\n",
        f"Bagging-Date: {asked.made_at[:10]}\n",
        f"External-Identifier: {asked.name}\n",
        f"Payload-Oxum: {oxum[0]}.{oxum[1]}\n",
    )
    told("bag-info.txt", info)
    write("tagmanifest-sha256.txt", [f"{hashed}  {name}\n" for name, hashed in sorted(sums.items())])


def _hashing(lines: Iterable[str], update: Callable[[bytes], object]) -> Iterator[str]:
    for line in lines:
        update(line.encode("utf-8", "surrogateescape"))
        yield line


def _manifest(asked: Asked, oxum: list[int]) -> Iterator[str]:
    """Yield the payload manifest, and add up octets and files."""
    for entry, _ in asked.slices.entries(asked.slice):
        seen = entry.observation
        if seen.kind == "file" and seen.sha256 is not None:
            oxum[0] += seen.size_bytes
            oxum[1] += 1
            yield f"{seen.sha256.hex()}  data/{_prefix(asked, entry.root)}{percent(entry.path)}\n"


def _prefix(asked: Asked, root: str) -> str:
    if asked.slice.root:
        return ""
    parts = root.strip("/").split("/")
    if not _DOTS.isdisjoint(parts):
        reason = f"the root {names.show(root)} cannot be a directory in a bag"
        raise CatalogFailed(name=asked.name, reason=reason, remedy="give that root another name, or the catalog one root")
    return percent("/".join(parts).encode()) + "/"


def percent(path: bytes) -> str:
    """Return a path as a manifest has it: CR, LF and % percent-encoded (RFC 8493, 2.1.3), and each byte that is no UTF-8 too."""
    text = path.decode("utf-8", "surrogateescape")
    return "".join(f"%{char.encode('utf-8', 'surrogateescape')[0]:02X}" if _is_coded(char) else char for char in text)


def _is_coded(char: str) -> bool:
    return bool(_MUST.match(char)) or "\udc80" <= char <= "\udcff"


FORMATS: dict[str, Callable[[Asked, Write], None]] = {"markdown": markdown, "bagit": bagit}
