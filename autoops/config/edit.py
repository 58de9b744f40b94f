"""Changing a configuration file by hand's rules: what somebody wrote, comments and all, stays as it is. Pure."""

from __future__ import annotations

import json

from autoops import names
from autoops.config.check import find_lines
from autoops.config.schema import RootConfig


def quoted(text: str) -> str:
    """Return a TOML basic string of one line in which everything prints (JSON's escapes but for what is beyond 16 bits)."""
    return "".join(char if char.isprintable() else f"\\U{ord(char):08X}" for char in json.dumps(text, ensure_ascii=False))


def root_table(root: RootConfig) -> str:
    """Return the [[root]] table of a root of which nothing but path, name, policy and canary was chosen."""
    lines = ["[[root]]", f"path = {quoted(names.text(root.path))}"]
    if root.name != names.text(root.path):
        lines.append(f"name = {quoted(root.name)}")
    lines.append(f"policy = {quoted(root.policy)}")
    return "\n".join([*lines, *(["canary = true"] if root.canary else [])]) + "\n"


def with_root(text: str, root: RootConfig) -> str:
    """Return a configuration with one more root, at its end."""
    end = "" if not text else "\n" if text.endswith("\n") else "\n\n"
    return f"{text}{end}{root_table(root)}"


def with_backup_directory(text: str, directory: str) -> str:
    """Return a configuration with another [backup] directory; the line that had it is replaced, where there is one."""
    value, lines, places = quoted(directory), text.split("\n"), find_lines(text)
    if found := places.get(("backup", "directory")):
        lines[found - 1] = f"{lines[found - 1].partition('=')[0]}= {value}"
    elif found := places.get(("backup",)):
        lines.insert(found, f"directory = {value}")
    else:
        end = "" if not text else "\n" if text.endswith("\n") else "\n\n"
        return f"{text}{end}[backup]\ndirectory = {value}\n"
    return "\n".join(lines)


def without_root(text: str, number: int) -> str:
    """Return a configuration without its [[root]] table `number` (from 0). Comments after its last key belong to what follows.

    Raises KeyError when it is not written as a [[root]] table.
    """
    lines = text.split("\n")
    places = find_lines(text)
    first = places["root", number] - 1
    others = [line - 1 for where, line in places.items() if line - 1 > first and where[:2] != ("root", number)]
    end = min(others, default=len(lines))
    while end > first + 1 and (not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#")):
        end -= 1
    kept = lines[:first] + lines[end:]
    while first > 0 and first < len(kept) and not kept[first].strip() and not kept[first - 1].strip():
        del kept[first]  # not two empty lines where the table was
    return "\n".join(kept)
