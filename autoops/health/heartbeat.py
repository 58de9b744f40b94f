"""A heartbeat: an address that is told when a health check begins and how it ended, and raises an alarm when nobody tells it.

healthchecks.io/docs/http_api: POST to URL/start, then to URL/EXITCODE. Guarantees: whatever the other side does, it is over in
time; no redirection is followed; the address is a secret, so no message holds more of it than its host; no name of a file is sent.
Reads a credential, queue/last-health.json; writes nothing.
"""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from autoops import names
from autoops.config import checks
from autoops.health.result import Level

Signal = Literal["start", "end"]
CREDENTIAL = "heartbeat-url"
_OLD_S = 900.0  # no run takes so long without being killed


def address(configured: str, environment: Mapping[str, str]) -> str:
    """Return who is to be told: by systemd's credential, else by the configuration; "": nobody. Raises OSError, ValueError."""
    directory = environment.get("CREDENTIALS_DIRECTORY")
    path = Path(directory, CREDENTIAL) if directory else None
    url = path.read_text().strip() if path and path.exists() else configured
    if fault := checks.url(url):
        raise ValueError(f"the credential {CREDENTIAL} {fault}")
    return url


def message(signal: Signal, memory: Path, now_s: float) -> tuple[str, str]:
    """Return what to append to the address, and what to say: the level, and which checks are not well."""
    if signal == "start":
        return "/start", ""
    try:
        facts = json.loads(memory.read_text())
        at_s = datetime.fromisoformat(facts["at"]).timestamp()
        bad = [str(check["name"]) for check in facts["checks"] if check["level"] != Level.OK.name]
        code, level = int(facts["code"]), str(facts["level"])
    except (OSError, ValueError, KeyError, TypeError):
        return f"/{Level.UNKNOWN}", "AUTOOPS UNKNOWN: what the health check found cannot be read"
    if not 0 <= now_s - at_s < _OLD_S:
        return f"/{Level.UNKNOWN}", "AUTOOPS UNKNOWN: the health check did not come to its end"
    return f"/{code}", f"AUTOOPS {level}" + (f": {', '.join(bad)}" if bad else "")


def send(url: str, ending: str, said: str, timeout_s: float) -> str:
    """Tell an address, and return why that did not work, "" when it did."""
    parts = urlsplit(url)
    target = parts._replace(path=parts.path.rstrip("/") + ending).geturl()
    fault = [_no_answer(timeout_s)]
    thread = threading.Thread(target=lambda: fault.append(_posted(target, said.encode(), timeout_s)), daemon=True)
    thread.start()
    thread.join(timeout_s)  # the limits of sockets are for each step of many
    return fault[-1]


def shown(url: str) -> str:
    """Return as much of an address as others may see."""
    parts = urlsplit(url)
    return names.show(f"{parts.scheme}://{parts.hostname}/...")


def _posted(url: str, body: bytes, timeout_s: float) -> str:
    opener = urllib.request.OpenerDirector()  # without the handler that follows redirections
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    headers = {"User-Agent": "autoops", "Content-Type": "text/plain; charset=utf-8"}
    try:
        opener.open(urllib.request.Request(url, data=body, headers=headers, method="POST"), timeout=timeout_s).close()
    except urllib.error.HTTPError as error:
        return f"it answers {error.code}"
    except Exception as error:  # noqa: BLE001  # http.client has many; none of their texts is told: the address is in some
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            return _no_answer(timeout_s)
        return str(getattr(reason, "strerror", None) or type(reason).__name__)
    return ""


def _no_answer(timeout_s: float) -> str:
    return f"no answer within {timeout_s:g} s"
