"""Describe PDF: pages, title, author, whether it is encrypted. Damaged files are read as far as they go.

A hostile PDF can keep any reader busy for ever: whoever calls this kills the process after a time limit.
"""

from __future__ import annotations

import io
import logging
from typing import Any

from autoops.describe import shape
from autoops.model import JSON

NAME = "pdf"
VERSION = 1
TYPES = ("application/pdf",)

_INFORMATION = ("title", "author", "subject", "creator", "producer")


def extract(data: bytes, truncated: bool) -> JSON:
    """Return what a PDF's trailer leads to; the trailer is at the end, so of a truncated one only the version is known."""
    version = shape.line(data[5:8].decode("latin-1"))
    if truncated:
        return {"version": version}
    import pypdf  # imported here: a process that meets no PDF need not hold it (17 MiB)

    logging.getLogger("pypdf").setLevel(logging.CRITICAL + 1)  # it reports each damage of a file on stderr
    found: JSON = {"version": version}
    try:
        reader = pypdf.PdfReader(io.BytesIO(data), strict=False)
        found["encrypted"] = bool(reader.is_encrypted)
        pages = reader.root_object["/Pages"]["/Count"]  # type: ignore[index]
        found["pages"] = int(pages) if isinstance(pages, int) and pages >= 0 else None
        if not reader.is_encrypted:
            found |= _information(reader.metadata or {})
    except Exception as error:  # noqa: BLE001 - pypdf raises whatever the damage leads it to: KeyError, TypeError, RecursionError
        found |= shape.fault(error)
    return found


def _information(metadata: Any) -> JSON:
    """Return the document information dictionary (ISO 32000-1, 14.3.3), as far as it is text."""
    values = {field: metadata[f"/{field.title()}"] for field in _INFORMATION if f"/{field.title()}" in metadata}
    return {field: str(value) for field, value in values.items() if isinstance(value, str)}
