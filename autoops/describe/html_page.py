"""Describe HTML: title, language, description, headings with their levels, links. Scripts and styles are not text."""

from __future__ import annotations

from html.parser import HTMLParser

from autoops.describe import shape
from autoops.describe.encoding import decoded
from autoops.model import JSON

NAME = "html"
VERSION = 1
TYPES = ("text/html", "application/xhtml+xml")

_MAX_CHARACTERS = 512 * 1024  # what follows is not looked at
_HEADINGS = {f"h{level}": level for level in range(1, 7)}


class _Page(HTMLParser):
    """Collects what is asked for while the parser goes by."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title: str | None = None
        self.fields: JSON = {}
        self.headings: list[JSON] = []
        self.links: list[str] = []
        self._collecting = ""
        self._pieces: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _HEADINGS or (tag == "title" and self.title is None):
            self.finish()
            self._collecting = tag
        given = dict(attrs)
        if tag == "a" and given.get("href"):
            self.links.append(given["href"] or "")
        elif tag == "html" and given.get("lang"):
            self.fields.setdefault("lang", given["lang"])
        elif tag == "meta" and (given.get("name") or "").lower() == "description":
            self.fields.setdefault("description", given.get("content") or "")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._collecting:
            self.finish()

    def handle_data(self, data: str) -> None:
        if self._collecting:
            self._pieces.append(data)

    def finish(self) -> None:
        """Take what was being collected."""
        text = shape.line("".join(self._pieces)).strip()
        if self._collecting == "title":
            self.title = text
        elif self._collecting:
            self.headings.append({"level": _HEADINGS[self._collecting], "text": text})
        self._collecting = ""
        self._pieces = []


def extract(data: bytes, truncated: bool) -> JSON:
    """Return what a page says of itself."""
    page = _Page()
    fault: JSON = {}
    try:
        page.feed(decoded(data)[0][:_MAX_CHARACTERS])
        page.finish()  # not close(): it looks for the end of an unclosed tag from each "<" on, in quadratic time
    except (AssertionError, ValueError, RecursionError) as error:  # a declaration that html.parser gives up on
        fault = shape.fault(error, page.getpos()[0])
    return {
        "title": page.title,
        **page.fields,
        **shape.listed("headings", page.headings),
        **shape.listed("links", shape.distinct(shape.line(link) for link in page.links)),
        **fault,
    }
