"""Describe Python source: docstring, functions, classes with their methods, imports, entry points; a syntax error is data.

Only the top level, what stands in its if, try and with blocks, and the bodies of its classes are looked at: parsing is the
cost (3.6 ms for 13 KiB), and walking the whole tree would double it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from autoops.describe import shape
from autoops.describe.encoding import decoded
from autoops.model import JSON

if TYPE_CHECKING:
    import ast
    from collections.abc import Iterator

NAME = "python"
VERSION = 1
TYPES = ("text/x-python",)
MAX_BYTES = 256 * 1024  # a syntax tree takes 290 times the memory of its source: 1.1 GB for 4 MiB

_OUTLINE = re.compile(r"^(async[ \t]+def|def|class)[ \t]+(\w+)", re.MULTILINE)


def extract(data: bytes, truncated: bool) -> JSON:
    """Return what a Python module holds; what was cut or does not parse is outlined by its lines."""
    if truncated:
        return _outlined(data)
    import gc  # imported here, as ast below: a process that meets no Python need not hold it

    collecting = gc.isenabled()
    # A syntax tree has no cycles. Looking for them while it grows, or as soon as it has grown, costs a quarter of the parsing.
    gc.disable()
    try:
        return _described(_parsed(data))  # the tree is gone before collecting begins again
    except SyntaxError as error:
        return {**_outlined(data), **shape.fault(error.msg, error.lineno)}
    except (ValueError, RecursionError, MemoryError) as error:  # NUL bytes; nested too deeply
        return {**_outlined(data), **shape.fault(error)}
    finally:
        if collecting:
            gc.enable()


def _parsed(data: bytes) -> ast.Module:
    import ast
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a file's invalid escapes are its own affair
        return ast.parse(data)


def _described(tree: ast.Module) -> JSON:
    import ast

    functions: list[str] = []
    async_functions: list[str] = []
    classes: list[JSON] = []
    imports: list[str] = []
    entry_points: list[str] = []
    for node in _statements(tree.body):
        kind = type(node)
        if kind is ast.FunctionDef:
            functions.append(node.name)
        elif kind is ast.AsyncFunctionDef:
            async_functions.append(node.name)
        elif kind is ast.ClassDef:
            methods = [member.name for member in node.body if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef)]
            classes.append({"name": node.name, **shape.listed("methods", methods, shape.MAX_NESTED_ITEMS)})
        elif kind is ast.Import:
            imports += [alias.name for alias in node.names]
        elif kind is ast.ImportFrom:
            imports.append("." * node.level + (node.module or ""))
        elif kind is ast.If and _asks_for_main(node.test):
            entry_points.append("__main__")
    docstring = (ast.get_docstring(tree, clean=False) or "").strip().partition("\n")[0]
    return {
        "docstring": docstring,
        **shape.listed("functions", functions),
        **shape.listed("async_functions", async_functions),
        **shape.listed("classes", classes),
        **shape.listed("imports", shape.distinct(imports)),
        **({"entry_points": entry_points[:1]} if entry_points else {}),
    }


def _statements(body: list[ast.stmt]) -> Iterator[Any]:
    """Yield the statements of a module, with those in its if, try and with blocks, in order."""
    waiting = body[::-1]
    while waiting:
        node: Any = waiting.pop()
        yield node
        if hasattr(node, "body") and not hasattr(node, "name"):
            handlers = [statement for handler in getattr(node, "handlers", ()) for statement in handler.body]
            inner = [*node.body, *handlers, *getattr(node, "orelse", ()), *getattr(node, "finalbody", ())]
            waiting += inner[::-1]


def _asks_for_main(test: Any) -> bool:
    """Return whether a condition is `__name__ == "__main__"`, either way round."""
    if not hasattr(test, "comparators"):
        return False
    sides = (test.left, *test.comparators)
    return any(getattr(side, "id", None) == "__name__" for side in sides) and any(
        getattr(side, "value", None) == "__main__" for side in sides
    )


def _outlined(data: bytes) -> JSON:
    found: dict[str, list[Any]] = {"def": [], "async": [], "class": []}
    for match in _OUTLINE.finditer(decoded(data)[0]):
        found[match[1].split()[0]].append(match[2])
    return {
        **shape.listed("functions", found["def"]),
        **shape.listed("async_functions", found["async"]),
        **shape.listed("classes", [{"name": name} for name in found["class"]]),
    }
