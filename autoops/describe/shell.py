"""Describe shell scripts: the interpreter of the shebang, and the functions. Here-documents are passed over."""

from __future__ import annotations

import re

from autoops.core.shebang import interpreter
from autoops.describe import shape
from autoops.describe.encoding import decoded
from autoops.model import JSON

NAME = "shell"
VERSION = 1
TYPES = ("text/x-shellscript",)

_MAX_LINE = 10_000  # characters looked at
_FUNCTION = re.compile(r"\s*+(?:function\s++([^\s(){};&|<>$'\"`#]{1,200}+)|([^\s(){};&|<>$'\"`#=]{1,200}+)\s*+\(\s*+\))")
_HERE = re.compile(r"(?<!<)<<(-?)[ \t]*(?:'(\w+)'|\"(\w+)\"|\\?(\w+))")


def extract(data: bytes, truncated: bool) -> JSON:
    """Return what a shell script is run by and which functions it defines."""
    functions: list[str] = []
    until = ""
    for full in decoded(data)[0].split("\n"):
        if until:
            until = "" if full.strip("\t\r") == until else until
            continue
        line = full[:_MAX_LINE]
        if "(" in line or "function" in line:
            match = _FUNCTION.match(line)
            if match:
                functions.append(match[1] or match[2])
        if "<<" in line and not line.lstrip().startswith("#"):
            here = _HERE.search(line)
            until = (here[2] or here[3] or here[4]) if here and "((" not in line else ""
    shebang = shape.line(data[2:258].partition(b"\n")[0].decode("utf-8", "replace")) if data.startswith(b"#!") else ""
    return {
        **({"shebang": shebang, "interpreter": interpreter(data[:258])} if shebang else {}),
        **shape.listed("functions", functions),
    }
