"""Something due every so often."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Timer:
    """Rings at once when first asked, and then every so many seconds."""

    every_s: float
    due_s: float = 0.0

    def rings(self, now_s: float) -> bool:
        """Tell whether it is due, and set it again if so."""
        if now_s < self.due_s:
            return False
        self.due_s = now_s + self.every_s
        return True
