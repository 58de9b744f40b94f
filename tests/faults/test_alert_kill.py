"""`autoops-alerts` killed at each point of its way: the alert is told, at most twice, and never lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sinks import WebSink
from telling import Told, alerts_of, hook

POINTS = ("alert:enqueued", "outbox:claimed", "outbox:delivered", "outbox:settled")


@pytest.mark.parametrize("time", [1, 2])
@pytest.mark.parametrize("point", POINTS)
def test_killed_there_the_next_run_tells_it(tmp_path: Path, sink: WebSink, point: str, time: int) -> None:
    told = Told(tmp_path)
    told.channels(hook(sink), hook(sink, "ok/second", "second"))
    told.find(b"autoops-worker.service")
    told.alert(code=-9, AUTOOPS_TRACE=f"{point}:{time}")
    for _ in range(2):
        told.alert()
    for path in ("ok/s3cr3t", "ok/second"):
        assert 1 <= len(alerts_of(sink, "unit_failed", path)) <= 2
    told.settle(b"autoops-worker.service")
    told.alert(code=-9, AUTOOPS_TRACE=f"{point}:1")
    for _ in range(2):
        told.alert()
    for path in ("ok/s3cr3t", "ok/second"):
        heard = [status for status, _ in alerts_of(sink, "unit_failed", path)]
        assert heard[-1] == "resolved" and heard.count("resolved") <= 2
    assert json.loads(told.run("alerts", "list", "--json").out)["waiting"] == []
