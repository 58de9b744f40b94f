"""W6: what it costs to watch a tree in which nothing happens.

One after the other is started, left alone until it is quiet, and weighed; then all of them idle side by side. autoops comes
first, so that no other Python shares pages with it when it is weighed: proportional memory divides a shared page by its users.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench import service
from bench.measure import Target, rounded, summarize
from bench.processes import family, processor_s, proportional_mib, resident_mib, wakeups
from bench.setting import Setting, autoops
from bench.tree import cached_tree, empty
from bench.watcher import WATCHERS, Watcher, WatcherFailed

NAME = "W6"
NEEDS = {
    "autoops": "autoops",
    "raw": "",
    "inotifywait": WATCHERS["inotifywait"],
    "watchman": WATCHERS["watchman"],
    "watchdog": WATCHERS["watchdog"],
    "watchfiles": WATCHERS["watchfiles"],
    "huey-consumer": "module huey",
}
_HUEY = "import huey, sys; huey.SqliteHuey(filename=sys.argv[1]).create_consumer(workers=1).run()"
START_S = 600.0


class Idler(NamedTuple):
    """Something that is running and should do nothing."""

    tools: Callable[[], list[int]]  # the processes that count
    adapters: list[int]  # those that only read what the tool says


class Cost(NamedTuple):
    """What idling cost."""

    memory_mib: float
    cpu_s: float
    wakeups_per_s: float


def measure(setting: Setting) -> None:
    """Start everybody, wait, and take the difference of a minute."""
    files = setting.size(100_000, 2_000)
    seconds = 5 if setting.quick else 60
    tree = cached_tree(setting.scratch, files, "mixed")
    place = setting.folder("w6")
    with contextlib.ExitStack() as stack:
        idlers: dict[str, Idler] = {}
        memory_mib: dict[str, float] = {}
        for name in setting.taking_part(NAME, NEEDS):
            try:
                idlers[name] = _start(name, setting, stack, tree, place)
            except (WatcherFailed, service.ServiceFailed, subprocess.SubprocessError) as error:
                setting.lines.write(NAME, peer=name, fault=str(error))
                continue
            time.sleep(2 if setting.quick else 15)  # pools stop, allocators give back
            memory_mib[name] = proportional_mib(idlers[name].tools())
        before = {name: (processor_s(idler.tools()), wakeups(idler.tools())) for name, idler in idlers.items()}
        time.sleep(seconds)
        costs = {}
        for name, idler in idlers.items():
            tools, (cpu_s, switches) = idler.tools(), before[name]
            cost = Cost(memory_mib[name], processor_s(tools) - cpu_s, (wakeups(tools) - switches) / seconds)
            costs[name] = cost
            setting.lines.write(
                NAME,
                peer=name,
                files=files,
                seconds=seconds,
                processes=len(tools),
                proportional_mib=rounded(cost.memory_mib),
                proportional_mib_after=rounded(proportional_mib(tools)),
                resident_mib=rounded(resident_mib(tools)),
                adapter_resident_mib=rounded(resident_mib(idler.adapters)),
                cpu_s=rounded(cost.cpu_s),
                wakeups_per_s=rounded(cost.wakeups_per_s),
            )
    summarize(setting.lines, NAME, targets(costs), files=files)


def targets(costs: dict[str, Cost]) -> list[Target]:
    """Return what is promised; wake-ups are a rate, not a ratio."""
    ours, watchman, huey = (costs.get(name) for name in ("autoops", "watchman", "huey-consumer"))
    memory = ours.memory_mib / watchman.memory_mib if ours and watchman else None
    cpu = ours.cpu_s / huey.cpu_s if ours and huey and huey.cpu_s else None
    return [
        Target("proportional memory / watchman", memory, 1.0),
        Target("processor time / huey", cpu, 0.2),
        Target("wake-ups per second", ours.wakeups_per_s if ours else None, 0.5),
    ]


def _start(name: str, setting: Setting, stack: contextlib.ExitStack, tree: Path, place: Path) -> Idler:
    own = empty(place / name)
    if name == "autoops":
        return _start_autoops(setting, stack, tree, own)
    if name == "huey-consumer":
        command = [setting.peers_python, "-c", _HUEY, str(own / "huey.db")]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stack.callback(process.wait)
        stack.callback(process.terminate)
        return Idler(lambda: [process.pid], [])
    watcher = Watcher(name, tree, own, setting)
    stack.callback(watcher.stop)
    return Idler(watcher.tools, watcher.adapters())


def _start_autoops(setting: Setting, stack: contextlib.ExitStack, tree: Path, place: Path) -> Idler:
    """Start watcher and worker on a tree that is registered; wait until what their start asked for is done.

    Without descriptors: stage two of such a tree takes minutes, and is over when a real one idles.
    """
    state, environment = place / "state", setting.environment()
    config = service.write_config(place / "autoops.toml", tree, describe=False)
    register = autoops("up", "--once", "--register-only", "--root", tree, "--state", state)
    subprocess.run(register, env=environment, check=True, capture_output=True)
    running = []
    for program in ("autoops-worker", "autoops-watcher"):
        started = service.begin(program, state, config, place)
        stack.callback(service.end, started)
        service.wait_ready(started, START_S)
        running.append(started.process.pid)
    idle = autoops("wait-idle", "--state", state, "--timeout", str(int(START_S)))
    subprocess.run(idle, env=environment, check=True, capture_output=True)
    return Idler(lambda: [pid for parent in running for pid in family(parent)], [])
