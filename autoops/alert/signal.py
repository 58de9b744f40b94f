"""Signals: what one look found that somebody may have to hear of. Made of health checks and findings. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from autoops import names
from autoops.core.canonical import canonical
from autoops.core.drift import severity_of
from autoops.core.redact import redact
from autoops.model import JSON
from autoops.store.alerts import Severity
from autoops.store.findings import Finding
from autoops.store.outbox import Failing

HEALTH, FINDINGS, CHANNELS = "health", "finding", "channel"
CHANNEL_DEAD = "channel_dead"

_BY_LEVEL: Mapping[str, Severity] = {"WARNING": "warning", "UNKNOWN": "warning", "CRITICAL": "critical"}
# Checks that say nothing which the findings themselves do not.
_TOLD_ELSEWHERE = ("findings",)
_SUMMARY_CHARACTERS = 500
_EVIDENCE_CHARACTERS = 4000
_SAID = ("blame", "said", "result", "reason", "detail")  # the keys of a finding's detail that say most


class Signal(NamedTuple):
    """One trouble, seen now."""

    fingerprint: str  # 16 hexadecimal digits
    source: str
    name: str
    subject: str
    severity: Severity
    summary: str  # one line that prints, without secrets
    evidence: JSON
    runbook: str  # the heading of its chapter
    known_by: str = ""  # who has acknowledged it elsewhere


def signal(source: str, name: str, subject: str, severity: Severity, summary: str, evidence: JSON, runbook: str) -> Signal:
    """Return a signal whose texts are fit to leave the house: they print, are not endless, and name no secret."""
    told = canonical(evidence)
    safe: JSON = {"cut": redact(told[:_EVIDENCE_CHARACTERS])} if len(told) > _EVIDENCE_CHARACTERS else _redacted(evidence)
    text = names.cut(names.show(redact(summary[:_EVIDENCE_CHARACTERS])), _SUMMARY_CHARACTERS)
    return Signal(fingerprint(source, name, subject), source, name, subject, severity, text, safe, runbook)


def fingerprint(source: str, name: str, subject: str) -> str:
    """Return what an alert is known by: the first 16 hexadecimal digits of SHA-256 over the canonical [source, name, subject]."""
    return hashlib.sha256(canonical([source, name, subject]).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def of_check(name: str, level: str, text: str, remedy: str, figures: JSON) -> Signal | None:
    """Return what a health check has to tell, None when all is well. `level`: OK, WARNING, CRITICAL or UNKNOWN."""
    if level not in _BY_LEVEL or name in _TOLD_ELSEWHERE:
        return None
    summary = f"{text} (to do: {remedy})" if remedy else text
    return signal(HEALTH, name, "", _BY_LEVEL[level], summary, {"level": level, "figures": figures}, f"Check: {name}")


def of_finding(finding: Finding) -> Signal:
    """Return what a finding has to tell."""
    severity = severity_of(finding.kind)
    subject = names.text(finding.subject)
    shown = names.text(finding.subject.replace(b"\0", b"/"))
    said = next((finding.detail[key] for key in _SAID if key in finding.detail), "")
    why = said.get("said", "") if isinstance(said, dict) else said
    summary = f"{shown}: {why}" if why else shown
    evidence = {"finding": finding.id, "first_seen_s": finding.first_seen_s, "detail": finding.detail}
    made = signal(FINDINGS, finding.kind, subject, severity, summary, evidence, f"Finding: {finding.kind}")
    return made._replace(known_by=finding.acknowledged_by or "")


def of_channel(failing: Failing) -> Signal:
    """Return that a channel is dead."""
    said = f"nothing was delivered to the channel {failing.channel}, in {failing.attempts} attempts: {failing.detail}"
    evidence: JSON = {"since_s": failing.since_s, "attempts": failing.attempts}
    return signal(CHANNELS, CHANNEL_DEAD, failing.channel, "critical", said, evidence, "A channel is dead")


def _redacted(value: JSON) -> JSON:
    return {str(key): _safe(item, key) for key, item in value.items()}


def _safe(value: object, key: object = "") -> object:
    if isinstance(value, dict):
        return _redacted(value)
    if isinstance(value, list | tuple):
        return [_safe(item, key) for item in value]
    if not isinstance(value, str):
        return value
    beginning = f"{key}: "
    told = redact(beginning + value)  # by its key too
    return told[len(beginning) :] if told.startswith(beginning) else redact(value)
