"""Root's half of a run of playbooks: two kinds of commands, and nothing else.

A run reads what others may have written: queue.db, findings, names of files. So it is done by a process that is the state's owner
for good, and root stays behind in another one, which reads the configuration alone, and is asked for a playbook by its name.

Guarantee: root runs only what is in the orders, each at most once in a run, with a time limit. Reads requests of at most 4 KiB.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, NoReturn

from autoops.acting import become_owner_of
from autoops.playbook.carry import carry_out_all
from autoops.playbook.remedies import Command
from autoops.runtime.signals import die_with_parent

_MOST_BYTES = 4096
_GRACE_S = 10.0  # over what all of it may take


class Order(NamedTuple):
    """What root does when it is asked for one playbook."""

    commands: tuple[Command, ...]
    timeout_s: float  # of each


class Asker:
    """The way to ask root."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def ask(self, playbook: str, order: Order) -> str:
        """Have root carry out a playbook; return what went wrong, "" when nothing did."""
        try:
            self._connection.settimeout(order.timeout_s * len(order.commands) + _GRACE_S)
            self._connection.send(playbook.encode())
            answer = self._connection.recv(_MOST_BYTES)
        except OSError as error:  # a timeout is one, too
            self._connection.close()  # what it says later would be taken for what became of another playbook
            return f"root does not answer: {error}"
        return answer[1:].decode(errors="replace") if answer else "root does not answer"


def split(directory: Path, orders: Mapping[str, Order]) -> Asker:
    """Go on as the owner of a directory; return, in a new process, the way to ask root for what is in `orders`.

    The process of before stays root, does what it is asked for, and exits as the new one does. Raises OSError.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent = os.getpid()
    child = os.fork()
    if child:
        theirs.close()
        _serve(ours, child, orders)
    ours.close()
    become_owner_of(directory)
    die_with_parent()  # after the change of user, which takes it away
    if os.getppid() != parent:
        sys.exit(1)
    return Asker(theirs)


def _serve(connection: socket.socket, child: int, orders: Mapping[str, Order]) -> NoReturn:
    left = dict(orders)
    while request := _next(connection):
        order = left.pop(request.decode(errors="replace"), None)
        fault = carry_out_all(order.commands, order.timeout_s, {}) if order else "root does not know it, or has done it already"
        try:
            connection.send(b"." + fault.encode(errors="replace")[: _MOST_BYTES - 1])
        except OSError:  # it has died: how, is asked next
            break
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    sys.exit(code if code >= 0 else 128 - code)


def _next(connection: socket.socket) -> bytes:
    try:
        return connection.recv(_MOST_BYTES)
    except ConnectionError:
        return b""
