"""W4: how soon a change is reported, and what is lost when very many come at once.

latency    one 4 KiB file after the other is written and closed; from just before close(2) to the report
untar      an archive is unpacked into an empty watched directory
there      `git checkout` to a commit with many changes, and `back` again
After each burst a probe is written into every directory: one that is not reported shows a blind directory.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from shlex import quote
from typing import Any

from bench.losses import files_of, losses
from bench.measure import Target, quantile, quantiles, ratio_by_round, rounded, spread, summarize, wait_quiet
from bench.peers import run
from bench.processes import processor_s
from bench.setting import Setting
from bench.tree import RECIPE, empty, write_tree
from bench.watcher import WATCHERS, Watcher, WatcherFailed

NAME = "W4"
NEEDS = WATCHERS
LATENCY_FILES = 10_000
PROBE = ".probe"
BURSTS = ("untar", "there", "back")


def measure(setting: Setting) -> None:
    """Measure latency, then the bursts."""
    names = setting.taking_part(NAME, NEEDS)
    if not names:
        return
    p99 = latency(setting, names)
    bursts = {"untar": untar(setting, names)} | checkout(setting, names)
    summarize(setting.lines, NAME, targets(p99, bursts))


def targets(p99: dict[str, list[float]], bursts: dict[str, dict[str, list[dict[str, Any]]]]) -> list[Target]:
    """Return what is promised; a count of what was lost stands in place of a ratio where nothing may be lost."""
    judged = [
        Target("latency p99 / watchman, settle 2 ms", ratio_by_round(p99.get("autoops", []), p99.get("watchman-fast", [])), 1.0)
    ]
    for burst in BURSTS:
        done = bursts.get(burst, {})
        ours, theirs = done.get("autoops", []), done.get("watchman", [])
        for loss in ("missed", "gone_missed", "blind_directories"):
            judged.append(Target(f"{burst}: {loss}", float(sum(result[loss] for result in ours)) if ours else None, 0.0))
        spent = ratio_by_round([result["cpu_s"] for result in ours], [result["cpu_s"] for result in theirs])
        judged.append(Target(f"{burst}: processor time / watchman", spent, 1.0))
    return judged


def _in_turn(
    setting: Setting, names: Sequence[str], rounds: int, prepare: Callable[[], Path], act: Callable[[Watcher, Path], Any]
) -> dict[str, list[Any]]:
    """Let each watcher watch what `prepare` returns while `act` happens, in turn; one that fails stays out from then on."""
    done: dict[str, list[Any]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in list(done):
            root = prepare()
            wait_quiet(setting.quiet_s)
            try:
                watcher = Watcher(name, root, setting.folder("w4-watcher"), setting)
            except WatcherFailed as error:
                setting.lines.write(NAME, peer=name, fault=str(error))
                del done[name]
                continue
            try:
                time.sleep(1)  # whatever a tool still does after it says that it is ready
                done[name].append(act(watcher, root))
            finally:
                watcher.stop()
    return done


def latency(setting: Setting, names: Sequence[str]) -> dict[str, list[float]]:
    """Write files at a steady rate; return the p99 of each round, in ms."""
    rate, seconds = 50, 2 if setting.quick else 20
    tree = setting.folder("w4-latency")
    write_tree(tree, setting.size(LATENCY_FILES, 500), "small")
    done = _in_turn(setting, names, setting.rounds(3), lambda: tree, lambda w, root: _write_steadily(w, root, rate * seconds, rate))
    p99: dict[str, list[float]] = {}
    for name, rounds in done.items():
        delays = [delay for result in rounds for delay in result["delays_ms"]]
        if all(result["delays_ms"] for result in rounds):
            p99[name] = [quantile(result["delays_ms"], 99) for result in rounds]
        setting.lines.write(
            NAME,
            peer=name,
            part="latency",
            rate_per_s=rate,
            delay_ms=quantiles(delays),
            p99_ms=spread(p99[name]) if name in p99 else None,
            missed=sum(result["missed"] for result in rounds),
            also_before_close=sum(result["before_close"] for result in rounds),
        )
    return p99


def _write_steadily(watcher: Watcher, root: Path, count: int, rate: int) -> dict[str, Any]:
    body, folder = b"x" * 4096, root / "pack000" / "group0" / "part0"
    sent: dict[str, int] = {}
    start = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, start + number / rate - time.monotonic()))
        path = f"{folder}/latency{number:06d}.txt"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.write(file, body)
        sent[path] = time.monotonic_ns()
        os.close(file)
    watcher.wait_calm()
    first: dict[str, int] = {}
    early = set()
    for report in watcher.reports():
        if report.kind == "W" and report.path in sent:
            if report.at_ns >= sent[report.path]:
                first.setdefault(report.path, report.at_ns)
            else:
                early.add(report.path)
    for path in sent:
        os.unlink(path)
    delays = [(first[path] - at_ns) / 1e6 for path, at_ns in sent.items() if path in first]
    return {"delays_ms": delays, "missed": len(sent) - len(first), "before_close": len(early)}


def untar(setting: Setting, names: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Unpack an archive of small files."""
    place = setting.folder("w4-untar")
    write_tree(place / "source", setting.size(50_000, 1_000), "small", seed=7)
    archive, target = place / "source.tar", place / "target"
    run(f"tar -C {quote(str(place / 'source'))} -cf {quote(str(archive))} .", setting.environment())
    command = f"tar -C {quote(str(target))} -xf {quote(str(archive))}"
    act = _burst_of(setting, command)
    done = _in_turn(setting, names, setting.rounds(3), lambda: empty(target), act)
    _write_bursts(setting, "untar", done)
    return done


def checkout(setting: Setting, names: Sequence[str]) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Check a commit out that changes many files in many directories, and the first one again."""
    repository = _repository(setting, 300 if setting.quick else 20_000)
    change_to = f"git -C {quote(str(repository))} -c advice.detachedHead=false checkout -q -f "

    def at(commit: str) -> Callable[[], Path]:
        def prepare() -> Path:
            run(change_to + commit, setting.environment())
            return repository

        return prepare

    bursts = {}
    for burst, old, new in (("there", "before", "after"), ("back", "after", "before")):
        act = _burst_of(setting, change_to + new)
        bursts[burst] = _in_turn(setting, names, setting.rounds(3), at(old), act)
        _write_bursts(setting, burst, bursts[burst])
    return bursts


def _repository(setting: Setting, changes: int) -> Path:
    """Return a repository, made once: tags before and after differ in so many files, most in new or vanished directories."""
    repository = setting.scratch / "trees" / f"checkout-{changes}-recipe{RECIPE}"
    if repository.exists():
        return repository
    draft = empty(repository.with_name(repository.name + ".draft"))
    few = changes // 10
    git = f"git -C {quote(str(draft))} -c user.name=bench -c user.email=bench@example.invalid -c gc.auto=0"
    environment = setting.environment()
    write_tree(draft / "gone", 3 * few, "small", seed=1, per_directory=5)
    write_tree(draft / "edited", 4 * few, "small", seed=2, per_directory=20)
    write_tree(draft / "kept", 3 * few, "small", seed=3)
    run(f"{git} init -q && {git} add -A && {git} commit -q -m before && {git} tag before", environment)
    run(f"rm -r {quote(str(draft / 'gone'))}", environment)
    for path in (draft / "edited").rglob("*.*"):
        path.write_bytes(path.read_bytes() + b"\n")
    write_tree(draft / "new", 3 * few, "small", seed=5, per_directory=5)
    run(f"{git} add -A && {git} commit -q -m after && {git} tag after && {git} checkout -q before", environment)
    draft.rename(repository)
    return repository


def _burst_of(setting: Setting, command: str) -> Callable[[Watcher, Path], dict[str, Any]]:
    return lambda watcher, root: _burst(watcher, root, command, setting.environment())


def _burst(watcher: Watcher, root: Path, command: str, environment: dict[str, str]) -> dict[str, Any]:
    before, spent, read = files_of(root), processor_s(watcher.tools()), processor_s(watcher.adapters())
    began_ns = time.monotonic_ns()
    run(command, environment)
    ended_ns = time.monotonic_ns()
    watcher.wait_calm()
    spent, read = processor_s(watcher.tools()) - spent, processor_s(watcher.adapters()) - read
    after, reports = files_of(root), watcher.reports()
    last_ns = max((report.at_ns for report in reports), default=ended_ns)
    return {
        "burst_s": (ended_ns - began_ns) / 1e9,
        "late_s": max(0.0, (last_ns - ended_ns) / 1e9),
        "cpu_s": spent,
        "adapter_cpu_s": read,
        "reports": len(reports),
        **losses(root, before, after, reports, ended_ns, time.time_ns() - time.monotonic_ns()),
        **_blindness(watcher, root),
    }


def _blindness(watcher: Watcher, root: Path) -> dict[str, int]:
    """Write a file into every directory and count the directories from which it was not reported."""
    probes = set()
    for base, folders, _ in os.walk(root):
        if ".git" in folders:
            folders.remove(".git")
        probes.add(f"{base}/{PROBE}")
    began_ns = time.monotonic_ns()
    for probe in probes:
        with open(probe, "wb"):  # noqa: PTH123
            pass
    watcher.wait_calm()
    late = [report for report in watcher.reports() if report.at_ns >= began_ns]
    named = {report.path for report in late if report.kind in "WC"}
    for probe in probes:
        os.unlink(probe)
    return {"directories": len(probes), "blind_directories": len(probes - named)}


def _write_bursts(setting: Setting, burst: str, done: dict[str, list[dict[str, Any]]]) -> None:
    limit = [result["cpu_s"] for result in done.get("raw", [])]
    for name, rounds in done.items():
        for number, result in enumerate(rounds):
            facts = {key: rounded(value) if isinstance(value, float) else value for key, value in result.items()}
            setting.lines.write(NAME, peer=name, part=burst, round=number, **facts)
        spent = [result["cpu_s"] for result in rounds]
        if spent:
            ratio = rounded(ratio_by_round(spent, limit))
            setting.lines.write(NAME, peer=name, part=burst, cpu_s=spread(spent), vs_limit=ratio)
