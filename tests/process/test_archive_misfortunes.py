"""What an archive can meet: each with the real restic, told clearly, with the right exit code, and nothing lost."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from archiving import NOBODY, PASSWORD, Make, SshServer, Vault, listening, processes
from running import DEADLINE_S, environment
from suites import tmpfs

NO_RETENTION_YET = ["snapshots"]


def require_told(vault: Vault, error: str, words: str) -> None:
    """The command said so, as one message and a hint, and a finding says the same."""
    message, _, hint = error.partition("\n  hint: ")
    assert message.startswith("autoops: ") and hint.strip() and "\n" not in message, error
    assert re.search(words, message), error
    ((subject, reason),) = vault.findings()
    assert (subject, f"autoops: {reason}") == ("archive", message)


# what is not as it was said


def test_a_wrong_password(vault: Vault) -> None:
    vault.run()
    vault.calls()
    vault.password.write_text("not it\n")
    require_told(vault, vault.run(code=4).err, "does not open with this password")
    assert str(vault.password) in vault.run("--list", code=4).err, "it says where the wrong one came from"
    assert "backup" not in vault.calls() and "forget" not in vault.calls()
    vault.password.write_text(PASSWORD)  # without a newline
    vault.run()
    assert vault.findings() == []


@pytest.mark.parametrize("text", ["", "\n", None])
def test_no_password(make_vault: Make, text: str | None) -> None:
    vault = make_vault()
    vault.password.unlink() if text is None else vault.password.write_text(text)
    require_told(vault, vault.run(code=2).err, f"no password is in {vault.password}")
    assert vault.calls() == [], "restic is not even asked"


def test_keys_that_are_not_written_as_they_have_to_be(make_vault: Make) -> None:
    vault = make_vault()
    (vault.base / "archive.environment").write_text("# keys\nAWS_ACCESS_KEY_ID AKIDEXAMPLE\n")
    said = vault.run(code=2).err
    assert f"{vault.base}/archive.environment:2 is not a line KEY=VALUE" in said and "AKIDEXAMPLE" not in said


def test_no_repository_there(make_vault: Make) -> None:
    vault = make_vault()
    said = vault.run(code=4).err
    require_told(vault, said, "There is no repository at")
    assert "--init" in said
    assert vault.calls() == NO_RETENTION_YET
    vault.run("--check", code=4)
    vault.run("--fetch", vault.base / "out", code=4)
    assert not (vault.base / "out").exists()


def test_no_bucket_there(make_vault: Make, s3: str) -> None:
    vault = make_vault()
    vault.configure(repository=f"s3:{s3}/nobody-made-this")
    (vault.base / "archive.environment").write_text("AWS_ACCESS_KEY_ID=a\nAWS_SECRET_ACCESS_KEY=b\n")
    require_told(vault, vault.run(code=4).err, "There is no repository at")


def test_a_repository_is_made_once(vault: Vault) -> None:
    vault.run()
    assert "already" in vault.run("--init", code=4).err
    vault.run("--check")


def test_an_address_that_restic_does_not_know(make_vault: Make) -> None:
    vault = make_vault()
    vault.configure(repository="ftp://example.org/backups")
    require_told(vault, vault.run(code=1).err, "could not be read: .*repository location")


def test_no_restic(make_vault: Make) -> None:
    vault = make_vault()
    vault.environment["PATH"] = str(vault.base)
    said = vault.run(code=3).err
    require_told(vault, said, "restic cannot be run: No such file or directory")
    assert "apt-get install restic" in said


def test_nothing_to_archive(vault: Vault) -> None:
    (vault.backups / "snapshots").rename(vault.base / "aside")
    (vault.backups / "ledger").rename(vault.base / "aside" / "ledger")
    require_told(vault, vault.run(code=4).err, "nothing in .* to be archived")


# the network


@pytest.mark.parametrize("host", ["nowhere.invalid", "127.0.0.1:1"])
def test_a_host_that_is_unknown_or_refuses(make_vault: Make, host: str) -> None:
    vault = make_vault()
    vault.configure(repository=f"s3:http://{host}/bucket")
    (vault.base / "archive.environment").write_text("AWS_ACCESS_KEY_ID=a\nAWS_SECRET_ACCESS_KEY=b\n")
    require_told(vault, vault.run(code=3).err, "cannot be reached: .*(no such host|server misbehaving|connection refused)")
    assert set(vault.calls()) == {"snapshots"}


def test_no_sshd(make_vault: Make, sshd: SshServer) -> None:
    vault = make_vault()
    options = [word.replace(f"-p {sshd.port}", "-p 1") for word in sshd.options()]
    vault.configure(repository="sftp:host:/x", options=options)
    require_told(vault, vault.run(code=3).err, "cannot be reached: .*(Connection refused|sftp session)")


def test_an_ssh_key_that_is_not_let_in(make_vault: Make, sshd: SshServer) -> None:
    vault = make_vault()
    vault.configure(repository="sftp:host:/x", options=sshd.options("other"))
    answer = vault.run(code=None)
    # restic may end before it has passed on what ssh said
    denied = (
        (4, "does not let us in: .*Permission denied") if "Permission" in answer.err else (3, "cannot be reached: .*sftp session")
    )
    assert answer.code == denied[0]
    require_told(vault, answer.err, denied[1])


@pytest.mark.parametrize("verb", [(), ("--init",), ("--check",), ("--fetch", "out")])
def test_a_server_that_takes_the_connection_and_says_nothing(make_vault: Make, verb: tuple[str, ...]) -> None:
    vault = make_vault()
    with listening() as port:
        vault.configure(repository=f"s3:http://127.0.0.1:{port}/bucket", timeout_s=2)
        (vault.base / "archive.environment").write_text("AWS_ACCESS_KEY_ID=a\nAWS_SECRET_ACCESS_KEY=b\n")
        said = vault.run(*verb, code=3).err
    assert "took longer than 2 s, and restic was stopped" in said and "timeout_s" in said
    assert bool(vault.findings()) == (verb in ((), ("--check",)))
    assert processes(f"127.0.0.1:{port}") == [] and not (Path.cwd() / "out").exists()


# locks


def locks(vault: Vault) -> list[str]:
    """Return the locks that are whole."""
    return [name for name in os.listdir(vault.repository / "locks") if "tmp" not in name]


@contextlib.contextmanager
def at_work(vault: Vault) -> Iterator[subprocess.Popen[bytes]]:
    """Have another restic at work in the repository, which holds a lock."""
    command = ["restic", "--no-cache", "-r", str(vault.repository), "backup", "--stdin"]
    environment = {**os.environ, "RESTIC_PASSWORD": PASSWORD}
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    end_s = time.monotonic() + DEADLINE_S
    while not locks(vault):
        assert time.monotonic() < end_s
        time.sleep(0.02)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_lock_of_another_who_lives_is_respected(vault: Vault) -> None:
    with at_work(vault):
        require_told(vault, vault.run(code=4).err, "is locked by another")
        assert vault.memory()["good_s"], "it was archived all the same: only the old ones could not be removed"
        level, text = vault.health()
        assert level == "WARNING" and "the last run failed" in text
        vault.run("--check", code=4)
        assert len(locks(vault)) == 1


def test_a_lock_of_one_that_died_is_removed(vault: Vault) -> None:
    with at_work(vault) as process:
        process.kill()
        process.wait()
        assert locks(vault)
        vault.run()
    assert "remove-all" not in vault.calls_file.read_text()
    assert vault.calls()[1:] == ["snapshots", "backup", "forget", "unlock", "forget"]
    assert locks(vault) == []
    vault.run("--check")


# interrupted


def begin(vault: Vault) -> subprocess.Popen[str]:
    """Begin a run, and return when its restic has."""
    vault.calls()
    process = subprocess.Popen(
        ["env", "--default-signal=INT", *vault.command()],  # a shell that began us in the background had it ignored
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**vault.environment),
        start_new_session=True,
    )
    end_s = time.monotonic() + DEADLINE_S
    while not vault.calls_file.exists():
        assert process.poll() is None and time.monotonic() < end_s
        time.sleep(0.02)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted(make_vault: Make, number: signal.Signals) -> None:
    vault = make_vault()
    with listening() as port:
        vault.configure(repository=f"s3:http://127.0.0.1:{port}/bucket", timeout_s=60)
        (vault.base / "archive.environment").write_text("AWS_ACCESS_KEY_ID=a\nAWS_SECRET_ACCESS_KEY=b\n")
        process = begin(vault)
        process.send_signal(number)
        _, said = process.communicate(timeout=DEADLINE_S)
        if number == signal.SIGINT:
            assert process.returncode == 130 and "interrupted" in said
        end_s = time.monotonic() + DEADLINE_S
        while processes(str(vault.base / "bin")) or [pid for pid in processes("restic") if of(pid, port)]:
            assert time.monotonic() < end_s, "restic goes on"
            time.sleep(0.05)
    assert vault.findings() == [], "nobody has to do anything about it"


def of(pid: int, port: int) -> bool:
    """Say whether a process has the environment that speaks of a port."""
    with contextlib.suppress(OSError):
        return f":{port}/bucket".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    return False


@pytest.mark.parametrize("verb", ["backup", "forget"])
def test_killed_in_the_middle_the_next_run_is_good(vault: Vault, verb: str) -> None:
    vault.run()
    vault.calls()
    (vault.base / "before").write_text(f'[ "$1" != {verb} ] || kill -9 $PPID\n')  # autoops, when restic is about to do that
    with subprocess.Popen(vault.command(), stderr=subprocess.DEVNULL, env=environment(**vault.environment)) as process:
        assert process.wait(DEADLINE_S) == -signal.SIGKILL
    (vault.base / "before").unlink()
    vault.run()
    vault.run("--check", "--all")
    vault.run("--fetch", vault.base / "out")


# disks


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with tmpfs(tmp_path / "disk", "3m") as disk:
        yield disk


def test_no_room_at_the_repository_and_what_is_there_stays_good(vault: Vault, small_disk: Path) -> None:
    vault.repository = small_disk / "repository"
    vault.configure(repository=str(vault.repository))
    vault.run("--init")
    vault.run()
    (vault.backups / "upgrade-from-1.db").write_bytes(os.urandom(4 << 20))
    vault.calls()
    require_told(vault, vault.run(code=6).err, "There is no room left at the archive")
    assert "forget" not in vault.calls(), "nothing is removed when nothing was added"
    assert len(vault.run("--list", "--json").json) == 1
    (vault.backups / "upgrade-from-1.db").unlink()
    vault.run("--check", "--all")
    vault.run()
    assert vault.findings() == []


def test_no_room_where_it_is_fetched_to(vault: Vault, small_disk: Path) -> None:
    (vault.backups / "upgrade-from-1.db").write_bytes(os.urandom(4 << 20))
    vault.run()
    said = vault.run("--fetch", small_disk / "out", code=6).err
    assert f"{small_disk / 'out'}: no room left on the disk" in said
    assert list(small_disk.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root acts as others")
def test_a_file_that_cannot_be_read_is_told_and_nothing_is_removed_for_it(make_vault: Make) -> None:
    vault = make_vault()
    for path in (vault.state / "queue", *(vault.state / "queue").rglob("*"), vault.backups, *vault.backups.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    for path in (vault.state, *vault.state.parents):
        if path.stat().st_mode & 0o005 != 0o005:
            path.chmod(0o755)
    vault.calls_file.touch()
    vault.calls_file.chmod(0o666)
    vault.repository.mkdir()
    os.chown(vault.repository, NOBODY, NOBODY)
    vault.run("--init")
    closed = vault.backups / "snapshots" / max(os.listdir(vault.backups / "snapshots")) / "manifest.json"
    os.chown(closed, 0, 0)
    closed.chmod(0o600)
    require_told(vault, vault.run(code=1).err, "without files that could not be read: .*manifest.json: .*[Pp]ermission denied")
    verbs = [line.split()[0] for line in vault.calls_file.read_text().splitlines() if "--no-cache" in line]
    assert verbs == ["init", "snapshots", "backup", "backup"], "it is tried twice: what is pruned meanwhile is no fault"
    assert vault.health()[0] == "WARNING"


def damage(pack: Path) -> bytes:
    """Change a byte in the middle of a pack, as a disk would; return what it was."""
    before = pack.read_bytes()
    middle = len(before) // 2
    pack.chmod(0o600)
    pack.write_bytes(before[:middle] + bytes([before[middle] ^ 1]) + before[middle + 1 :])
    return before


def test_a_damaged_pack_is_found_again_and_again_until_it_is_good(vault: Vault) -> None:
    vault.run()
    pack = vault.packs()[0]
    whole = damage(pack)
    assert "is damaged" in vault.run("--check", "--all", code=1).err
    part = int(pack.name[:2], 16) % 30 + 1  # restic's own way to divide packs
    for number in range(1, part):
        assert vault.run("--check", "--json").json["part"] == number
    for _ in range(2):
        said = vault.run("--check", code=1).err
        assert "is damaged" in said and "The archive is damaged" in said
        ((subject, reason),) = vault.findings()
        assert subject == "archive check" and "is damaged" in reason
    vault.run()
    assert [subject for subject, _ in vault.findings()] == ["archive check"], "a good run says nothing of what is there already"
    pack.write_bytes(whole)
    assert vault.run("--check", "--json").json["part"] == part
    assert vault.findings() == []


def test_nothing_damaged_is_fetched(vault: Vault) -> None:
    vault.run()
    for pack in vault.packs():
        damage(pack)
    assert re.search("is damaged|could not be fetched", vault.run("--fetch", vault.base / "out", code=1).err)
    assert not (vault.base / "out").exists() and not list(vault.base.glob(".*"))
