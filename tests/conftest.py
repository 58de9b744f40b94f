"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("house", deadline=None)  # machines are shared: no test has a time limit
settings.load_profile("house")
