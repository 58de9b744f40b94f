"""One playbook carried out: precondition, remedy, postcondition. Who records it is not here.

Reads what its look reads; starts processes (carry.py), or has root start them (broker.py).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from autoops import names
from autoops.config import Config, PlaybookConfig
from autoops.playbook.broker import Asker, Order
from autoops.playbook.carry import carry_out, carry_out_all
from autoops.playbook.decide import Trouble, Verdict, reason_for
from autoops.playbook.remedies import Command, commands_of
from autoops.state import State
from autoops.trace import trace

_LOOK_FIRST_S, _LOOK_MOST_S = 0.2, 5.0  # between two looks whether it has helped

Look = Callable[[Sequence[PlaybookConfig]], list[Trouble]]  # what is wrong now, of what these are for


class Settings(NamedTuple):
    """What a run needs to be told."""

    config: Config
    state: State
    config_file: Path | None
    look: Look
    tell: Callable[[str], None]  # a person, what is being done
    asker: Asker | None = None  # None: what is for root is tried as whoever we are


def objection(settings: Settings, verdict: Verdict) -> str:
    """Return why a playbook may not be carried out now after all, "" when it may: what its precondition says."""
    one = verdict.playbook
    why = carry_out(Command(one.only_if, is_theirs=True), one.timeout_s, _told(settings, verdict)) if one.only_if else ""
    if why:
        settings.tell(f"{one.name}: not now: {why}")
    return why


def perform(settings: Settings, verdict: Verdict, mended: Callable[[], None] = lambda: None) -> str:
    """Carry out a remedy and see whether it has helped; return what went wrong, "" when it has. `mended` is called in between."""
    one, told = verdict.playbook, _told(settings, verdict)
    settings.tell(f"{one.name}: {one.remedy}, for {told['AUTOOPS_CAUSE']}")
    fault = _remedied(settings, one, told)
    trace("playbook:carried-out")
    if not fault:
        mended()
        fault = _not_helped(settings, one, told)
    settings.tell(f"{one.name}: {f'failed: {fault}' if fault else 'it has helped'}")
    return fault


def _told(settings: Settings, verdict: Verdict) -> dict[str, str]:
    assert verdict.trouble is not None
    where = os.fspath(settings.state.directory)
    return {"AUTOOPS_PLAYBOOK": verdict.playbook.name, "AUTOOPS_CAUSE": verdict.trouble.label, "AUTOOPS_STATE": where}


def _remedied(settings: Settings, one: PlaybookConfig, told: dict[str, str]) -> str:
    commands = commands_of(one, settings.config, settings.state.directory, settings.config_file)
    if settings.asker and all(command.is_roots for command in commands):
        return settings.asker.ask(one.name, Order(commands, one.timeout_s))
    return carry_out_all(commands, one.timeout_s, told)


def _not_helped(settings: Settings, one: PlaybookConfig, told: dict[str, str]) -> str:
    """Return why it has not helped, "" when it has: `verify` says so, or the trouble is gone."""
    end_s, wait_s = time.monotonic() + one.within_s, _LOOK_FIRST_S
    while True:
        if one.verify:
            fault = carry_out(Command(one.verify, is_theirs=True), one.timeout_s, told)
        else:
            fault = _still(one, settings.look([one]))
        left_s = end_s - time.monotonic()
        if not fault or left_s <= 0:
            return f"it has not helped within {one.within_s:g} s: {fault}" if fault else ""
        time.sleep(min(wait_s, left_s))
        wait_s = min(2 * wait_s, _LOOK_MOST_S)


def _still(one: PlaybookConfig, troubles: Sequence[Trouble]) -> str:
    unknown = next((each for each in troubles if each.level == "UNKNOWN"), None)  # which is not "well"
    found = reason_for(one, troubles) or unknown
    return names.show(f"{found.label} is {found.level}: {found.said}")[:300] if found else ""
