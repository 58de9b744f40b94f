"""What leaves the house: hostile names in every field, secrets in none; and addresses that nobody connects to."""

from __future__ import annotations

import json
import re

import pytest
from alerting import found
from hypothesis import given, settings
from hypothesis import strategies as st

from autoops.alert import mask
from autoops.alert.message import Message, Told, body, mood, title, webhook
from autoops.alert.signal import of_check, of_finding, signal
from autoops.core.redact import REMOVED
from autoops.store.alerts import Alert
from autoops.store.findings import Finding

HOSTILE = (
    "a\r\nBcc: everybody@example.com\r\n\r\nbody",
    "\x1b]0;owned\x07\x1b[2J",
    "<script>alert(1)</script>",
    "@everyone <!channel> <@U123> &lt;b&gt;",
    "[click](http://evil.example.com) `code`",
    "\u202egnp.exe\u2028x\x85y",
    "x" * 20_000,
    "\udcff\udcfe not UTF-8",
    "{{ template }} ${jndi:ldap://x} %s %n",
)
NASTY = st.sampled_from(HOSTILE) | st.text(alphabet=st.characters(), max_size=50)


def alert_of(text: str) -> Alert:
    """Return an alert with a text in every field that a name may reach."""
    made = signal("finding", text, text, "critical", text, {text: text, "detail": {"path": text}}, text)
    facts = {key: getattr(made, key) for key in made._fields if key != "known_by"}
    return Alert(**facts, state="firing", seen=1, since_s=0, fired_s=0)


def message_of(text: str, total: int = 1) -> Message:
    return Message(1, text, "admins", "critical", (Told("firing", alert_of(text)),), {("firing", text): total}, "/runbook")


@settings(deadline=None)
@given(NASTY, st.sampled_from([1, 3]))
def test_the_text_is_lines_that_print_and_nothing_in_it_is_markup(text: str, total: int) -> None:
    message = message_of(text, total)
    for line in (title(message), *body(message).split("\n")):
        assert line.isprintable(), line
        assert not re.search(r"[@<>\[\]`]|&[#\w]|://", line.removeprefix("[autoops ").replace("]", "", 1))
    assert len(body(message).split("\n")) == (3 if total == 1 else 4)
    assert len(title(message)) <= 200 and len(body(message)) < 20_000


@settings(deadline=None)
@given(NASTY)
def test_the_payload_is_json_of_bounded_printing_texts(text: str) -> None:
    payload = json.loads(json.dumps(webhook(message_of(text)), ensure_ascii=False).encode("utf-8"))

    def texts(value: object) -> list[str]:
        if isinstance(value, dict):
            return [one for key, item in value.items() for one in (key, *texts(item))]
        return (
            [one for item in value for one in texts(item)] if isinstance(value, list) else [value] if isinstance(value, str) else []
        )

    assert all(one.isprintable() and len(one) <= 600 for one in texts(payload))


def test_a_secret_in_a_name_leaves_the_house_in_no_field() -> None:
    message = message_of("docs\0backup password=hunter2.txt")
    alert = message.listed[0].alert._replace(name="corrupt", runbook="Finding: corrupt", evidence={})
    message = message._replace(host="h", listed=(Told("firing", alert),), counts={("firing", "corrupt"): 1})
    said = title(message) + body(message) + json.dumps(webhook(message))
    assert "hunter2" not in said and f"docs/backup password={REMOVED}" in json.dumps(webhook(message)["alerts"][0]["labels"])


def test_the_payload_is_alertmanager_s_version_4() -> None:
    payload = webhook(message_of("worker"))
    assert payload.keys() == {
        *("version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels", "commonLabels", "commonAnnotations"),
        *("externalURL", "alerts"),
    }
    (alert,) = payload["alerts"]
    assert alert.keys() == {"status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"}
    assert (payload["version"], payload["status"], alert["endsAt"]) == ("4", "firing", "0001-01-01T00:00:00Z")


def test_ten_thousand_are_one_message_that_counts_them() -> None:
    listed = tuple(Told("firing", alert_of(f"f{n}")) for n in range(20))
    message = Message(1, "host", "a", "warning", listed, {("firing", "missing"): 9_000, ("resolved", "moved"): 1_000}, "/runbook")
    assert title(message) == "[autoops host] WARNING: 9000 firing, 1000 resolved"
    assert "and 9980 more; in all: 9000 missing firing, 1000 moved resolved" in body(message)
    assert webhook(message)["truncatedAlerts"] == 9_980


@pytest.mark.parametrize(
    ("severity", "status", "wanted"),
    [
        ("critical", "firing", "failure"),
        ("warning", "firing", "warning"),
        ("info", "firing", "info"),
        ("critical", "resolved", "success"),
    ],
)
def test_a_message_has_the_colour_of_what_it_says(severity: str, status: str, wanted: str) -> None:
    assert mood(Message(1, "h", "a", severity, (), {(status, "x"): 1}, "")) == wanted


# signals


def test_one_trouble_has_one_fingerprint_whatever_is_said_about_it() -> None:
    one = found("corrupt", "docs\0a.txt")
    assert one.fingerprint == found("corrupt", "docs\0a.txt", severity="info").fingerprint
    assert len({found(name, subject).fingerprint for name in ("a", "b") for subject in ("x", "y")}) == 4
    assert re.fullmatch("[0-9a-f]{16}", one.fingerprint)


def test_secrets_in_a_finding_s_detail_are_taken_out() -> None:
    detail = {"reason": "https://bob:hunter2@example.com/x failed", "password": "hunter3", "deep": [{"token": "hunter4"}]}
    made = of_finding(Finding(1, "registry_provider_error", b"mirror", detail, 0, 0, 1, None))
    assert "hunter" not in json.dumps(made)


def test_a_finding_s_bytes_and_its_nul_are_shown() -> None:
    made = of_finding(Finding(1, "missing", b"docs\0caf\xe9\n", {"reason": "x"}, 0, 0, 1, None))
    assert made.summary == r"docs/caf\xe9\x0a: x"


@pytest.mark.parametrize(("level", "severity"), [("WARNING", "warning"), ("UNKNOWN", "warning"), ("CRITICAL", "critical")])
def test_a_check_that_is_not_well_is_a_signal(level: str, severity: str) -> None:
    made = of_check("disk", level, "98% full", "make room", {"disk": "98%"})
    assert made is not None and (made.severity, made.summary) == (severity, "98% full (to do: make room)")


def test_a_check_that_is_well_and_one_that_the_findings_tell_are_none() -> None:
    assert of_check("disk", "OK", "", "", {}) is None
    assert of_check("findings", "CRITICAL", "3 unit_failed", "", {}) is None


# masks

ADDRESSES = (
    "mailtos://user:pass%40word@mail.example.com?to=x@example.org",
    "tgram://123456:AAFtoken/98765",
    "ntfys://topicsecret",
    "slack://TokenAAAA/TokenBBBB/TokenCCCC/#channel",
    "https://hooks.example.com/services/T000/B000/XXXXsecret?key=abcd1234",
)


@pytest.mark.parametrize("url", ADDRESSES)
def test_no_part_of_an_address_is_said(url: str) -> None:
    secrets = mask.secrets_of(url)
    error = f"could not send to {url}: {' '.join(secrets)}"
    assert not any(secret in mask.masked(error, secrets).replace(REMOVED, "") for secret in secrets)
    for secret in ("pass%40word", "pass@word", "AAFtoken", "topicsecret", "TokenBBBB", "XXXXsecret", "abcd1234"):
        assert secret not in mask.masked(error, secrets) and secret not in mask.shown(url)


def test_the_host_of_a_web_address_may_be_said() -> None:
    assert mask.shown(ADDRESSES[4]) == f"https://hooks.example.com/{REMOVED}"
    assert "hooks.example.com" in mask.masked("cannot connect to hooks.example.com", mask.secrets_of(ADDRESSES[4]))


def test_what_is_masked_is_one_short_line() -> None:
    said = mask.masked("\x1b[31m answered\r\n" + "x" * 10_000, set())
    assert said.isprintable() and len(said) <= 400
