"""Describe Markdown: title, headings with their levels, front matter, links. Code is not taken for either.

A line scanner after CommonMark's rules for ATX and setext headings and fenced code; what a full parser would add (headings
in quotes and lists) is not looked for.
"""

from __future__ import annotations

import re

from autoops.describe import shape
from autoops.describe.encoding import decoded
from autoops.describe.yaml_text import fields
from autoops.model import JSON

NAME = "markdown"
VERSION = 1
MAX_BYTES = 1024 * 1024
TYPES = ("text/markdown",)

_MAX_FRONT_MATTER = 64 * 1024
_MAX_LINE = 10_000  # characters looked at
_HEADING = re.compile(r"(#{1,6})(?:[ \t]+|$)(.*)")
_CLOSING_MARKS = re.compile(r"(?:^|[ \t])#+[ \t]*$")
_FENCE = re.compile(r"`{3,}(?=[^`]*$)|~{3,}")
_UNDERLINE = re.compile(r"(=+|-+)[ \t]*$")
_CODE_SPAN = re.compile(r"`[^`]+`")
_LINK = re.compile(r"\]\(\s{0,3}<?([^\s()<>]{1,500})|<(https?://[^\s<>]{1,500})>")
_REFERENCE = re.compile(r"\[[^\[\]]{1,200}\]:[ \t]*<?([^\s<>]{1,500})")


def extract(data: bytes, truncated: bool) -> JSON:
    """Return what a Markdown document says of itself."""
    text = decoded(data)[0].replace("\r\n", "\n")
    front_matter, body_at = _front_matter(text)
    headings, links = _scanned(text[body_at:].split("\n"))
    declared = front_matter.get("front_matter", {}).get("title")
    first = next((heading["text"] for heading in headings if heading["level"] == 1), None)
    title = declared if isinstance(declared, str) and declared else first or (headings[0]["text"] if headings else None)
    return {
        "title": title,
        **front_matter,
        **shape.listed("headings", headings),
        **shape.listed("links", shape.distinct(links)),
    }


def _front_matter(text: str) -> tuple[JSON, int]:
    """Return ({"front_matter": …}, where the body begins); a block that is not YAML is a fault, and is no body either."""
    if not text.startswith("---\n"):
        return {}, 0
    end = re.compile(r"^(?:---|\.\.\.)[ \t]*$", re.MULTILINE).search(text, 4, _MAX_FRONT_MATTER)
    if not end:
        return {}, 0
    found, fault = fields(text[4 : end.start()], first_line=2)
    return ({"front_matter": found} if found else {}) | fault, end.end()


def _scanned(lines: list[str]) -> tuple[list[JSON], list[str]]:
    headings: list[JSON] = []
    links: list[str] = []
    fence = before = ""
    for full in lines:
        text = full[:_MAX_LINE].lstrip(" ")
        indented = full.startswith("    ")
        mark = text[:1]
        if fence:
            if mark == fence[0] and not indented and not text.rstrip().strip(fence[0]) and text.startswith(fence):
                fence = ""
            continue
        if mark and mark in "#=-`~[" and not indented:
            opened = _FENCE.match(text)
            if opened:
                fence, before = opened[0], ""
                continue
            _take_heading(text, before, headings)
            reference = _REFERENCE.match(text)
            if reference:
                links.append(reference[1])
        if "](" in text or "<http" in text:
            links += [match[1] or match[2] for match in _LINK.finditer(_CODE_SPAN.sub("", text))]
        before = "" if indented else text
    return headings, links


def _take_heading(text: str, before: str, headings: list[JSON]) -> None:
    heading = _HEADING.match(text)
    if heading:
        headings.append({"level": len(heading[1]), "text": _CLOSING_MARKS.sub("", heading[2]).strip()})
    elif before.strip() and before[0] not in "#>" and _UNDERLINE.match(text) and not _UNDERLINE.match(before):
        headings.append({"level": 1 if text[0] == "=" else 2, "text": before.strip()})
