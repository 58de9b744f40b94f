"""The installed programs as real processes, for tests: start, wait, stop, kill, and compare what they registered with the disk.

What is on the disk, and what an exported path means, is worked out here in plain code of its own: the judge shares nothing with
what is judged.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

PROJECT = Path(__file__).parents[2]
DEADLINE_S = 60.0
SERVICES = ("worker", "watcher")
Tables = Mapping[str, Mapping[str, object]]


class Fact(NamedTuple):
    """What there is to know about one path, from the disk or from the registry."""

    kind: str
    size: int
    sha256: str | None
    mtime_ns: int
    inode: int


class Answer(NamedTuple):
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Suite:
    """Watcher and worker, and tailer and shipper where they are asked for, on trees of their own."""

    def __init__(self, base: Path, *, roots: Sequence[Mapping[str, object]] = (), tables: Tables | None = None) -> None:
        """`roots`: more keys of each [[root]] (default: one, named tree); `tables`: the rest of the configuration."""
        self.base, self.state, self.config = base, base / "state", base / "autoops.toml"
        self.roots: dict[str, Path] = {}
        self.environment: dict[str, str] = {}
        self.before: list[str] = []  # what each program is started by: unshare, say
        self._log = base / "log"
        self._log.mkdir(parents=True)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.configure(roots or [{"name": "tree"}], tables or {})

    @property
    def root(self) -> Path:
        """The first tree."""
        return next(iter(self.roots.values()))

    def configure(self, roots: Sequence[Mapping[str, object]], tables: Tables) -> None:
        """Write the configuration, and make the trees it names."""
        self.roots = {str(root["name"]): self.base / str(root["name"]) for root in roots}
        for path in self.roots.values():
            path.mkdir(exist_ok=True)
        described = [{"path": str(self.roots[str(root["name"])]), **root} for root in roots]
        machine = {f"{what}_{limit}": 101 for what in ("disk", "inodes", "memory") for limit in ("warning", "critical")}
        busy = {"load_warning": 1e6, "load_critical": 1e6, "response_warning_s": 3600, "response_critical_s": 3600}
        wanted = {"watch": {"settle_s": 0.2}, "queue": {"backoff_first_s": 0.1}, "worker": {"pool_size": 2}}
        wanted["health"] = {**machine, **busy}  # whatever else runs on this machine
        for name, table in tables.items():
            wanted[name] = {**wanted.get(name, {}), **table}  # type: ignore[dict-item]
        write_config(self.config, described, wanted)

    def run(
        self, *arguments: object, code: int | None = 0, stdin: str | None = None, config: bool = False, last: str | None = None
    ) -> Answer:
        """Run one command to its end; `code` is what it has to exit with (None: whatever), `last` an argument after `--`."""
        command = [*self.before, *program(), *(os.fspath(one) if isinstance(one, Path) else str(one) for one in arguments)]
        command += ["--state", str(self.state), *(["--config", str(self.config)] if config else [])]
        command += ["--", last] if last is not None else []
        run = subprocess.run(
            command, input=stdin, capture_output=True, encoding="utf-8", errors="surrogateescape", env=self._env(), timeout=120
        )
        assert code is None or run.returncode == code, (run.returncode, arguments, run.stdout[-2000:], run.stderr[-2000:])
        return Answer(run.returncode, run.stdout, run.stderr)

    def dies(self, point: str, *arguments: object) -> None:
        """Run one command, which is killed when it comes to a point (autoops.trace)."""
        self.environment["AUTOOPS_TRACE"] = point
        try:
            self.run(*arguments, code=-signal.SIGKILL, config=True)
        finally:
            del self.environment["AUTOOPS_TRACE"]

    def _env(self, **more: str) -> dict[str, str]:
        return environment(**self.environment, **more)

    def start(self, *names: str, trace: str = "", ready: bool = True, before: Sequence[str] = ()) -> None:
        """Start services (default: both); with `trace` they die at that point; `before` is the command that executes them."""
        if not (self.state / "ledger.pub").exists():
            self.run("migrate")
        for name in names or SERVICES:
            assert name not in self.processes, f"{name} runs already"
            whole = [*self.before, *before, *program(), f"start-{name}", "--state", str(self.state), "--config", str(self.config)]
            with (self._log / f"{name}.log").open("ab") as out:
                env = self._env(**({"AUTOOPS_TRACE": trace} if trace else {}))
                self.processes[name] = subprocess.Popen(
                    whole, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, start_new_session=True
                )
        if ready:
            for name in names or SERVICES:
                self.until(lambda name=name: self._beats(name), f"{name} is alive")

    def _beats(self, name: str) -> bool:
        assert self.processes[name].poll() is None, (name, self.log(name)[-3000:])
        found = self.run("status", "--json", code=None)
        process = found.json["processes"].get(name) if found.code == 0 else None
        return bool(process and process["alive"] and process["pid"] == self.processes[name].pid)

    def log(self, name: str) -> str:
        """Return what a service wrote to its log."""
        return (self._log / f"{name}.log").read_text(errors="replace") if (self._log / f"{name}.log").exists() else ""

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return a service's log as events."""
        return [json.loads(line) for line in self.log(name).splitlines() if line.startswith("{")]

    def committed(self) -> int:
        """Return the sequence of the last commit that the worker told of."""
        return max((event["sequence"] for event in self.events("worker") if event["event"] == "batch_committed"), default=0)

    def idle(self, *, code: int = 0, timeout_s: float = DEADLINE_S, stage: str = "all") -> Answer:
        """Wait until all that happened so far is committed."""
        answer = self.run("wait-idle", "--timeout", timeout_s, "--stage", stage, code=None)
        assert answer.code == code, (answer, self.run("queue", "list").out, self.log("worker")[-3000:])
        return answer

    def stop(self, *names: str) -> None:
        """End services in order, as systemd would; each must end well."""
        for name in names or ("tailer", "shipper", "watcher", "worker"):
            process = self.processes.pop(name, None)
            if process is not None:
                process.terminate()
                assert process.wait(DEADLINE_S) == 0, (name, process.returncode, self.log(name)[-3000:])

    def kill(self, *names: str) -> None:
        """Kill services with SIGKILL."""
        for name in names or SERVICES:
            process = self.processes.pop(name, None)
            if process is not None:
                process.kill()
                process.wait(DEADLINE_S)

    def died(self, name: str) -> int:
        """Wait until a service has died of itself; return its exit status."""
        status = self.processes[name].wait(DEADLINE_S)
        del self.processes[name]
        return status

    def once(self) -> Answer:
        """Bring the registry up to the disk without services."""
        return self.run("up", "--once", config=True)

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for a condition with a deadline."""
        end_s = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < end_s, f"not in time: {what}; {self.log('worker')[-2000:]}"
            time.sleep(0.02)

    # what is registered

    def export(self) -> list[dict[str, Any]]:
        """Return all entries, as exported."""
        return [json.loads(line) for line in self.run("export").out.split("\n") if line]

    def active(self) -> dict[tuple[str, bytes], dict[str, Any]]:
        """Return the active entries by place."""
        return {(entry["root"], path_of(entry["path"])): entry for entry in self.export() if entry["status"] == "active"}

    def entry(self, path: str | bytes, root: str = "") -> dict[str, Any]:
        """Return the active entry at a path below a root (default: the first)."""
        return self.active()[root or next(iter(self.roots)), os.fsencode(path)]

    def entries(self, directory: str, root: str = "") -> dict[str, dict[str, Any]]:
        """Return the active entries below a directory, by the path below it."""
        name, prefix = root or next(iter(self.roots)), os.fsencode(directory) + b"/"
        return {
            os.fsdecode(path[len(prefix) :]): entry
            for (where, path), entry in self.active().items()
            if where == name and path.startswith(prefix)
        }

    def evidence(self, entry: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the evidence of each revision, leaving out descriptions."""
        steps = self.run("explain", entry["id"], "--json").json
        return [step["evidence"] for step in steps if step["evidence"]["kind"] != "described"]

    def digest(self) -> str:
        """Return the registry's digest."""
        return str(self.run("status", "--json").json["digest"])

    def findings(self, kind: str = "") -> list[dict[str, Any]]:
        """Return the open findings, or those of one kind."""
        return [found for found in self.run("findings", "--json").json if kind in ("", found["kind"])]

    def check(self, name: str) -> dict[str, Any]:
        """Return what the health check says of one thing."""
        (found,) = [one for one in self.run("health", "--json", config=True, code=None).json["checks"] if one["name"] == name]
        return dict(found)

    def queue(self) -> dict[str, int]:
        """Return how many jobs there are in each state."""
        return dict(self.run("queue-status", "--json").json)

    # the judge

    def require_disk_registered(self, ignored: Callable[[bytes], bool] = lambda path: False, names: Sequence[str] = ()) -> None:
        """The export is the disk, byte for byte: every file, and nothing else."""
        active = self.active()
        for name in names or self.roots:
            there = {path: fact for path, fact in disk(self.roots[name]).items() if not ignored(path)}
            known = {path: fact_of(entry) for (root, path), entry in active.items() if root == name and not ignored(path)}
            assert sorted(known) == sorted(there), {
                "only on the disk": sorted(there.keys() - known.keys())[:20],
                "only registered": sorted(known.keys() - there.keys())[:20],
            }
            wrong = {path: (known[path], there[path]) for path in there if known[path] != there[path]}
            assert not wrong, dict(list(wrong.items())[:5])

    def require_proven(self) -> None:
        """The shipped check is the judge: `verify --deep`."""
        self.run("verify", "--deep", config=True)

    def require_tidy(self) -> None:
        """No temporary file is left, in the state directory or in the trees."""
        left = [path for top in (self.state, *self.roots.values()) for path in top.rglob("*") if is_temporary(path)]
        assert left == []
        assert list((self.state / "queue" / "cookies").iterdir()) == []

    def require_nothing_left_to_do(self) -> None:
        """Every job has ended well. (One more may begin after the last commit: is there anything to describe?)"""

        def left() -> dict[str, int]:
            return {state: count for state, count in self.queue().items() if count and state != "completed"}

        end_s = time.monotonic() + DEADLINE_S
        while left() and time.monotonic() < end_s:
            time.sleep(0.1)
        assert left() == {}, (left(), self.run("queue", "list").out)

    def close(self) -> None:
        """Kill what a failed test left, frozen or not."""
        for process in self.processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started, and that have not been waited for."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_frozen(pid: int) -> bool:
    """Say whether a process is stopped (SIGSTOP)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def program() -> list[str]:
    """Return the command that is `autoops`."""
    return [sys.executable, "-m", "autoops"]


def environment(**more: str) -> dict[str, str]:
    """Return an environment in which the programs are found, whatever is installed, and nothing else of ours counts."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AUTOOPS_", "NOTIFY_", "STATE_DIRECTORY"))}
    path = os.pathsep.join(filter(None, [more.pop("PYTHONPATH", ""), str(PROJECT)]))
    return {**kept, "PYTHONPATH": path, "COLUMNS": "200", **more}


def write_config(path: Path, roots: Sequence[Mapping[str, object]], tables: Tables) -> None:
    """Write a configuration file."""
    path.write_text(toml(*(("[[root]]", root) for root in roots), *((f"[{name}]", table) for name, table in tables.items())))


def toml(*tables: tuple[str, Mapping[str, object]]) -> str:
    """Return TOML of these (header, table). JSON's strings, numbers, booleans and lists are TOML's too."""
    return "\n".join(
        f"{head}\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items()) for head, table in tables
    )


def is_temporary(path: Path) -> bool:
    return path.name.endswith((".tmp", ".temp", "~", "-journal")) or ".tmp." in path.name


def path_of(text: str) -> bytes:
    """Return the bytes of an exported path: UTF-8, a backslash doubled, other bytes as \\xHH."""
    whole = re.sub(rb"\\(\\|x[0-9a-f]{2})", lambda found: _unescaped(found[1]), text.encode())
    assert b"\0" not in whole
    return whole


def _unescaped(escape: bytes) -> bytes:
    return b"\\" if escape == b"\\" else bytes([int(escape[1:], 16)])


def fact_of(entry: Mapping[str, Any]) -> Fact:
    """Return the facts of an exported entry."""
    seen = entry["observation"]
    return Fact(seen["kind"], seen["size_bytes"], seen["sha256"], seen["mtime_ns"], seen["inode"])


def disk(top: Path) -> dict[bytes, Fact]:
    """Return what is on the disk, by path below `top`. Links are not followed, special files not opened."""
    base = os.fsencode(top)
    return {os.path.relpath(path, base): _fact(path) for path in _walk(base)}


def _walk(directory: bytes) -> Iterator[bytes]:
    for entry in os.scandir(directory):
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path)
        else:
            yield entry.path


def _fact(path: bytes) -> Fact:
    found = os.lstat(path)
    kind, sha256 = KINDS[stat.S_IFMT(found.st_mode)], None
    if kind == "link":
        sha256 = hashlib.sha256(os.readlink(path)).hexdigest()
    elif kind == "file":
        with Path(os.fsdecode(path)).open("rb") as source:
            sha256 = hashlib.file_digest(source, "sha256").hexdigest()
    return Fact(kind, found.st_size, sha256, found.st_mtime_ns, found.st_ino)


KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFLNK: "link",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFBLK: "block",
    stat.S_IFCHR: "char",
}
