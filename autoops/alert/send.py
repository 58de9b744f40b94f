"""The child process that sends one message: an order on standard input, the outcome on standard output, both one JSON object.

A library may hang or fall over, so it does that here (deliver.py is the parent). An address comes by the pipe and in no argument,
which others could read in /proc. The order: {"kind", "url", "allow_private", "timeout_s"}, and by kind {"key", "payload"} or
{"title", "body", "mood", "attach"}; the outcome: {"wrong"}.
"""

from __future__ import annotations

import json
import sys

from autoops.alert import guard
from autoops.model import JSON


def send(order: JSON) -> str:
    """Send a message; return what is wrong, "" when it was taken."""
    guard.install(allow_private=bool(order["allow_private"]))
    if order["kind"] == "alertmanager":
        from autoops.alert.post import post

        return post(order["url"], order["payload"], order["key"], order["timeout_s"])
    from autoops.alert.relay import relay

    wrong = relay(order["url"], order["title"], order["body"], order["mood"], order["attach"])
    return f"{wrong}; {guard.refused[-1]}" if wrong and guard.refused else wrong


def main() -> None:
    """Do what the order says."""
    order = json.load(sys.stdin)
    out, sys.stdout = sys.stdout, sys.stderr  # what a library prints is no answer
    try:
        wrong = send(order)
    except Exception as error:  # noqa: BLE001  # whatever a library raises is why it was not sent; the parent masks and tells it
        wrong = f"{type(error).__name__}: {error}"
    json.dump({"wrong": wrong}, out)
    out.flush()


if __name__ == "__main__":
    main()
