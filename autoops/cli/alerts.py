"""`autoops alerts`: who was told of what, and why; acknowledge, silence, test a channel."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Sequence
from typing import Annotated

import typer

from autoops import names
from autoops.cli.alerting import settings_of
from autoops.cli.caller import caller
from autoops.cli.options import ConfigOption, DryRunOption, JsonOption, StateOption, context
from autoops.cli.output import as_json, say, table, warn
from autoops.cli.spans import seconds
from autoops.core.canonical import canonical
from autoops.core.ledger import utc
from autoops.errors import AlertUnknown, ChannelUnknown, NotDelivered, SilenceUnknown, StorageError, UsageError
from autoops.model import JSON
from autoops.store.alerts import Alert, Alerts
from autoops.store.database import Database
from autoops.store.outbox import Attempt, Outbox

alerts_app = typer.Typer(help="Who is told of what: list, show, why, ack, silence, unsilence, test.", invoke_without_command=True)

FingerprintsArgument = Annotated[list[str], typer.Argument(metavar="FINGERPRINT...", help="Or how each begins.")]
FingerprintArgument = Annotated[str, typer.Argument(metavar="FINGERPRINT", help="Or how it begins.")]

_LONGEST_S = 366 * 86400


@alerts_app.callback()
def default(called: typer.Context, state: StateOption = None, json: JsonOption = False) -> None:
    """Who is told of what: list, show, why, ack, silence, unsilence, test. Alone: list."""
    if called.invoked_subcommand is None:
        list_alerts(state, json=json)


@alerts_app.command("list")
def list_alerts(
    state: StateOption = None,
    resolved: Annotated[bool, typer.Option("--resolved", help="Those that are over, the latest first.")] = False,
    silences: Annotated[bool, typer.Option("--silences", help="The silences in force instead.")] = False,
    limit: Annotated[int, typer.Option(help="At most so many; 0: all.")] = 1000,
    json: JsonOption = False,
) -> None:
    """List alerts that stand, the gravest first."""
    with context(state).queue_db(writable=False) as database:
        found = Alerts(database).list(resolved=resolved, limit=limit or -1)
        quiet = Alerts(database).silences(int(time.time()))
        waiting = _outbox(database).waiting()
    if json:
        as_json({"alerts": [_facts(one) for one in found], "silences": [one._asdict() for one in quiet], "waiting": waiting})
    elif silences:
        _print_table(
            ("number", "until", "pattern", "who", "why"),
            [(s.id, utc(s.until_s), s.pattern, s.who, s.why) for s in quiet],
            "silences",
        )
    else:
        rows = [(one.fingerprint, one.severity, one.state, utc(one.since_s), _label(one), one.summary) for one in found]
        _print_table(("fingerprint", "severity", "state", "since", "about", ""), rows, "alerts")
        for channel, severity, how, due_s, attempts, error in waiting:
            say(
                f"not sent: to {channel} ({severity}), {how}, due {utc(due_s)}, {attempts} attempt(s) so far"
                + (f": {error}" if error else "")
            )


def _print_table(head: tuple[str, ...], rows: Sequence[Sequence[object]], what: str) -> None:
    if rows:
        table([head, *rows])
    else:
        say(f"no {what}")


@alerts_app.command("show")
def show(fingerprint: FingerprintArgument, state: StateOption = None, json: JsonOption = False) -> None:
    """Show one alert: what is known of it, and who was told."""
    with context(state).queue_db(writable=False) as database:
        found = _found(database, fingerprint)
        attempts = _outbox(database).attempts(found.fingerprint)
    if json:
        as_json(_facts(found) | {"attempts": [one._asdict() for one in attempts]})
        return
    say(f"{found.severity} {_label(found)}: {found.summary}")
    say(f"{found.state} since {utc(found.since_s)}" + (f", over {utc(found.resolved_s)}" if found.resolved_s is not None else ""))
    if found.acked_s is not None:
        say(f"acknowledged {utc(found.acked_s)} by {found.acked_by}")
    for key, value in found.evidence.items():
        say(f"  {key}: {value if isinstance(value, str) else canonical(value)}")
    _say_attempts(attempts)
    say(f"runbook: '{found.runbook}'")


@alerts_app.command("why")
def why(fingerprint: FingerprintArgument, state: StateOption = None, json: JsonOption = False) -> None:
    """Say why an alert was told, or was not: the last decision, and each attempt at each channel."""
    with context(state).queue_db(writable=False) as database:
        found = _found(database, fingerprint)
        attempts = _outbox(database).attempts(found.fingerprint)
    if json:
        as_json({"reason": found.reason, "due_s": found.due_s, "told": found.told, "attempts": [one._asdict() for one in attempts]})
        return
    say(f"{found.fingerprint} {_label(found)}: {found.severity}, {found.state}")
    say(f"{utc(found.decided_s)}  {found.reason}")
    if found.due_s is not None and found.acked_s is None:
        when = utc(found.due_s) if found.due_s > found.decided_s else "as soon as nothing keeps it quiet"
        say(f"{'to be told' if not found.told else 'to be told again'}: {when}")
    _say_attempts(attempts)


def _say_attempts(attempts: Sequence[Attempt]) -> None:
    for one in attempts:
        say(_said(one))
    if not attempts:
        say("nothing was sent")


def _said(one: Attempt) -> str:
    head = f"message {one.outbox} to {one.channel} ({one.status}, {one.state})"
    if one.at_s is None:
        return f"{head}: not tried yet"
    return f"{head}: {utc(one.at_s)} attempt {one.attempt} {one.outcome}" + (f": {one.detail}" if one.outcome != "sent" else "")


@alerts_app.command("ack")
def acknowledge(fingerprints: FingerprintsArgument, state: StateOption = None, dry_run: DryRunOption = False) -> None:
    """Say that you know of alerts: they are not repeated, nor escalated, until they get worse."""
    with context(state).queue_db(writable=not dry_run) as database:
        found = [_found(database, one) for one in fingerprints]
        for one in found:
            if one.state == "resolved":
                raise AlertUnknown(what=f"{one.fingerprint}, which is over;")
        if not dry_run:
            Alerts(database).acknowledge([one.fingerprint for one in found], caller(), int(time.time()))
    say(f"{'would be ' if dry_run else ''}acknowledged: {', '.join(one.fingerprint for one in found)}")


@alerts_app.command("silence")
def silence(
    pattern: Annotated[str, typer.Argument(help="A fingerprint, or a glob of source:name:subject such as 'health:disk:*'.")],
    span: Annotated[str, typer.Option("--for", metavar="SPAN", help="How long: 30min, 2h, 3d.")],
    reason: Annotated[str, typer.Option("--why", help="The reason, which others will read.")],
    state: StateOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Hear nothing of some alerts for a while. What still stands at the end is told then."""
    now_s = int(time.time())
    until_s = now_s + _seconds(span)
    if not re.fullmatch(r"[0-9a-f]{16}", pattern) and pattern.count(":") < 2:
        raise UsageError(detail=f"{names.show(pattern)} is neither a fingerprint nor a glob of source:name:subject")
    with context(state).queue_db(writable=not dry_run) as database:
        number = 0 if dry_run else Alerts(database).silence(pattern, caller(), reason, now_s, until_s)
    say(f"would be silent until {utc(until_s)}: {pattern}" if dry_run else f"silence {number} until {utc(until_s)}: {pattern}")


@alerts_app.command("unsilence")
def unsilence(
    number: Annotated[int, typer.Argument(help="Its number.")], state: StateOption = None, dry_run: DryRunOption = False
) -> None:
    """End a silence now."""
    now_s = int(time.time())
    with context(state).queue_db(writable=not dry_run) as database:
        if number not in {one.id for one in Alerts(database).silences(now_s)}:
            raise SilenceUnknown(what=number)
        if not dry_run:
            Alerts(database).unsilence([number], now_s)
    say(f"{'would end' if dry_run else 'ended'}: silence {number}")


@alerts_app.command("test")
def test(
    channel: Annotated[str, typer.Argument(help="The name of a configured channel.")],
    state: StateOption = None,
    config: ConfigOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Send a test message to one channel now, and say what became of it. 0 when it was taken, 1 when not."""
    from autoops.alert import mask
    from autoops.alert.deliver import send_now
    from autoops.alert.message import Message, Told

    ctx = context(state, config)
    settings = settings_of(ctx.running_config())
    chosen = next((one for one in settings.channels if one.name == channel), None)
    if chosen is None:
        known = ", ".join(one.name for one in settings.channels) or "none"
        raise ChannelUnknown(name=names.show(channel), known=known)
    if dry_run:
        say(f"would send a test message to {channel}: {mask.shown(chosen.url) if chosen.url else chosen.fault}")
        return
    now_s = int(time.time())
    summary = f"a test of the channel {channel}, by {caller()}; nothing is wrong"
    alert = Alert("0" * 16, "test", "test", "", "info", summary, {}, "Alerts", "firing", 1, now_s, now_s)
    told = Message(0, socket.gethostname(), channel, "info", (Told("firing", alert),), {("firing", "test"): 1}, settings.runbook)
    wrong = send_now(chosen, told)
    try:
        with ctx.queue_db() as database:
            _outbox(database).note(channel, sent=not wrong, detail=wrong or "taken (a test)", now_s=now_s)
    except StorageError as error:  # what became of the message is the answer, all the more when the queue is what is broken
        warn(f"autoops: there is no receipt of it: {error}")
    if wrong:
        raise NotDelivered(channel=channel, why=wrong)
    say(f"taken by {channel}")


def _found(database: Database, beginning: str) -> Alert:
    found = Alerts(database).find(beginning) if re.fullmatch(r"[0-9a-f]{4,16}", beginning) else []
    if len(found) != 1:
        raise AlertUnknown(what=names.show(beginning))
    return found[0]


def _outbox(database: Database) -> Outbox:
    return Outbox(database, uniform=lambda: 0.0)


def _label(alert: Alert) -> str:
    return names.show(alert.label.replace("\0", "/"))


def _facts(alert: Alert) -> JSON:
    return {**alert._asdict(), "subject": names.show(alert.subject.replace("\0", "/"))}


def _seconds(span: str) -> int:
    asked_s = int(seconds(span, "--for"))
    if not asked_s:
        raise UsageError(detail=f"--for {span} is no span of time such as 30min, 2h or 3d")
    if asked_s > _LONGEST_S:
        raise UsageError(detail=f"--for {span} is too long: a year at most; what is never to be told, no channel takes")
    return asked_s


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.add_typer(alerts_app, name="alerts")
