"""The archive's surroundings, for tests: a state with backups, the real restic, and what a repository may be on (a directory, an S3
server, an sshd); a program in restic's way that writes down how it is called and then is restic."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from running import DEADLINE_S, Answer, Suite, environment, program, write_config

PASSWORD = "correct horse"
NOBODY = 65534
ONLY_NUMBERS = {"keep_hourly": 0, "keep_daily": 0, "keep_weekly": 0, "keep_monthly": 0}


class Vault:
    """One state directory, its configuration, and the command that archives its backups."""

    def __init__(self, base: Path, state: Path) -> None:
        """Take over a copy of a state. `base` gets the configuration, the password beside it, and restic's calls."""
        self.base, self.state = base, base / "state"
        shutil.copytree(state, self.state, ignore=shutil.ignore_patterns("*.sock"))
        self.backups, self.config = self.state / "backups", base / "autoops.toml"
        self.password, self.calls_file = base / "archive.password", base / "calls"
        self.password.write_text(PASSWORD + "\n")
        self.repository = base / "repository"
        self.configure(repository=str(self.repository))
        bin_ = base / "bin"
        bin_.mkdir()
        script = bin_ / "restic"
        real = shutil.which("restic")
        assert real, "restic is not installed"
        script.write_text(
            f'#!/bin/sh\n{{ printf "%s\\n" "$*"; env; echo; }} >>{self.calls_file}\n'
            f'[ -e {base}/before ] && . {base}/before\nexec {real} "$@"\n'
        )
        script.chmod(0o755)
        self.environment = {"PATH": f"{bin_}:{os.environ['PATH']}", "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}

    def configure(self, *, backup: Mapping[str, object] | None = None, **archive: object) -> None:
        """Write the configuration anew."""
        write_config(self.config, [{"path": str(self.base)}], {"archive": archive, "backup": {**ONLY_NUMBERS, **(backup or {})}})

    def command(self, *arguments: object) -> list[str]:
        """Return the command line of `archive` with these arguments."""
        return [
            *program(), "backup", "archive", *map(str, arguments), "--state", str(self.state), "--config", str(self.config),
        ]  # fmt: skip

    def run(self, *arguments: object, code: int | None = 0, env: Mapping[str, str] | None = None) -> Answer:
        """Run `archive` to its end; `code` is what it has to exit with (None: whatever)."""
        ran = subprocess.run(
            self.command(*arguments),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env=environment(**{**self.environment, **(env or {})}),
            timeout=120,
        )
        assert code is None or ran.returncode == code, (ran.returncode, arguments, ran.stdout[-2000:], ran.stderr[-2000:])
        return Answer(ran.returncode, ran.stdout, ran.stderr)

    def autoops(self, *arguments: object) -> Any:
        """Return the JSON of another command."""
        ran = subprocess.run(
            [*program(), *map(str, arguments), "--json", "--state", str(self.state)],
            capture_output=True, text=True, env=environment(), timeout=120,
        )  # fmt: skip
        return json.loads(ran.stdout)

    def restic(self, *arguments: object) -> str:
        """Ask restic itself, past autoops."""
        ran = subprocess.run(
            ["restic", "--no-cache", "-r", str(self.repository), *map(str, arguments)],
            input=PASSWORD, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return ran.stdout

    def findings(self) -> list[tuple[str, str]]:
        """Return the standing findings of the archive: subject, reason."""
        return [
            (one["subject"], one["detail"]["reason"])
            for one in self.autoops("findings")
            if one["kind"] == "archive_failed"
        ]  # fmt: skip

    def health(self) -> tuple[str, str]:
        """Return what the health check says of the archive."""
        (found,) = [one for one in self.autoops("health", "--config", self.config)["checks"] if one["name"] == "archive"]
        return found["level"], found["text"]

    def memory(self) -> dict[str, Any]:
        """Return what is remembered of the last run."""
        return dict(json.loads((self.state / "queue" / "archive.json").read_text()))

    def calls(self) -> list[str]:
        """Return the verbs that restic was called with since this was asked last."""
        text = self.calls_file.read_text() if self.calls_file.exists() else ""
        self.calls_file.unlink(missing_ok=True)
        return [call.split()[0] for call in text.split("\n\n") if call.strip()]

    def packs(self) -> list[Path]:
        """Return the packs of a repository that is a directory, the largest first."""
        return sorted((self.repository / "data").rglob("*/*"), key=lambda path: -path.stat().st_size)


@contextlib.contextmanager
def listening(backlog: int = 16) -> Iterator[int]:
    """Take connections and say nothing: a server that stalls. Gives its port."""
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as server:
        yield server.getsockname()[1]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextlib.contextmanager
def s3_server(log: Path) -> Iterator[str]:
    """Run moto's server; gives its address."""
    port = free_port()
    with log.open("wb") as out:
        command = [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", str(port)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            _await(port, process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(DEADLINE_S)


class SshServer:
    """An sshd for this user, and the options with which restic reaches it."""

    def __init__(self, base: Path, port: int) -> None:
        self.base, self.port, self.user = base, port, getpass.getuser()

    def options(self, key: str = "key") -> list[str]:
        """Return restic's options; `key`: which of the keys in `base` is shown."""
        words = [
            "ssh", "-F", "/dev/null", "-p", str(self.port), "-i", str(self.base / key), "-o", "IdentitiesOnly=yes",
            "-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={self.base / 'known_hosts'}", f"{self.user}@127.0.0.1", "-s", "sftp",
        ]  # fmt: skip
        return ["-o", f"sftp.command={shlex.join(words)}"]


@contextlib.contextmanager
def ssh_server(base: Path) -> Iterator[SshServer]:
    """Run an sshd on a port of its own. The file system is as this user sees it."""
    base.chmod(0o700)
    server = SshServer(base, free_port())
    for name in ("host", "key", "other"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", base / name], check=True)
    (base / "authorized_keys").write_text((base / "key.pub").read_text())
    (base / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {(base / 'host.pub').read_text()}")
    (base / "sshd_config").write_text(
        f"Port {server.port}\nListenAddress 127.0.0.1\nHostKey {base}/host\nPidFile none\nStrictModes no\nUsePAM no\n"
        f"AuthorizedKeysFile {base}/authorized_keys\nPasswordAuthentication no\nSubsystem sftp internal-sftp\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where it shuts itself in before anybody has logged in
    log = base / "sshd.log"
    with log.open("wb") as out:
        command = ["/usr/sbin/sshd", "-D", "-e", "-f", str(base / "sshd_config")]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            _await(server.port, process, log)
            yield server
        finally:
            process.terminate()
            process.wait(DEADLINE_S)


def _await(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end_s = time.monotonic() + DEADLINE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert process.poll() is None and time.monotonic() < end_s, log.read_text()
            time.sleep(0.05)


def processes(text: str) -> list[int]:
    """Return the living processes with a text in their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if text.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
    return found


Make = Callable[[], Vault]


# fixtures; tests/process/conftest.py makes them known


@pytest.fixture(scope="session")
def archived_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory with a snapshot, of which each test has a copy."""
    suite = Suite(tmp_path_factory.mktemp("archived"))
    for number in range(5):
        (suite.root / f"{number}.txt").write_text(f"{number}\n")
    suite.once()
    suite.run("backup", "snapshot")
    return suite.state


@pytest.fixture
def make_vault(tmp_path: Path, archived_state: Path) -> Make:
    made: list[Vault] = []

    def make() -> Vault:
        base = tmp_path / f"vault-{len(made)}"
        base.mkdir()
        made.append(Vault(base, archived_state))
        return made[-1]

    return make


@pytest.fixture
def vault(make_vault: Make) -> Vault:
    """A vault whose repository, a directory, is made."""
    made = make_vault()
    made.run("--init")
    return made


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3_server(tmp_path_factory.mktemp("s3") / "log") as address:
        yield address


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    if not Path("/usr/sbin/sshd").exists():
        pytest.skip("there is no sshd here")
    with ssh_server(tmp_path_factory.mktemp("sshd")) as server:
        yield server
