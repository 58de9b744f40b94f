"""What restic says, as versions 0.14 and 0.18 said it, and which trouble that is."""

from __future__ import annotations

import pytest

from autoops.backup import trouble
from autoops.backup.trouble import Said, meant, retry

WHERE = "Is there a repository at the following location?\n"
LOCKED = (
    "unable to create lock in backend: repository is already locked by PID 15133 on vm by root (UID 0, GID 0)\n"
    "lock was created at 2026-11-26 17:47:52 (3.3s ago)\nthe `unlock` command can be used to remove stale locks"
)
WRONG = "Fatal: wrong password or no key found"
OPEN = "Fatal: unable to open config file"
RETRY = "Stat(<config/>) returned error, retrying after 12.3s"
CASES: list[tuple[int, str, type[trouble.ArchiveFailed], str]] = [
    (1, WRONG, trouble.ArchivePasswordWrong, "wrong password"),
    (12, "J" + WRONG, trouble.ArchivePasswordWrong, "wrong password"),
    (1, f"{OPEN}: stat /r/config: no such file or directory\n{WHERE}/r", trouble.ArchiveAbsent, "no such file or directory"),
    (10, f"JFatal: repository does not exist: {OPEN}: stat /r\n{WHERE}/r", trouble.ArchiveAbsent, "repository does not exist"),
    (1, f"{OPEN}: Stat: The specified bucket does not exist\n{WHERE}s3:x", trouble.ArchiveAbsent, "specified bucket does"),
    (1, f"{OPEN}: Stat: The specified key does not exist.\n{WHERE}s3:x", trouble.ArchiveAbsent, "key does not exist"),
    (1, f"{OPEN}: Get: dial tcp 127.0.0.1:1: connect: connection refused\n{WHERE}", trouble.ArchiveUnreachable, "refused"),
    (1, f"{RETRY}: dial tcp: lookup nowhere.invalid on 10.0.0.53:53: no such host", trouble.ArchiveUnreachable, "no such host"),
    (1, f"{RETRY}: Stat: The specified bucket does not exist", trouble.ArchiveAbsent, "bucket does not exist"),
    (
        1,
        "subprocess ssh: ssh: connect to host h port 22: Connection refused\nFatal: unable to start the sftp session, error: EOF",
        trouble.ArchiveUnreachable,
        "ssh: connect to host h port 22",
    ),
    (
        1,
        "subprocess ssh: a@h: Permission denied (publickey).\nFatal: unable to start the sftp session, error: EOF",
        trouble.ArchiveDenied,
        "a@h: Permission denied (publickey)",
    ),
    (1, f"{OPEN}: Stat: Access Denied.", trouble.ArchiveDenied, "Access Denied"),
    (1, LOCKED, trouble.ArchiveLocked, "already locked by PID 15133"),
    (11, "J" + LOCKED, trouble.ArchiveLocked, "already locked by PID 15133"),
    (1, "Fatal: unable to save snapshot: write /r/2-tmp-4: no space left on device", trouble.ArchiveFull, "/r/2-tmp-4"),
    (1, "Fatal: create repository at /r failed: config file already exists\n", trouble.ArchiveExists, ""),
    (1, "pack 910bbc0b: unexpected file size\n\nFatal: repository contains errors", trouble.ArchiveDamaged, "pack 910bbc0b"),
    (
        1,
        "Load(<data/39cfb4>) returned error, retrying after 15.39s: ReadFull: unexpected EOF\nFatal: repository contains errors",
        trouble.ArchiveDamaged,
        "Load(<data/39cfb4>) failed: ReadFull: unexpected EOF",
    ),
    (
        3,
        '{"message_type":"error","error":{"Op":"open","Path":"x","Err":13},"during":"archival","item":"/b/x"}\nWarning: at least',
        trouble.ArchiveIncomplete,
        "/b/x: Permission denied",
    ),
    (
        3,
        '{"message_type":"error","error":{"message":"/b/x: open x: permission denied"},"item":"/b/x"}\nWarning: at least one',
        trouble.ArchiveIncomplete,
        "/b/x: open x: permission denied",
    ),
    (1, "Fatal: something that nobody has seen yet", trouble.ArchiveFailed, "something that nobody has seen yet"),
    (1, '{"half of', trouble.ArchiveFailed, '{"half of'),
    (-9, "", trouble.ArchiveFailed, "killed by signal 9"),
]


def exit_error(code: int, message: str) -> str:
    escaped = message.replace('"', '\\"').replace("\n", "\\n")
    return f'{{"message_type":"exit_error","code":{code},"message":"{escaped}"}}'


@pytest.mark.parametrize(("status", "said", "error", "detail"), CASES)
def test_what_is_said_is_one_of_the_troubles(status: int, said: str, error: type[trouble.ArchiveFailed], detail: str) -> None:
    lines = [exit_error(status, said[1:])] if said.startswith("J") else said.splitlines()
    lines = ["reading repository password from stdin", *lines]
    found = meant(Said(status, lines), "could not be read", "s3:http://h/b", "/etc/autoops/archive.password", "0")
    assert type(found) is error
    assert detail in str(found.facts["detail"]) and not str(found.facts["detail"]).endswith((".", "?"))
    assert found.advice and str(found)


def test_no_password_of_an_address_is_in_an_error() -> None:
    said = Said(1, ['Fatal: Head "http://ann:secret@h:1/config": strange'])
    found = meant(said, "could not be read", "rest:http://ann:secret@h:1/", "", "")
    assert "secret" not in str(found)


@pytest.mark.parametrize(
    ("said", "waits_s"),
    [
        (b"Stat(<config/>) returned error, retrying after 552.330144ms: open /r/config: permission denied\n", 0.552330144),
        (b"a line\nLoad(<config/0000000000>, 0, 0) returned error, retrying after 12.5s: EOF\n", 12.5),
        (b"Save(<data/9>) returned error, retrying after 1m3.5s: dial tcp: i/o timeout\n", 63.5),
        ("List(<data/>) returned error, retrying after 800µs: x\n".encode(), 0.0008),
        (b"Load(<x>) returned error, retrying after 12.5s: EOF\nLoad(<x>) operation successful after 3 retries\n", None),
        (b"", None),
    ],
)
def test_it_is_seen_for_how_long_restic_waits(said: bytes, waits_s: float | None) -> None:
    found = retry(said)
    assert (found[0] if found else None) == pytest.approx(waits_s)


@pytest.mark.parametrize(
    "line",
    [
        '{"error": "no"}',
        '{"error": [1]}',
        '{"error": {"Err": "no"}}',
        '{"error": {"Err": 1e400}}',
        '{"error": {"Err": 1000000000000000000000000000000}}',
        "{" * 9,
    ],
)
def test_whatever_the_other_side_writes_is_told_as_it_was_written(line: str) -> None:
    said = str(meant(Said(1, [line]), "could not be read", "sftp:a@h:/r", "", ""))
    assert line in said
