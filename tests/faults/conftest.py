"""The fixtures of the process tests, for tests that kill the processes."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_PROCESS = Path(__file__).parents[1] / "process"
sys.path.insert(0, str(_PROCESS))

_spec = importlib.util.spec_from_file_location("process_fixtures", _PROCESS / "conftest.py")
assert _spec and _spec.loader
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)

make_suite, suite, make_shared = _fixtures.make_suite, _fixtures.suite, _fixtures.make_shared
