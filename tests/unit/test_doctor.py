"""What the doctor says about values: text as systemctl and /proc give it, versions, times, keys."""

from __future__ import annotations

import datetime
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoops.core.signing import Signer, new_key
from autoops.files import mounts
from autoops.health import backup_place, catalogs, doctor, host, sandbox
from autoops.health.host import Limits
from autoops.health.result import Level, Result
from autoops.health.sandbox import Process, may_write
from autoops.state import State
from autoops.store.version import has_wal_reset_bug
from autoops.units import backups
from autoops.units.systemd import parse_shown

REGISTRY, BACKUPS = "/var/lib/autoops/registry", "/var/lib/autoops/backups"

# systemctl show -p Id,ActiveState,... autoops-worker.service autoops-watcher.service
SHOWN = """Id=autoops-worker.service
ActiveState=active
MainPID=71
ProtectSystem=strict
ReadWritePaths=/var/lib/autoops/queue /var/lib/autoops/registry
ReadOnlyPaths=
InaccessiblePaths=-/etc/shadow -/var/lib/autoops/backups
StateDirectory=

Id=autoops-watcher.service
ActiveState=active
MainPID=72
ProtectSystem=strict
ReadWritePaths=/var/lib/autoops/queue
ReadOnlyPaths=
InaccessiblePaths=-/etc/shadow -/var/lib/autoops/backups
StateDirectory=
"""
STATUS = """Name:\tautoops-watcher
Uid:\t998\t998\t998\t998
CapEff:\t0000000000000000
NoNewPrivs:\t1
Seccomp:\t2
Seccomp_filters:\t24
"""
MOUNTINFO = b"""612 587 8:1 / / ro,relatime shared:1 - ext4 /dev/sda1 rw
613 612 8:1 /var/lib/autoops/queue /var/lib/autoops/queue rw,relatime - ext4 /dev/sda1 rw
"""
WORKERS = MOUNTINFO + b"614 612 8:1 /var/lib/autoops/registry /var/lib/autoops/registry rw,relatime - ext4 /dev/sda1 rw\n"


def services(**change: str) -> list[dict[str, str]]:
    """Return worker and watcher, the watcher with some properties changed."""
    worker, watcher = parse_shown(SHOWN)
    return [dict(worker), {**watcher, **change}]


# catalogs


@pytest.fixture
def state() -> Iterator[State]:
    with tempfile.TemporaryDirectory() as base:  # and not tmp_path, which root lets nobody else into
        os.chmod(base, 0o711)
        made = State(Path(base, "state"))
        for part in (made.queue_db.parent, made.catalogs, Path(base, "root")):
            part.mkdir(parents=True)
        yield made


def wrong(state: State) -> Result:
    """Return what is wrong with the catalogs a and b, of which only b may be."""
    found = catalogs.look(state, ["a", "b"], [os.fsencode(state.directory.parent / "root")])
    assert found[0].fault == "", "b alone"
    return catalogs.judge(found)


def test_a_catalog_can_be_built_where_nothing_is_and_where_it_was_built(state: State) -> None:
    (state.catalogs / "b").mkdir()
    assert wrong(state) == Result("catalogs", Level.OK, "2 catalogs can be built")
    assert catalogs.judge([]).text == "none is declared"
    (state.catalogs / "b").rmdir()
    state.catalogs.rmdir()
    assert wrong(state).level == Level.OK, "then it is made, too"


def test_a_catalog_cannot_be_built_where_something_else_stands(state: State) -> None:
    (state.catalogs / "b").symlink_to(state.directory.parent / "root")
    found = wrong(state)
    assert found.level == Level.CRITICAL and "b: something that is no directory" in found.text and "move it away" in found.remedy


def test_a_catalog_in_a_watched_root_would_be_built_for_ever(state: State) -> None:
    state.catalogs.rmdir()
    state.catalogs.symlink_to(state.directory.parent / "root")
    found = catalogs.look(state, ["a"], [os.fsencode(state.directory.parent / "root")])
    assert "lies in the watched root" in found[0].fault and "not a link" in found[0].remedy
    assert catalogs.look(state, ["a"], [b"/else"])[0].fault == ""
    state.catalogs.unlink()
    state.catalogs.mkdir()
    assert catalogs.look(state, ["a"], [os.fsencode(state.directory.parent)])[0].fault == "", "the state is watched by nobody"


def test_a_catalog_that_the_services_may_not_write_is_told_with_what_to_do(state: State) -> None:
    (state.catalogs / "b").mkdir(mode=0o555)
    if os.geteuid() == 0:  # then the services' user is the owner of the queue
        for part in (state.queue_db.parent, state.catalogs):
            os.chown(part, 65534, 65534)
    found = wrong(state)
    assert "may not write" in found.text and found.text.startswith(str(state.catalogs / "b"))
    assert found.remedy.endswith(f"chmod u+rwx {state.catalogs / 'b'}")


# who may write, as systemd was told


def test_only_the_worker_may_write_the_registry() -> None:
    assert sandbox.told(services(), REGISTRY, BACKUPS).level == Level.OK
    assert sandbox.told([], REGISTRY, BACKUPS).level == Level.OK


@pytest.mark.parametrize(
    "change",
    [
        {"ReadWritePaths": "/var/lib/autoops/queue /var/lib/autoops/registry"},
        {"ReadWritePaths": "/var/lib/autoops"},
        {"ReadWritePaths": "-/var/lib"},
        {"ReadWritePaths": "/"},
        {"StateDirectory": "autoops"},
        {"StateDirectory": "autoops/registry:alias"},
        {"ProtectSystem": "full"},
        {"ProtectSystem": ""},
        {"ReadWritePaths": "+/var/lib/autoops/backups", "InaccessiblePaths": ""},
    ],
)
def test_a_unit_that_is_opened_too_far_is_found(change: dict[str, str]) -> None:
    found = sandbox.told(services(**change), REGISTRY, BACKUPS)
    assert found.level == Level.CRITICAL and found.text.startswith("autoops-watcher.service may write") and found.remedy


@pytest.mark.parametrize(
    "change",
    [
        {"ReadWritePaths": "/var/lib/autoops/registry-other /srv"},
        {"StateDirectory": "autoops", "ReadOnlyPaths": "/var/lib/autoops/registry /var/lib/autoops/backups"},
        {"ProtectSystem": "no", "InaccessiblePaths": "/var/lib/autoops"},
    ],
)
def test_what_is_closed_again_deeper_down_is_closed(change: dict[str, str]) -> None:
    assert sandbox.told(services(**change), REGISTRY, BACKUPS).level == Level.OK


def test_a_worker_that_cannot_write_is_found_too() -> None:
    worker, watcher = services()
    found = sandbox.told([{**worker, "ReadWritePaths": "/var/lib/autoops/queue"}, watcher], REGISTRY, BACKUPS)
    assert found.level == Level.CRITICAL and "may not write" in found.text


def test_backups_are_for_the_backup_alone() -> None:
    backup = {"Id": "autoops-backup.service", "ProtectSystem": "strict", "ReadWritePaths": BACKUPS}
    assert sandbox.told([*services(), backup], REGISTRY, BACKUPS).level == Level.OK
    assert not may_write(backup, REGISTRY)


def test_the_units_as_they_are_shipped_are_good_and_those_that_write_backups_are_opened_for_another_place_of_them() -> None:
    shipped = []
    for file in (Path(__file__).parents[2] / "systemd").glob("autoops-*.service"):
        properties = dict(re.findall(r"^(ReadWritePaths|InaccessiblePaths)=(.*)$", file.read_text(), flags=re.MULTILINE))
        shipped.append({"Id": file.name, "ProtectSystem": "strict", **properties})
    assert sandbox.told(shipped, REGISTRY, BACKUPS).level == Level.OK
    assert {one["Id"] for one in shipped if may_write(one, BACKUPS)} == {*backups.UNITS}


# where backups go

PLACE = backup_place.Found(b"/mnt/disk/autoops", False, 0o700, 900, 900, is_mount=False, is_beside=False)
SHIPPER = {"Id": "autoops-shipper.service", "ProtectSystem": "strict", "ReadWritePaths": "-/mnt/disk/autoops"}


def shipper(content: bytes) -> Process:
    return Process("autoops-shipper.service", 7, {}, mounts.parse(content))


def test_a_backup_directory_that_is_its_owners_alone_and_in_reach_is_good() -> None:
    open_there = MOUNTINFO + b"615 612 8:2 / /mnt/disk rw,relatime - ext4 /dev/sdb1 rw\n"
    for found in (PLACE, PLACE._replace(is_own=True, mode=0o750, is_mount=True)):
        assert backup_place.judge(found, [SHIPPER], [shipper(open_there)]).level == Level.OK
    assert "not from its end" in backup_place.judge(PLACE._replace(is_beside=True), [], []).text


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"mode": 0o750}, "others than its owner"),
        ({"mode": 0o755, "is_own": True}, "others than its owner"),
        ({"uid": 0}, "belongs to user 0"),
        ({"is_mount": True}, "is a mount point"),
        ({"path": b"/mnt/other"}, "autoops-shipper.service may not write"),
    ],
)
def test_a_backup_directory_with_something_wrong_is_found(change: dict[str, object], why: str) -> None:
    result = backup_place.judge(PLACE._replace(**change), [SHIPPER], [])
    assert result.level != Level.OK and why in result.text and result.remedy


def test_a_backup_directory_that_the_kernel_keeps_from_the_running_shipper_is_found() -> None:
    result = backup_place.judge(PLACE, [SHIPPER], [shipper(MOUNTINFO)])
    assert result.level == Level.CRITICAL and "may not write" in result.text


def test_a_backup_directory_that_is_not_there_is_a_disk_that_is_not_mounted() -> None:
    assert backup_place.absent(Path("/mnt/disk/autoops"), is_own=False).level == Level.WARNING
    assert backup_place.absent(Path("/var/lib/autoops/backups"), is_own=True).level == Level.OK


# what the kernel does


def process(unit: str = "autoops-watcher.service", mountinfo: bytes = MOUNTINFO, **change: str) -> Process:
    return Process(unit, 72, {**sandbox.parse_status(STATUS), **change}, mounts.parse(mountinfo))


def test_a_process_that_is_shut_in_is_good() -> None:
    assert sandbox.loose(process()) == []
    assert sandbox.loose(process(CapEff="0000000000000004")) == [], "reading everything is not writing"
    assert sandbox.in_force([process()]).level == sandbox.in_force([]).level == Level.OK


@pytest.mark.parametrize(
    "change",
    [{"NoNewPrivs": "0"}, {"Seccomp": "0"}, {"CapEff": "0000000000000002"}, {"CapEff": "000001ffffffffff"}, {"Uid": "0\t0\t0\t0"}],
)
def test_a_process_that_is_not_shut_in_is_found(change: dict[str, str]) -> None:
    assert len(sandbox.loose(process(**change))) == 1
    assert sandbox.in_force([process(), process(**change)]).level == Level.CRITICAL


def test_this_very_process_is_not_shut_in() -> None:
    status = sandbox.parse_status(Path("/proc/self/status").read_text())
    assert status["Name"] and sandbox.loose(Process("x", os.getpid(), status, []))


def test_the_registry_is_read_only_for_all_but_the_worker() -> None:
    watcher, worker = process(), process(sandbox.WORKER, WORKERS)
    assert sandbox.registry_mounts([watcher, worker], REGISTRY.encode()).level == Level.OK
    opened = process(mountinfo=WORKERS)
    assert "writable" in sandbox.registry_mounts([opened, worker], REGISTRY.encode()).text
    shut = process(sandbox.WORKER, MOUNTINFO)
    assert "read-only" in sandbox.registry_mounts([watcher, shut], REGISTRY.encode()).text


# the lock

LOCKS = """1: POSIX  ADVISORY  READ 10442 fe:00:2255426 128 128
2: FLOCK  ADVISORY  WRITE 9996 fe:00:6465978 0 EOF
2: -> FLOCK  ADVISORY  WRITE 9997 fe:00:6465979 0 EOF
3: FLOCK  ADVISORY  READ 1 fe:00:77 0 EOF
"""


def test_the_holder_of_a_lock_is_found_by_the_inode() -> None:
    assert sandbox.lock_holder(LOCKS, 6465978) == 9996
    assert sandbox.lock_holder(LOCKS, 6465979) is None, "who waits holds nothing"
    assert sandbox.lock_holder(LOCKS, 77) is None, "shared"
    assert sandbox.lock_holder(LOCKS, 978) is None


@pytest.mark.parametrize(
    ("holder", "worker", "writers", "level"),
    [
        (7, 7, [7], Level.OK),
        (None, None, [], Level.OK),
        (7, None, [7], Level.OK),  # it has just started
        (None, 7, [7], Level.CRITICAL),
        (8, 7, [], Level.CRITICAL),
        (7, 7, [7, 9], Level.CRITICAL),
        (None, None, [9], Level.CRITICAL),
    ],
)
def test_one_process_holds_the_lock_and_writes(holder: int | None, worker: int | None, writers: list[int], level: Level) -> None:
    assert sandbox.lock(holder, worker, writers).level == level


def test_who_has_a_file_open_for_writing_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.touch()
    assert list(sandbox.writers_of(path)) == []
    with path.open("rb"):
        assert list(sandbox.writers_of(path)) == []
    with path.open("ab"):
        assert list(sandbox.writers_of(path)) == [os.getpid()]


# state directory and keys


@pytest.mark.parametrize(
    ("mode", "uid", "is_system", "level"),
    [
        (0o750, 0, True, Level.OK),
        (0o700, 1000, False, Level.OK),
        (0o770, 0, True, Level.CRITICAL),
        (0o757, 1000, False, Level.CRITICAL),
        (0o750, 998, True, Level.CRITICAL),
    ],
)
def test_the_state_directory_is_its_owners(mode: int, uid: int, is_system: bool, level: Level) -> None:
    assert doctor.state_directory("/s", mode, uid, is_system=is_system).level == level


def test_the_keys_belong_together() -> None:
    private = new_key()
    public = Signer(private).public.hex()
    assert doctor.keys(public, public, private).level == doctor.keys(public, None, None).level == Level.OK
    assert doctor.keys(public, "00" * 32, private).level == Level.CRITICAL
    assert doctor.keys(public, public, new_key()).level == Level.CRITICAL
    assert doctor.keys(public, public, b"short").level == Level.CRITICAL


# clock

NOW = datetime.datetime(2026, 5, 1, 12, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("last_s", "synchronised", "container", "level"),
    [
        (-1, True, False, Level.OK),
        (None, True, False, Level.OK),
        (1, True, False, Level.CRITICAL),
        (-1, False, False, Level.WARNING),
        (-1, False, True, Level.OK),
        (-1, None, False, Level.UNKNOWN),
    ],
)
def test_the_clock_is_kept_and_not_before_the_last_commit(
    last_s: int | None, synchronised: bool | None, container: bool, level: Level
) -> None:
    last = None if last_s is None else NOW + datetime.timedelta(seconds=last_s)
    assert host.clock(NOW, last, synchronised, container).level == level


# inotify


def test_watches_that_run_short_are_told_with_the_sysctl_to_set() -> None:
    assert host.inotify(Limits(1000, 128, 16384, 799), 0).level == Level.OK
    assert host.inotify(Limits(1000, 128, 16384, None), 0).level == Level.OK
    short = host.inotify(Limits(600_000, 128, 16384, 500_000), 0)
    assert short.level == Level.WARNING and "sysctl -w fs.inotify.max_user_watches=1048576" in short.remedy
    assert host.inotify(Limits(1000, 128, 16384, 1000), 3).level == Level.CRITICAL


def test_the_watches_of_a_process_are_counted(tmp_path: Path) -> None:
    from autoops.files.inotify import NameWatch

    before = host.count_watches(os.getpid())
    watch = NameWatch(os.fsencode(tmp_path))
    after = host.count_watches(os.getpid())
    watch.close()
    assert before is not None and after == before + 1
    assert host.count_watches(2**22 + 1) is None
    assert host.limits(None).watches > 0


# versions, file systems


@pytest.mark.parametrize(
    ("version", "has_bug"),
    [
        ((3, 40, 1), True), ((3, 46, 1), True), ((3, 51, 2), True), ((3, 51, 3), False), ((3, 52, 0), False), ((3, 50, 6), True),
        ((3, 50, 7), False), ((3, 44, 5), True), ((3, 44, 6), False), ((3, 45, 9), True), ((4, 0, 0), False),
    ],
)  # fmt: skip
def test_which_sqlite_has_the_wal_reset_bug(version: tuple[int, int, int], has_bug: bool) -> None:
    assert has_wal_reset_bug(version) == has_bug
    assert ("WAL-reset" in host.versions("1", version, {"x": "1"}).text) == has_bug


def test_a_library_that_is_missing_is_wrong() -> None:
    assert host.versions("1", (3, 51, 3), {"x": ""}).level == Level.CRITICAL
    assert all(host.library_versions().values())


@pytest.mark.parametrize(
    ("kind", "level"), [("ext4", Level.OK), ("", Level.OK), ("tmpfs", Level.WARNING), ("nfs4", Level.CRITICAL)]
)
def test_a_file_system_is_one_that_keeps(kind: str, level: Level) -> None:
    assert host.file_system(kind).level == level


def test_the_exit_code_is_wrong_before_cannot_tell() -> None:
    def of(*levels: Level) -> int:
        return doctor.exit_code([Result("x", level, "") for level in levels])

    assert of(Level.OK) == of() == 0
    assert of(Level.OK, Level.UNKNOWN) == 3
    assert of(Level.UNKNOWN, Level.WARNING) == of(Level.CRITICAL) == 1
