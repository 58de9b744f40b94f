"""Post JSON to a web address: no redirect is followed, no proxy is asked, and no more than a little of the answer is read.

Whom it connects to is guard.py's; how long it may take in all, its parent's (deliver.py). Talks to the network.
"""

from __future__ import annotations

import http.client
import json
import ssl
from base64 import b64encode
from urllib.parse import unquote, urlsplit

from autoops import __version__
from autoops.model import JSON

_READ_BYTES = 4096  # of an answer; only its status counts


def post(url: str, payload: JSON, key: str, timeout_s: float) -> str:
    """Post a document; return what is wrong, "" when it was taken (a status of 2xx).

    `key`: the same for each attempt at one message (the header Idempotency-Key), so that a receiver can tell a doubled one.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "its address is not one of http:// or https://"
    headers = {"Content-Type": "application/json", "User-Agent": f"autoops/{__version__}", "Idempotency-Key": key}
    if parts.username is not None:
        headers["Authorization"] = (
            "Basic " + b64encode(f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()).decode()
        )
    connection = (
        http.client.HTTPSConnection(parts.hostname, parts.port, timeout=timeout_s, context=ssl.create_default_context())
        if parts.scheme == "https"
        else http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout_s)
    )
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target, json.dumps(payload).encode(), headers)
        answer = connection.getresponse()
        answer.read(_READ_BYTES)
        return _wrong(answer.status)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        connection.close()


def _wrong(status: int) -> str:
    if 200 <= status < 300:
        return ""
    if 300 <= status < 400:
        return f"it answered {status}, a redirect, which is not followed"
    return f"it answered {status}"
