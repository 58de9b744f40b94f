"""What the values of keys must look like: each check returns what is wrong with a text, "" when nothing is. Pure."""

from __future__ import annotations

import fnmatch
import re
import zoneinfo

_HOURS = re.compile(r"((?:[01]\d|2[0-3]):[0-5]\d)-((?:[01]\d|2[0-3]):[0-5]\d)")
_CATALOG_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def not_empty(text: str) -> str:
    """Check a word or sentence."""
    return "" if text.strip() and text.isprintable() else "must be a word or sentence of one line"


def pattern(text: str) -> str:
    """Check a gitignore line or a glob; what is left open matches only itself, which nobody means."""
    if not text.strip() or not text.isprintable():
        return "must be a pattern of one line"
    without = re.sub(r"\\.|\[[!^]?\]?[^]]*\]", "", text)
    return "a [ is never closed" if "[" in without else ""


def regex(text: str) -> str:
    """Check a regular expression."""
    try:
        re.compile(text)
    except re.error as error:
        return f"not a regular expression: {error}"
    return ""


def hours(text: str) -> str:
    """Check a span of the day."""
    found = _HOURS.fullmatch(text) if text else None
    if text and not found:
        return "must be two times of day such as 01:00-05:00, or empty"
    return "begins when it ends" if found and found[1] == found[2] else ""


def file_name(text: str) -> str:
    """Check the name of a file."""
    return "must be a file name, without /" if not text or "/" in text or "\0" in text or text in (".", "..") else ""


def mime(text: str) -> str:
    """Check a MIME type or a glob of them."""
    return "" if fnmatch.fnmatch(text, "?*/?*") else "must be a MIME type such as text/x-python or text/*"


def catalog_name(text: str) -> str:
    """Check a catalog's name; it becomes the name of its directory, and the beginning of its files' names."""
    return "" if _CATALOG_NAME.fullmatch(text) else "must be letters, digits, '.', '_' and '-', at most 64, the first no '.'"


def argument(text: str) -> str:
    """Check an argument of a command."""
    return "cannot hold a NUL" if "\0" in text else ""


def place(text: str) -> str:
    """Check where a replica is."""
    return (
        "" if text.startswith(("/", "ssh://")) and text.isprintable() else "must be an absolute path, or ssh://host/path/of/state"
    )


def export(text: str) -> str:
    """Check where an export is, if one is named."""
    return place(text) if text else ""  # "": another provider is named


def url(text: str) -> str:
    """Check an address, if one is named."""
    good = not text or (text.isprintable() and re.fullmatch(r"https?://[^/\s@]+(/\S*)?", text))
    return "" if good else "must be an http:// or https:// address, without a password"


def directory(text: str) -> str:
    """Check a directory, if one is named."""
    return "" if not text or text.startswith("/") else "must be an absolute path, or empty"


def time_zone(text: str) -> str:
    """Check a time zone, if one is named."""
    try:
        zoneinfo.ZoneInfo(text or "UTC")
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a directory of zones
        return "must be a time zone such as Europe/Berlin, or empty"
    return ""


def channel_url(text: str) -> str:
    """Check the address of a channel, if it stands here. What is wrong must not repeat it: it is a secret."""
    return "" if not text or (text.isprintable() and re.match(r"[a-z][a-z0-9+.-]*://\S", text)) else "must be an address"


def credential(text: str) -> str:
    """Check the name of a credential, or the path of a file, if one is named."""
    good = not text or (text.startswith("/") and text.isprintable()) or _CATALOG_NAME.fullmatch(text)
    return "" if good else "must be an absolute path, or letters, digits, '.', '_' and '-'"


def alert_pattern(text: str) -> str:
    """Check a glob of alerts."""
    return "" if text.count(":") >= 2 and text.isprintable() else "must be a glob of source:name:subject, such as health:queue:*"


def trouble(text: str) -> str:
    """Check what a playbook is for."""
    good = text.isprintable() and re.fullmatch(r"health:[^:]+|finding:[^:]+(:.+)?", text)
    return "" if good else "must be health:CHECK, finding:KIND or finding:KIND:SUBJECT, such as health:worker"


def absolute(text: str) -> str:
    """Check a path."""
    return "" if text.startswith("/") and "\0" not in text else "must be an absolute path"


def textfile(text: str) -> str:
    """Check where Prometheus' node_exporter is to find a file; it reads nothing of another name."""
    return "" if not text or (absolute(text) == "" and text.endswith(".prom")) else "must be an absolute path that ends with .prom"
