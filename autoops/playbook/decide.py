"""Which playbook is carried out now, and why the others are not. Pure: configuration, what is wrong, what was tried, and the time.

Guarantees, whatever the history: no run after two in a row that failed (one that was killed half way has failed), and none beyond
its own number for a day, before a person releases it; none within the cool-down, none beyond what all together may run in a day.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from autoops import names
from autoops.config import PlaybookConfig
from autoops.core.ledger import utc
from autoops.core.spoken import counted
from autoops.store.playbooks import DAY_S, Known, Run

FAILURES = 2  # in a row, after which a person has to look

# idle: nothing to do. wait, spent: later. held: until it is released. escalate: hold it now, and call a person.
Action = Literal["run", "idle", "wait", "spent", "held", "escalate"]
_SHOWN_CHARACTERS = 300


class Trouble(NamedTuple):
    """One thing that is wrong now."""

    source: str  # "health" or "finding"
    name: str  # of the check, or the kind of the finding
    subject: str  # what a finding is about, as it is shown; "" for a check
    level: str  # OK, WARNING, CRITICAL or UNKNOWN; CRITICAL for a finding
    said: str = ""

    @property
    def label(self) -> str:
        """What it is called: one line that prints, of bounded length, whatever its subject holds."""
        return names.show(":".join(filter(None, (self.source, self.name, self.subject))))[:_SHOWN_CHARACTERS]


class Verdict(NamedTuple):
    """What becomes of one playbook now."""

    playbook: PlaybookConfig
    action: Action
    reason: str
    trouble: Trouble | None = None


class Limits(NamedTuple):
    """What holds for all playbooks together."""

    at_most: int  # runs within a day
    total: int  # runs that there were


def decide(
    playbooks: Sequence[PlaybookConfig],
    troubles: Sequence[Trouble],
    known: Mapping[str, Known],
    limits: Limits,
    now_s: int,
    *,
    force: bool = False,
) -> list[Verdict]:
    """Return what becomes of each playbook, in their order. `force`: a person does not wait for the cool-down."""
    return [_verdict(one, reason_for(one, troubles), known.get(one.name, Known()), limits, now_s, force) for one in playbooks]


def reason_for(playbook: PlaybookConfig, troubles: Sequence[Trouble]) -> Trouble | None:
    """Return the first trouble that a playbook is for."""
    return next((one for one in troubles if is_for(playbook, one)), None)


def is_for(playbook: PlaybookConfig, trouble: Trouble) -> bool:
    """Tell whether a playbook is for a trouble. What cannot be told is no reason to do anything."""
    source, name, subject = playbook.trouble
    levels = ("CRITICAL",) if playbook.severity == "critical" else ("CRITICAL", "WARNING")
    is_named = (trouble.source, trouble.name) == (source, name) and fnmatch.fnmatchcase(trouble.subject, subject)
    return is_named and trouble.level in levels


def _verdict(one: PlaybookConfig, trouble: Trouble | None, known: Known, limits: Limits, now_s: int, force: bool) -> Verdict:
    if known.held_s is not None:
        return Verdict(one, "held", f"held since {utc(known.held_s)}: {known.why}", trouble)
    if why := gives_up(known.recent):
        return Verdict(one, "escalate", why, trouble)
    if trouble is None:
        return Verdict(one, "idle", f"{one.when} is well")
    if why := _goes_round(one, known.recent, trouble, now_s):
        return Verdict(one, "escalate", why, trouble)
    return _when_due(one, trouble, known, limits, now_s, force)


def _when_due(one: PlaybookConfig, trouble: Trouble, known: Known, limits: Limits, now_s: int, force: bool) -> Verdict:
    rest_s = 0 if force else _rest_s(one, known.recent, now_s)
    if rest_s > 0:
        return Verdict(one, "wait", f"it ran {_ago(known.recent[-1], now_s)}: again in {rest_s} s at the earliest", trouble)
    if limits.total >= limits.at_most:
        said = f"playbooks ran {limits.total} times within 24 hours, and at_most of [playbooks] is {limits.at_most}"
        return Verdict(one, "spent", said, trouble)
    return Verdict(one, "run", trouble.label, trouble)


def gives_up(runs: Sequence[Run]) -> str:
    """Return why a person has to look, after these runs (the oldest first); "" when none has to."""
    last = runs[-FAILURES:]
    if len(last) < FAILURES or any(run.outcome == "good" for run in last):
        return ""
    return f"it failed {FAILURES} times in a row, the last time: {last[-1].detail or 'whoever carried it out has died'}"


def _goes_round(one: PlaybookConfig, runs: Sequence[Run], trouble: Trouble, now_s: int) -> str:
    within = [run for run in runs if now_s - run.began_s < DAY_S]
    if len(within) < one.at_most:
        return ""
    return f"{trouble.label} is back after {counted(len(within), 'run')} within 24 hours: it does not help"


def _rest_s(one: PlaybookConfig, runs: Sequence[Run], now_s: int) -> int:
    """Return the seconds that are left of the cool-down. (A run of the future, of a clock that was put back, is waited for.)"""
    return round((runs[-1].ended_s or runs[-1].began_s) + one.cool_down_s) - now_s if runs else 0


def _ago(run: Run, now_s: int) -> str:
    ago_s = now_s - run.began_s
    return f"{ago_s} s ago" if ago_s >= 0 else f"{-ago_s} s from now (the clock was put back; releasing it forgets that)"
