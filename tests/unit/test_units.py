"""What is written for systemd, and what is read of what it says."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from autoops.config import Config
from autoops.errors import RootRefused, UsageError
from autoops.pool.asking import pool_of
from autoops.units import backups, dropins, quoting, systemd
from autoops.units.access import Step, Who, steps, ways_out, why_closed
from autoops.units.dropins import Opening

PROJECT = Path(__file__).parents[2]
WATCHER, WORKER, RECONCILER, DRILL = dropins.UNITS


def settings(opening: Opening, unit: str) -> list[str]:
    """Return the lines of a drop-in that set something."""
    text = dropins.files(opening).get(dropins.file_of(opening.name, unit), "")
    return [line for line in text.splitlines() if line and not line.startswith(("#", "["))]


def test_the_worker_has_room_for_its_children_on_a_host_of_many_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(256)))
    children = 3 * pool_of(Config(), tmp_path, idle_s=10, limit_s=60).size  # to scan, to look at single files, to describe
    lines = (PROJECT / "systemd/autoops-worker.service").read_text().splitlines()
    limits = dict(line.split("=", 1) for line in lines if line.startswith(("TasksMax=", "MemoryMax=")))
    assert int(limits["TasksMax"]) > children + 1
    assert int(limits["MemoryMax"].removesuffix("G")) * 1024 > (children + 4) * 16


# which sandbox a root needs


def test_a_root_that_the_services_see_anyway_needs_nothing() -> None:
    assert dropins.files(Opening("docs", b"/srv/docs")) == {}


def test_a_root_whose_files_are_renamed_is_writable_for_the_worker_alone() -> None:
    opening = Opening("docs", b"/srv/docs", writes=True)
    assert settings(opening, WATCHER) == []
    assert settings(opening, WORKER) == ["ReadWritePaths=-/srv/docs"]


@pytest.mark.parametrize("path", [b"/home/ann/docs", b"/root/docs", b"/run/user/1000/x"])
def test_a_root_in_a_home_is_bound_into_hidden_homes(path: bytes) -> None:
    bound = path.decode()
    assert settings(Opening("d", path), WATCHER) == ["ProtectHome=tmpfs", f"BindReadOnlyPaths=-{bound}"]
    renamed = Opening("d", path, writes=True)
    for reader in (WATCHER, RECONCILER, DRILL):
        assert settings(renamed, reader) == ["ProtectHome=tmpfs", f"BindReadOnlyPaths=-{bound}"]
    assert settings(renamed, WORKER) == ["ProtectHome=tmpfs", f"BindPaths=-{bound}"]


@pytest.mark.parametrize("path", [b"/tmp/x", b"/var/tmp/x"])
def test_a_root_in_tmp_is_bound_into_the_private_one(path: bytes) -> None:
    assert settings(Opening("d", path), WORKER) == [f"BindReadOnlyPaths=-{path.decode()}"]


@pytest.mark.parametrize("path", [b"/homes/x", b"/srv/home/x", b"/tmpx"])
def test_a_name_that_only_begins_like_a_home_is_none(path: bytes) -> None:
    assert dropins.files(Opening("d", path)) == {}


def test_reading_everything_and_a_group_are_for_all_who_look() -> None:
    for unit in dropins.UNITS:
        assert settings(Opening("d", b"/srv/d", read_all=True, group="media"), unit) == [
            "SupplementaryGroups=media",
            "CapabilityBoundingSet=CAP_DAC_READ_SEARCH",
            "AmbientCapabilities=CAP_DAC_READ_SEARCH",
            "PrivateUsers=no",
        ]


def test_each_setting_has_its_reason_right_above_it() -> None:
    opening = Opening("d", b"/home/a", writes=True, read_all=True, group="g")
    for text in dropins.files(opening).values():
        lines = text.splitlines()
        for number, line in enumerate(lines):
            if "=" in line and not line.startswith("#"):
                assert lines[number - 1].startswith("# "), line


def test_a_hostile_name_or_path_forges_no_line() -> None:
    opening = Opening("a\n[Service]\nUser=root", b"/home/x", read_all=True)
    text, *_ = dropins.files(opening).values()
    assert [line for line in text.splitlines() if "User=root" in line] == [
        r"# Root: a\x0a[Service]\x0aUser=root in /home/x (real path)."
    ]


# canaries


@pytest.mark.parametrize(
    ("path", "lines"),
    [
        (b"/srv/docs", ["ReadWritePaths=-/srv/docs/.autoops-canary"]),
        (b"/home/ann", ["ProtectHome=tmpfs", "BindPaths=-/home/ann/.autoops-canary"]),
        (b"/var/tmp/x", ["BindPaths=-/var/tmp/x/.autoops-canary"]),
    ],
)
def test_a_canary_is_the_one_file_that_the_health_check_may_write(path: bytes, lines: list[str]) -> None:
    assert settings(Opening("d", path, canary=True), dropins.HEALTH) == lines
    assert settings(Opening("d", path), dropins.HEALTH) == []
    for unit in dropins.UNITS:
        assert settings(Opening("d", path, canary=True), unit) == settings(Opening("d", path), unit)


def test_who_passes_to_a_root_by_a_group_passes_to_its_canary() -> None:
    opening = Opening("d", b"/srv/d", group="media", canary=True)
    assert settings(opening, dropins.HEALTH) == ["ReadWritePaths=-/srv/d/.autoops-canary", "SupplementaryGroups=media"]


# quoting


@pytest.mark.parametrize(
    ("path", "written"),
    [
        (b"/srv/a", "/srv/a"),
        (b"/srv/100%", "/srv/100%%"),
        (b"/srv/a b", '"/srv/a b"'),
        (b'/srv/"q"', r'"/srv/\"q\""'),
        (b"/srv/it's", '"/srv/it\'s"'),
        (rb"/srv/b\n", r'"/srv/b\\n"'),
        (b"/srv/a:b", '"/srv/a:b"'),
        ("/srv/é".encode(), '"/srv/é"'),
        (b"/srv/\t", '"/srv/\t"'),
        (b"/srv/${HOME}", '"/srv/${HOME}"'),
    ],
)
def test_a_path_is_quoted_for_systemd(path: bytes, written: str) -> None:
    assert quoting.path(path) == written
    assert unquoted(written) == path.decode()


def unquoted(value: str) -> str:
    """Read a value as systemd does (extract-word.c with EXTRACT_UNQUOTE): the judge of what was written."""
    out, quote, escaped = "", "", False
    for char in value:
        if escaped:
            out, escaped = out + char, False
        elif char == "\\":
            escaped = True
        elif quote:
            out, quote = (out, "") if char == quote else (out + char, quote)
        elif char in "\"'":
            quote = char
        else:
            assert char not in " \t:", "a separator"
            out += char
    assert not quote and not escaped
    return out.replace("%%", "%")


@pytest.mark.parametrize("path", [b"/srv/a\nb", b"/srv/a\rb", b"/srv/\xff"])
def test_a_path_that_no_unit_file_can_carry_is_refused_with_a_reason(path: bytes) -> None:
    with pytest.raises(RootRefused) as refused:
        dropins.files(Opening("d", path, writes=True))
    assert "unit file" in str(refused.value) and refused.value.advice and "\n" not in str(refused.value)
    assert dropins.files(Opening("d", path)) == {}, "where nothing has to be written, nothing is wrong"


@pytest.mark.parametrize("name", [b'q"', b"it's", b"\t", b"\x01", b"\x7f"])
def test_what_systemd_cannot_bind_is_refused_where_it_would_be_bound(name: bytes) -> None:
    with pytest.raises(RootRefused, match="cannot bind"):
        dropins.files(Opening("d", b"/home/" + name))
    assert settings(Opening("d", b"/srv/" + name, writes=True), WORKER)


@pytest.mark.parametrize("name", ["/srv/papers", "a-b", ".hidden", "a b", "é", "a\\b", "x.y_z:1", "", "-"])
def test_a_file_name_is_what_systemd_escape_makes_of_it(name: str) -> None:
    if shutil.which("systemd-escape") is None:
        pytest.skip("systemd-escape is not installed")
    said = subprocess.run(["systemd-escape", "--", name], capture_output=True, text=True, check=True).stdout.rstrip("\n")
    assert quoting.file_name(name) == said
    assert "/" not in quoting.file_name(name)


def test_long_names_are_cut_and_told_apart() -> None:
    one, other = quoting.file_name("a" * 300), quoting.file_name("a" * 301)
    assert one != other and len(f"root-{one}.conf") < 256
    assert quoting.file_name("é" * 100) != quoting.file_name("é" * 101)


def test_what_is_written_pleases_systemd_analyze(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    path = "/home/a b%c\\w:xé".encode()
    texts = dropins.files(Opening("it's 100%", path, writes=True, read_all=True, group="root")).values()
    for number, text in enumerate(
        (
            *texts,
            dropins.files(Opening("x", b"/srv/" + path[6:], writes=True)).popitem()[1],
            *backups.files(b"/srv/" + path[6:]).values(),
        )
    ):
        unit = tmp_path / f"u{number}.service"
        unit.write_text(text.replace("[Service]", "[Service]\nExecStart=/bin/true"))
        run = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
        assert (run.returncode, run.stdout, run.stderr) == (0, "", ""), text


# backups elsewhere


def test_a_backup_directory_is_writable_for_those_who_keep_backups_and_nothing_in_it_is_run() -> None:
    found = backups.files(b"/mnt/disk/autoops")
    assert [path.parent.name.removesuffix(".d") for path in found] == list(backups.UNITS)
    for text in found.values():
        lines = [line for line in text.splitlines() if line and not line.startswith(("#", "["))]
        assert lines == ["ReadWritePaths=-/mnt/disk/autoops", "NoExecPaths=-/mnt/disk/autoops"]


def test_a_backup_directory_in_a_home_is_bound_into_hidden_homes() -> None:
    (text, *_, read) = backups.files(b"/home/ann/backups").values()
    assert "ProtectHome=tmpfs\n" in text and "\nBindPaths=-/home/ann/backups\n" in text
    assert "ProtectHome=tmpfs\n" in read and "\nBindReadOnlyPaths=-/home/ann/backups\n" in read and "autoops-archive" in read


def test_a_backup_directory_that_no_unit_file_can_carry_is_refused_with_a_reason() -> None:
    with pytest.raises(UsageError, match=r"backups cannot be kept in /mnt/a\\x0ab: .*unit file"):
        backups.files(b"/mnt/a\nb")


# may the services read it


WHO = Who(900, frozenset({900, 50}))


def way(*modes: int, uid: int = 0, gid: int = 0) -> list[Step]:
    return [Step(b"/" + b"/".join([b"d"] * number), mode, uid, gid) for number, mode in enumerate(modes)]


@pytest.mark.parametrize(
    ("modes", "closed_at"),
    [((0o755, 0o755, 0o755), ""), ((0o755, 0o700, 0o755), "/d"), ((0o755, 0o711, 0o755), ""), ((0o755, 0o755, 0o711), "/d/d")],
)
def test_each_directory_on_the_way_must_let_them_pass_and_the_last_be_listed(modes: tuple[int, ...], closed_at: str) -> None:
    said = why_closed(Opening("d", b"/d/d"), way(*modes), WHO)
    assert bool(said) == bool(closed_at) and (not closed_at or f" {closed_at} " in said)


def test_the_first_class_that_fits_decides() -> None:
    opening = Opening("d", b"/d")
    assert why_closed(opening, way(0o755, 0o750, gid=50), WHO) == ""
    assert why_closed(opening, way(0o755, 0o705, gid=50), WHO), "a member of the group is not others"
    assert why_closed(opening, way(0o755, 0o077, uid=900), WHO), "nor is the owner"


def test_a_capability_reads_everything_but_writes_nothing() -> None:
    assert why_closed(Opening("d", b"/d", read_all=True), way(0o700, 0o700), WHO) == ""
    assert "write" in why_closed(Opening("d", b"/d", read_all=True, writes=True), way(0o755, 0o755), WHO)
    assert why_closed(Opening("d", b"/d", writes=True), way(0o755, 0o757), WHO) == ""


def test_the_ways_out_are_those_of_reading_or_of_writing() -> None:
    opening = Opening("d", b"/d", writes=True)
    assert "setfacl" in ways_out(opening, why_closed(opening, way(0o755, 0o755), WHO))
    assert "--read-all" in ways_out(opening, why_closed(opening, way(0o700, 0o757), WHO))


def test_what_is_bound_into_a_hidden_home_needs_no_way_but_for_roots() -> None:
    def at(path: bytes) -> list[Step]:
        parts = path.split(b"/")[1:]
        names = [b"/" + b"/".join(parts[:number]) for number in range(len(parts) + 1)]
        return [Step(name, 0o700 if number < len(parts) else 0o755, 0, 0) for number, name in enumerate(names)]

    assert why_closed(Opening("d", b"/home/ann/docs"), at(b"/home/ann/docs"), WHO) == ""
    assert "/root " in why_closed(Opening("d", b"/root/docs"), at(b"/root/docs"), WHO)


def test_the_steps_are_every_directory_from_the_top(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    found = steps(bytes(tmp_path))
    assert found[0].path == b"/" and found[-1].path == bytes(tmp_path) and found[-1].mode == 0o711
    assert [step.path for step in steps(b"/")] == [b"/"]


# what systemctl says

SHOWN = """Id=autoops-worker.service
ActiveState=active
Result=success
StatusText=a=b, c

Id=autoops-nothing.service
ActiveState=inactive
Result=success
"""


def test_what_systemctl_shows_is_a_mapping_for_each_unit() -> None:
    worker, nothing = systemd.parse_shown(SHOWN)
    assert worker == {"Id": "autoops-worker.service", "ActiveState": "active", "Result": "success", "StatusText": "a=b, c"}
    assert nothing["ActiveState"] == "inactive"
    assert systemd.parse_shown("") == systemd.parse_shown("\n") == []


def test_a_point_in_time_is_seconds_or_never() -> None:
    assert systemd.seconds("Wed 2026-11-25 03:55:19 UTC") == 1795578919
    assert systemd.seconds("") is systemd.seconds("n/a") is systemd.seconds("0") is None


def test_templates_are_no_units() -> None:
    listed = "autoops-failed@.service static -\nautoops-worker.service enabled enabled\nautoops.target enabled enabled\n\n"
    assert systemd.parse_names(listed) == ["autoops-worker.service", "autoops.target"]


@pytest.mark.parametrize("name", ["a.service", "autoops-failed@autoops\\x2dworker.service", "dev-sda1.device"])
def test_the_name_of_a_unit_is_one(name: str) -> None:
    assert systemd.is_unit(name)


@pytest.mark.parametrize("name", ["*", "a*.service", "-p.service", "a b.service", "a", "", "a\n.service", "é.service"])
def test_what_is_no_name_of_one_unit_is_not_asked_about(name: str) -> None:
    assert not systemd.is_unit(name)


def test_the_own_unit_is_the_service_of_the_cgroup() -> None:
    assert systemd.own_unit("0::/system.slice/autoops-health.service\n") == "autoops-health.service"
    assert systemd.own_unit("0::/user.slice/user-0.slice/session-1.scope\n") == ""
    assert systemd.own_unit("") == ""


# the package


def test_every_unit_is_stopped_when_the_package_goes() -> None:
    project = Path(__file__).parents[2]
    units = {path.name for path in (project / "systemd").glob("autoops-*.*") if path.is_file() and "@" not in path.name}
    assert units == {word for word in (project / "debian" / "autoops.prerm").read_text().split() if word.startswith("autoops-")}
