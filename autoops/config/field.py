"""One key of the configuration, as a field of a dataclass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Any

YEAR_S = 366 * 86400.0


def key(
    default: Any,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[str] = (),
    check: Callable[[str], str] | None = None,
    name: str = "",
    required: bool = False,
    secret: bool = False,
) -> Any:
    """Return the field of one key. `check` looks at each text of the value and returns what is wrong with it, or "".

    secret: what it holds is repeated in no message.
    """
    facts = {"low": low, "high": high, "choices": tuple(choices), "check": check, "name": name, "required": required}
    return field(default=default, metadata={**facts, "secret": secret})
