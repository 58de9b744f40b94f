"""What the checks say of the machine, the digest, keys, certificates and canaries; and how a run is told to Prometheus."""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from autoops.config import HealthConfig
from autoops.errors import CannotTell
from autoops.health import canary, digest, heartbeat, host, keys, machine, metrics
from autoops.health.canary import Flown
from autoops.health.digest import Checkpoint
from autoops.health.report import headline
from autoops.health.result import Figure, Level, Result, worst
from autoops.store.samples import Percentiles

LIMITS = HealthConfig()
DAY_S = 86400.0
NOW_S = 1_800_000_000.0
NOW = datetime.datetime.fromtimestamp(NOW_S, datetime.UTC)


# memory, load, response


def test_memory_is_read_from_proc_and_where_that_is_hidden_from_the_nodes(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:        1000 kB\nMemFree:  100 kB\nMemAvailable:     250 kB\nHugePages_Total:       0\n")
    assert machine.memory(meminfo) == machine.Memory(1000 * 1024, 250 * 1024)
    for node in range(2):
        (tmp_path / f"node{node}").mkdir()
        text = "".join(
            f"Node {node} {name}: {kib} kB\n"
            for name, kib in {"MemTotal": 500, "MemFree": 50, "FilePages": 90, "Shmem": 20, "SReclaimable": 5}.items()
        )
        (tmp_path / f"node{node}" / "meminfo").write_text(text + f"Node {node} HugePages_Total:     0\n")
    assert machine.memory(tmp_path / "hidden", tmp_path) == machine.Memory(1000 * 1024, 250 * 1024)
    with pytest.raises(CannotTell, match="how much memory is used"):
        machine.memory(tmp_path / "hidden", tmp_path / "hidden")


def test_both_ways_say_much_the_same_here() -> None:
    by_proc, by_nodes = machine.memory(), machine.memory(Path("/hidden"))
    assert by_proc.total == pytest.approx(by_nodes.total, rel=0.1)
    assert 0 < by_nodes.available <= by_nodes.total


@pytest.mark.parametrize(("available", "level"), [(101, Level.OK), (100, Level.WARNING), (30, Level.CRITICAL)])
def test_memory_is_judged_by_what_no_program_could_get(available: int, level: Level) -> None:
    found = machine.judge_memory(machine.Memory(1000, available), LIMITS)
    assert found.level == level and bool(found.remedy) == bool(level)


@pytest.mark.parametrize(("load", "level"), [(7.9, Level.OK), (8.0, Level.WARNING), (32.0, Level.CRITICAL)])
def test_load_is_judged_for_each_core(load: float, level: Level) -> None:
    assert machine.judge_load(load, LIMITS).level == level


@pytest.mark.parametrize(
    ("read_s", "write_s", "level"),
    [(0.099, 0.099, Level.OK), (0.1, 0.0, Level.WARNING), (0.0, 0.1, Level.WARNING), (0.0, 1.0, Level.CRITICAL)],
)
def test_the_response_is_judged_by_the_slower_of_reads_and_writes(read_s: float, write_s: float, level: Level) -> None:
    took = {machine.READ: Percentiles(9, 0, read_s, 9), machine.WRITE: Percentiles(9, 0, write_s, 9)}
    assert machine.judge_response(took, LIMITS).level == level
    assert machine.judge_response({}, LIMITS).level == Level.OK


# clock


def clock(last: float | None, sign: float | None, synchronised: bool | None, container: bool, must_know: bool = True) -> Result:
    last_at, sign_at = (None if at is None else NOW + datetime.timedelta(seconds=at) for at in (last, sign))
    return host.clock(NOW, last_at, synchronised, container, sign_at, must_know=must_know)


def test_a_clock_that_was_set_back_is_critical_whoever_keeps_it() -> None:
    for last, sign in ((1, None), (None, 1), (-5, 1)):
        for synchronised in (True, False, None):
            for container in (True, False):
                assert clock(last, sign, synchronised, container).level == Level.CRITICAL
    assert clock(-1, -1, True, False).level == Level.OK


def test_a_clock_that_nobody_keeps_is_a_warning_but_not_in_a_container() -> None:
    assert clock(None, None, False, False).level == Level.WARNING
    assert clock(None, None, False, True).level == Level.OK
    assert clock(None, None, None, False).level == Level.UNKNOWN
    assert clock(None, None, None, False, must_know=False).level == Level.OK, "a sandbox does not let us ask"


# digest


CHECKPOINT = Checkpoint(7, "ab" * 32, "cd" * 32, 100)


@pytest.mark.parametrize(
    ("uncovered_s", "due_s", "silent_s", "level", "why"),
    [
        (0, 0, 30, Level.OK, "lacks nothing"),
        (1799, 1799, 1799, Level.OK, "lacks nothing"),
        (1800, 0, 0, Level.WARNING, "commits have no checkpoint"),
        (0, 3600, 0, Level.CRITICAL, "jobs are due"),
        (0, 0, 7200, Level.CRITICAL, "the watcher gave no sign of life"),
    ],
)
def test_a_digest_is_as_old_as_what_it_may_lack(uncovered_s: float, due_s: float, silent_s: float, level: Level, why: str) -> None:
    found = digest.judged(uncovered_s, due_s, {"watcher": silent_s, "worker": 0.0}, CHECKPOINT, LIMITS)
    assert found.level == level and why in found.text


def test_an_idle_registry_does_not_age() -> None:
    assert digest.judged(0, 0, {"watcher": 1, "worker": 1}, CHECKPOINT, LIMITS).level == Level.OK
    assert digest.judged(0, 0, {}, None, LIMITS).text == "no checkpoint was written yet"


def line(sequence: int) -> bytes:
    facts = {"at": "x", "digest": "cd" * 32, "entries": 9, "hash": "ab" * 32, "sequence": sequence, "signature": "00"}
    return json.dumps(facts).encode() + b"\n"


@pytest.mark.parametrize(
    ("content", "sequence"),
    [
        (b"", None),
        (line(1), 1),
        (line(1) + line(2), 2),
        (line(1) + line(2)[:-9], 1),  # being written
        (line(1) + line(2)[:-1], 1),  # nearly
        (line(1) + b"nonsense\n" + b"[1]\n" + b"[" * 5000 + b"\n", 1),
        (line(1) * 200 + line(9), 9),
        (line(1) + b"x" * 100_000 + b"\n", None),  # out of sight: the tailer says what is wrong
    ],
)
def test_the_newest_checkpoint_is_the_last_whole_line_that_is_one(tmp_path: Path, content: bytes, sequence: int | None) -> None:
    path = tmp_path / "checkpoints.jsonl"
    path.write_bytes(content)
    found = digest.newest(path)
    assert (found.sequence if found else None) == sequence
    assert digest.newest(tmp_path / "none") is None


def test_a_checkpoint_that_the_ledger_contradicts_is_told() -> None:
    assert digest.contradiction(None, None) == ""
    assert digest.contradiction(CHECKPOINT, bytes.fromhex("ab" * 32)) == ""
    assert "older copy" in digest.contradiction(CHECKPOINT, None)
    assert "is not the one" in digest.contradiction(CHECKPOINT, bytes(32))


# key, certificates


def certificate(path: Path, days: float) -> str:
    """Write a certificate that is good for so many days from now on."""
    key, name = Ed25519PrivateKey.generate(), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "t")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    made = made.not_valid_before(NOW - datetime.timedelta(days=900)).not_valid_after(NOW + datetime.timedelta(days=days))
    with path.open("ab") as file:
        file.write(made.sign(key, None).public_bytes(Encoding.PEM))
    return str(path)


@pytest.mark.parametrize(("days", "level"), [(22, Level.OK), (21, Level.WARNING), (7, Level.CRITICAL), (-1, Level.CRITICAL)])
def test_a_certificate_is_judged_by_the_days_it_has_left(tmp_path: Path, days: int, level: Level) -> None:
    path = certificate(tmp_path / "c.pem", days)
    found = keys.certificates(keys.ends([path]), NOW_S, LIMITS)
    assert found.level == level and bool(found.remedy) == bool(level)
    assert found.figures[0].value == pytest.approx(days * DAY_S)


def test_of_several_certificates_the_first_to_end_counts(tmp_path: Path) -> None:
    certificate(tmp_path / "chain.pem", 500)
    assert keys.ends([certificate(tmp_path / "chain.pem", 3)]) == {str(tmp_path / "chain.pem"): NOW_S + 3 * DAY_S}


def test_a_certificate_that_cannot_be_read_is_unknown_and_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("no PEM")
    for path in (tmp_path / "x", tmp_path / "none", tmp_path):
        assert keys.certificates(keys.ends([str(path)]), NOW_S, LIMITS).level == Level.UNKNOWN
    found = keys.certificates({}, NOW_S, LIMITS)
    assert found.level == Level.OK and "none is configured" in found.text


@pytest.mark.parametrize(("days", "level"), [(-1, 0), (3649, 0), (3650, 1), (7300, 2)])
def test_a_key_is_judged_by_its_age(days: int, level: int) -> None:
    assert keys.key_age(NOW_S - days * DAY_S, NOW_S, LIMITS).level == level


# canaries


WRITTEN = Flown(NOW_S, "aa", 0.0)


def test_a_canary_is_seen_when_the_registry_has_what_was_written() -> None:
    assert canary.next_of(WRITTEN, "bb", NOW_S + 5) == WRITTEN
    assert canary.next_of(WRITTEN, None, NOW_S + 5) == WRITTEN
    seen = canary.next_of(WRITTEN, "aa", NOW_S + 5)
    assert seen is not None and seen.seen_s == 5
    assert canary.next_of(seen, "cc", NOW_S + 50) == seen, "what somebody else writes later is no matter"
    assert canary.next_of(None, "aa", NOW_S) is None


@pytest.mark.parametrize(
    ("last", "age_s", "due"),
    [
        (None, 0, True),
        (WRITTEN, 3599, False),
        (WRITTEN, 3600, True),  # given up
        (WRITTEN._replace(seen_s=2.0), 3599, False),
        (WRITTEN._replace(seen_s=2.0), 3600, True),
        (WRITTEN._replace(fault="no room"), 1, True),
        (WRITTEN, -1, True),  # the clock was set back
    ],
)
def test_a_canary_is_written_again_when_it_is_time(last: Flown | None, age_s: float, due: bool) -> None:
    assert canary.is_due(last, NOW_S + age_s, LIMITS) == due


def test_a_canary_that_was_not_seen_is_critical_until_one_is() -> None:
    def level(one: Flown, age_s: float) -> Level:
        return canary.judged({"docs": one}, NOW_S + age_s, LIMITS).level

    assert level(WRITTEN, 299) == Level.OK
    assert level(WRITTEN, 300) == Level.CRITICAL
    assert level(WRITTEN._replace(seen_s=299), 10_000) == Level.OK
    assert level(WRITTEN._replace(missed=True), 1) == Level.CRITICAL, "the next one has just been written"
    assert level(WRITTEN._replace(missed=True, seen_s=1), 10) == Level.OK
    assert level(WRITTEN._replace(fault="no room"), 1) == Level.WARNING
    assert canary.judged({}, NOW_S, LIMITS).level == Level.OK
    broken = WRITTEN._replace(fault="no room")
    assert canary.judged({"a": broken, "b": broken}, NOW_S, LIMITS) == canary.judged({"b": broken, "a": broken}, NOW_S, LIMITS)
    assert canary.judged({"a": broken, "b": broken}, NOW_S, LIMITS).figures == ()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"docs": 1}', '{"docs": [1, "a"]}', '{"docs": [1, "a", "x", "", 0]}'])
def test_nonsense_is_no_memory_of_canaries(tmp_path: Path, text: str) -> None:
    (tmp_path / "canary.json").write_text(text)
    assert canary.recall(tmp_path / "canary.json", []) == {}


# how a run is told


HOSTILE = 'a"b\\c\nd|e\x1b[31m\udcff é'
RESULTS = [
    Result("disk", Level.OK, "fine", (Figure("disk_used", 12.5, "%", 80, 95), Figure("disk_free", 5e12, "B"))),
    Result("queue", Level.WARNING, HOSTILE, (Figure("jobs_completed", 3, "c"), Figure("queue_oldest_due", 1e-6, "s", 300, 3600))),
]


def families(text: str) -> dict[str, dict[frozenset[tuple[str, str]], float]]:
    """Read a textfile with Prometheus' own parser."""
    return {
        sample.name: {
            frozenset(other.labels.items()): other.value for f2 in [family] for other in f2.samples if other.name == sample.name
        }
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_prometheus_reads_a_run_in_base_units() -> None:
    counted = [metrics.Family("autoops_coverage_gaps", "Gaps.", [({"root": HOSTILE, "reason": "overflow"}, 2)])]
    found = families(metrics.text(RESULTS, counted, NOW_S, 0.25))
    nothing: frozenset[tuple[str, str]] = frozenset()
    assert found["autoops_health_status"][nothing] == 1
    assert found["autoops_health_check_status"] == {
        frozenset({("check", "disk")}): 0,
        frozenset({("check", "queue")}): 1,
    }
    assert found["autoops_disk_used_ratio"][nothing] == 0.125
    assert found["autoops_disk_free_bytes"][nothing] == 5e12
    assert found["autoops_jobs_completed_total"][nothing] == 3
    assert found["autoops_queue_oldest_due_seconds"][nothing] == 1e-6
    assert found["autoops_health_last_run_timestamp_seconds"][nothing] == NOW_S
    ((labels, value),) = found["autoops_coverage_gaps"].items()
    assert value == 2 and dict(labels)["root"] == r'a"b\c\x0ad|e\x1b[31m\xff é'


@given(st.text() | st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape")))
@settings(deadline=None)
def test_no_name_breaks_the_textfile_or_the_headline(name: str) -> None:
    text = metrics.text(RESULTS, [metrics.Family("x", "X.", [({"root": name}, 1.0)])], NOW_S, 1.0)
    (sample,) = next(family for family in text_string_to_metric_families(text) if family.name == "x").samples
    assert sample.value == 1 and sample.labels["root"].isprintable()
    assert text.encode()
    require_plugin_output(headline([Result("queue", Level.WARNING, name, RESULTS[1].figures)]))


# monitoring-plugins.org/doc/guidelines.html#AEN201: 'label'=value[UOM];[warn];[crit];[min];[max], separated by spaces; a label
# holds no '=' and a quotation mark in it is doubled; UOM is none, s (us, ms), %, B (KB, MB, TB) or c; warn and crit are ranges
# [@]start:end.
_NUMBER = r"-?[0-9]+(?:\.[0-9]+)?"
_RANGE = rf"@?(?:(?:{_NUMBER}|~)?:)?(?:{_NUMBER})?"
_PERFDATA = re.compile(
    rf"'(?:[^'=]|'')+'=(?P<value>{_NUMBER}|U)(?:[um]?s|%|[KMGT]?B|c)?"
    rf"(?:;(?:{_RANGE})?(?:;(?:{_RANGE})?(?:;(?:{_NUMBER})?(?:;(?:{_NUMBER})?)?)?)?)?"
)


def require_plugin_output(line: str) -> None:
    """Judge one line of output by the guidelines."""
    said, bar, figures = line.partition(" | ")
    assert re.match(r"AUTOOPS (OK|WARNING|CRITICAL|UNKNOWN): ", said)
    assert line.isprintable() and "|" not in said
    if bar:
        labels = [figure.partition("=")[0] for figure in figures.split(" ")]
        assert all(_PERFDATA.fullmatch(figure) for figure in figures.split(" ")), figures
        assert len(labels) == len(set(labels))


@given(st.floats(allow_nan=False, allow_infinity=False, width=32), st.sampled_from(["", "s", "%", "B", "c"]))
def test_every_number_is_one_that_monitoring_systems_read(value: float, unit: str) -> None:
    require_plugin_output(headline([Result("x", Level.OK, "y", (Figure("f", value, unit, value, value),))]))


# heartbeats


def test_a_heartbeat_says_the_level_and_the_checks_and_nothing_else(tmp_path: Path) -> None:
    memory = tmp_path / "last-health.json"
    at = "2027-01-15T08:00:00.000Z"  # NOW_S
    checks = [{"name": "disk", "level": "OK", "text": "/srv/secret"}, {"name": "queue", "level": "WARNING", "text": "/srv/secret"}]
    memory.write_text(json.dumps({"at": at, "level": "WARNING", "code": 1, "checks": checks}))
    assert heartbeat.message("start", memory, NOW_S) == ("/start", "")
    assert heartbeat.message("end", memory, NOW_S + 5) == ("/1", "AUTOOPS WARNING: queue")
    assert heartbeat.message("end", memory, NOW_S + 900)[0] == "/3", "that was another run"
    assert heartbeat.message("end", memory, NOW_S - 5)[0] == "/3"
    for nonsense in ("", "[]", "{}"):
        memory.write_text(nonsense)
        assert heartbeat.message("end", memory, NOW_S)[0] == "/3"


def test_the_credential_comes_before_the_configuration(tmp_path: Path) -> None:
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert heartbeat.address("https://h/a", environment) == heartbeat.address("https://h/a", {}) == "https://h/a"
    (tmp_path / "heartbeat-url").write_text("https://h/b\n")
    assert heartbeat.address("https://h/a", environment) == "https://h/b"
    (tmp_path / "heartbeat-url").write_text("file:///etc/secret-place")
    with pytest.raises(ValueError, match="http") as refused:
        heartbeat.address("", environment)
    assert "secret-place" not in str(refused.value)


def test_no_more_of_an_address_is_shown_than_its_host() -> None:
    assert heartbeat.shown("https://hc.example.org/0b9e-secret?token=x") == "https://hc.example.org/..."


def test_the_gravest_of_all_levels_is_what_is_told() -> None:
    assert worst(result.level for result in RESULTS) == Level.WARNING
