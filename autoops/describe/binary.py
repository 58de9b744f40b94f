"""Describe everything else: nothing is known but the type."""

from __future__ import annotations

from autoops.model import JSON

NAME = "binary"
VERSION = 1
TYPES = ("*",)


def extract(data: bytes, truncated: bool) -> JSON:
    """Return no fields."""
    return {}
