"""Addresses of alerts, and who answers there: no message goes where nobody may connect, and nobody unkind holds up the others.

The control takes the guard out, and the same addresses are reached. (Those of the HTTP API come with it.)
"""

from __future__ import annotations

from pathlib import Path

import pytest
from judge import living_on, require_whole
from sinks import WebSink
from telling import SECRET, Told, alerts_of, hook, require_masked

from autoops.alert import guard

NEVER = (
    "169.254.169.254", "169.254.1.1", "fe80::1", "fe80::1%eth0", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1", "::169.254.169.254", "fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16", "0.0.0.0",
    "0.1.2.3", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "240.0.0.1", "::ffff:0.0.0.0", "localhost", "2130706433",
    "0x7f.1", "127.1", "0177.0.0.1", "",
)  # fmt: skip
PRIVATE = (
    "127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::127.0.0.1", "10.0.0.1",
    "172.16.0.1", "192.168.1.1", "::ffff:10.0.0.1", "100.64.0.1", "fc00::1", "fd12:3456::1", "192.0.2.1", "198.18.0.1",
    "2001:db8::1",
)  # fmt: skip
PUBLIC = ("93.184.216.34", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:8.8.8.8", "64:ff9b::808:808")


@pytest.mark.parametrize("address", NEVER)
def test_no_one_connects_there(address: str) -> None:
    assert guard.refusal(address, allow_private=False) and guard.refusal(address, allow_private=True)


@pytest.mark.parametrize("address", PRIVATE)
def test_only_who_may_connects_to_private_hosts(address: str) -> None:
    assert "allow_private" in guard.refusal(address, allow_private=False)
    assert guard.refusal(address, allow_private=True) == ""


@pytest.mark.parametrize("address", PUBLIC)
def test_everybody_connects_to_the_public_internet(address: str) -> None:
    assert guard.refusal(address, allow_private=False) == ""


# who connects

HOSTS = ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "0", "rebound.example")
# A name whose answer is another one when it counts; and a sender without its guard.
REBOUND = """
import socket
asked = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **more: asked("127.0.0.1" if host == "rebound.example" else host, *rest, **more)
"""
UNGUARDED = """
from autoops.alert import guard
guard.install = lambda **_: None
"""


def attempted(told: Told, sink: WebSink, kind: str, where: Path, customized: str) -> dict[str, str]:
    """Try each host by a channel of its own, in processes that were changed; return what was said of each."""
    where.mkdir(exist_ok=True)
    (where / "sitecustomize.py").write_text(customized)
    scheme = "http" if kind == "alertmanager" else "json"
    channels = [
        {"name": f"c{number}", "kind": kind, "url": f"{scheme}://{host}:{sink.port}/ok/{number}", "timeout_s": 60}
        for number, host in enumerate(HOSTS)
    ]
    told.channels(*channels)
    told.find(b"autoops-worker.service")
    told.alert(PYTHONPATH=str(where))
    said = told.run("alerts", "why", told.fingerprint("unit_failed")).out
    return {host: said.partition(f"to c{number} ")[2].partition("\n    to ")[0] for number, host in enumerate(HOSTS)}


@pytest.mark.parametrize("kind", ["alertmanager", "apprise"])
def test_without_permission_nobody_connects_to_this_host_by_any_of_its_names(
    told: Told, sink: WebSink, tmp_path: Path, kind: str
) -> None:
    for host, said in attempted(told, sink, kind, tmp_path / "site", REBOUND).items():
        assert "queued" in said, (host, said)
        assert "refused to connect" in said or "Connection" in said or "know such an address" in said, (host, said)
    assert sink.posted() == []


@pytest.mark.parametrize("kind", ["alertmanager", "apprise"])
def test_control_without_the_guard_they_are_reached(told: Told, sink: WebSink, tmp_path: Path, kind: str) -> None:
    attempted(told, sink, kind, tmp_path / "site", REBOUND + UNGUARDED)
    reached = {HOSTS[int(one.path.split("/")[2])] for one in sink.posted("ok")}
    assert reached >= {"127.0.0.1", "localhost", "rebound.example"}, reached


def test_a_proxy_of_the_environment_is_not_asked(told: Told, sink: WebSink) -> None:
    told.channels({"name": "json", "url": "json://192.0.2.1/x", "allow_private": True, "timeout_s": 3})
    told.find(b"autoops-worker.service")
    told.alert(HTTP_PROXY=sink.url("ok"), http_proxy=sink.url("ok"), ALL_PROXY=sink.url("ok"))
    assert sink.posted() == []


# who answers

UNKIND = {
    "broken": "it answered 500",
    "inward": "it answered 302, a redirect, which is not followed",
    "onward": "it answered 307, a redirect, which is not followed",
    "garbage": "BadStatusLine",
    "stall": "timed out|took too long",
    "endless": "it answered 500",
    "drip": "took too long",
}


def test_unkind_channels_hold_up_nobody_and_are_tried_again(tmp_path: Path, sink: WebSink) -> None:
    with living_on(tmp_path, tmp_path / "suite") as suite:
        told = Told(tmp_path)
        told.channels(*(hook(sink, path, path, timeout_s=1.0) for path in UNKIND), hook(sink))
        told.find(b"autoops-worker.service")
        ran = told.alert()
        assert ("firing", "autoops-worker.service") in alerts_of(sink, "unit_failed")
        assert len(sink.posted("ok")) == len(sink.posted(f"ok/{SECRET}")), "no redirect was followed"
        said = told.run("alerts", "why", told.fingerprint("unit_failed"))
        for path, why in UNKIND.items():
            assert f"to {path} (firing, queued)" in said.out
            assert any(one in said.out for one in why.split("|")), (path, said.out)
        require_masked(ran, said)
        require_whole(suite)


def test_apprise_follows_no_redirect_to_where_nobody_may_connect(told: Told, sink: WebSink) -> None:
    told.channels({"name": "json", "url": sink.url(f"inward/{SECRET}", "json"), "allow_private": True, "timeout_s": 60})
    told.find(b"autoops-worker.service")
    told.alert()
    assert "refused to connect to 169.254.169.254: link-local" in told.run("alerts", "why", told.fingerprint("unit_failed")).out
