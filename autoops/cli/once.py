"""`autoops up --once`: bring the registry up to the disk in this one process, and end."""

from __future__ import annotations

import time
from collections.abc import Callable

from autoops.cli.context import Context
from autoops.model import PRIORITY_OPERATOR, Work, path_key
from autoops.work.worker import Worker

_RETRY_HORIZON_S = 10.0  # what is due later (a file that breaks its extractor) is not waited for


def bring_up_to_date(context: Context, *, stage_two: bool, tell: Callable[[str], None]) -> Worker:
    """Scan every root, work until nothing is left to do, and return the worker, closed. Raises Paused, Held."""
    config = context.checked_config()
    context.refuse_window()
    worker = Worker(context.checked_config, context.state, context.load_key, with_stage_two=stage_two)
    worker.open()
    try:
        worker.resume(lambda: None, None)
        queue = context.queue()
        anew = {"cursor": None}  # what an interrupted scan has behind it may have changed since; null takes it away (RFC 7396)
        queue.enqueue([Work("scan", path_key(root.name, b""), PRIORITY_OPERATOR, anew) for root in config.roots])
        told_s = time.monotonic()
        while not worker.is_done(_RETRY_HORIZON_S):
            sleep_s = worker.step(time.monotonic())
            if time.monotonic() - told_s > 1:
                told_s = time.monotonic()
                tell(worker.status())
            if sleep_s > 0:
                time.sleep(min(sleep_s, 0.1))
        tell(worker.status())
    finally:
        worker.close()
    return worker
