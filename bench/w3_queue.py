"""W3: a durable queue between processes: jobs a second from enqueue to acknowledged, and how long one job is on its way."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from bench import postgres
from bench.measure import Target, quantile, quantiles, ratio_by_round, rounded, spread, summarize, wait_quiet
from bench.players import DRAIN_S, START_S, ChildFailed, Player
from bench.setting import Setting
from bench.tree import empty

NAME = "W3"
NEEDS = {
    "raw-normal-100": "",
    "raw-full-100": "",
    "raw-normal-1": "",
    "raw-full-1": "",
    "raw-notify": "",
    "autoops": "own autoops.store.queue",
    "huey": "module huey",
    "huey-fsync": "module huey",
    "litequeue": "module litequeue",
    "persist-queue": "module persistqueue",
    "procrastinate": "module procrastinate, psycopg",
    "procrastinate-bulk100": "module procrastinate, psycopg",
}
LATENCY = ("raw-notify", "raw-full-1", "autoops", "huey", "litequeue", "persist-queue", "procrastinate")

Result = TypeVar("Result")


class Throughput(NamedTuple):
    """One round of one queue, in jobs a second."""

    end_to_end: float
    enqueue: float
    drain: float
    came_out: int


def measure(setting: Setting) -> None:
    """Measure throughput with one and two consumers, then latency."""
    names = setting.taking_part(NAME, NEEDS)
    if any(name.startswith("procrastinate") for name in names) and postgres.programs() is None:
        setting.lines.write(NAME, missing=["postgresql"])
        names = [name for name in names if not name.startswith("procrastinate")]
    place = setting.folder("w3")
    with contextlib.ExitStack() as stack:
        environment = setting.environment()
        if any(name.startswith("procrastinate") for name in names):
            environment |= stack.enter_context(postgres.running(setting.folder("postgres")))
        jobs = 500 if setting.quick else 10_000
        fillable = [name for name in names if name != "raw-notify"]  # it differs from raw-full-1 only while it waits
        per_consumers = {count: throughput(setting, fillable, place, environment, jobs, count) for count in (1, 2)}
        delays = latency(setting, [name for name in names if name in LATENCY], place, environment)
    summarize(setting.lines, NAME, targets(per_consumers[1], delays), jobs=jobs)


def targets(runs: dict[str, list[Throughput]], delays_ms: dict[str, list[float]]) -> list[Target]:
    """Return what is promised: throughput with one consumer, latency by the p99 of each round."""
    speed = {name: [run.end_to_end for run in done] for name, done in runs.items()}
    faster = ratio_by_round(speed.get("autoops", []), speed.get("huey", []))
    later = ratio_by_round(delays_ms.get("autoops", []), delays_ms.get("procrastinate", []))
    return [
        Target("jobs per second, end to end / huey", faster, 25, at_least=True),
        Target("enqueue to claim, p99 / procrastinate", later, 0.4),
    ]


def throughput(
    setting: Setting, names: Sequence[str], place: Path, environment: dict[str, str], jobs: int, consumers: int
) -> dict[str, list[Throughput]]:
    """Let one producer fill each queue and so many consumers empty it, queue by queue, round by round.

    Each is filled and emptied once beforehand, untimed, and who emptied it has it open still: a queue in service is not new.
    """

    @contextlib.contextmanager
    def filled_and_emptied(player: Player) -> Iterator[Throughput]:
        put_s = float(player.ask("enqueue", "--jobs", str(jobs))["seconds"])
        with player.ready("drain", consumers) as drainers:
            for drainer in drainers:
                drainer.start()
            results = [drainer.answer(DRAIN_S) for drainer in drainers]
            drain_s = max(result["ended"] for result in results) - min(result["began"] for result in results)
            came_out = sum(result["jobs"] for result in results)
            yield Throughput(jobs / (put_s + drain_s), jobs / put_s, jobs / drain_s, came_out)

    def once(player: Player) -> Throughput:
        with filled_and_emptied(player), filled_and_emptied(player) as measured:
            return measured

    runs = _in_turn(setting, names, place, environment, setting.rounds(5), once)
    for name, done in runs.items():
        if done:
            setting.lines.write(
                NAME,
                peer=name,
                jobs=jobs,
                consumers=consumers,
                end_to_end_per_s=spread([run.end_to_end for run in done]),
                enqueue_per_s=spread([run.enqueue for run in done]),
                drain_per_s=spread([run.drain for run in done]),
                vs_limit=rounded(_speed_ratio(done, runs.get("raw-full-100", []))),
                came_out=sorted({run.came_out for run in done}),
                exactly_once=all(run.came_out == jobs for run in done),
            )
    return {name: done for name, done in runs.items() if all(run.came_out == jobs for run in done)}


def _speed_ratio(ours: list[Throughput], theirs: list[Throughput]) -> float | None:
    return ratio_by_round([run.end_to_end for run in ours], [run.end_to_end for run in theirs])


def latency(setting: Setting, names: Sequence[str], place: Path, environment: dict[str, str]) -> dict[str, list[float]]:
    """Let one producer send at a steady rate to one waiting consumer; return the p99 of each round, in ms."""
    rate, seconds = 100, 2 if setting.quick else 10

    def once(player: Player) -> list[float]:
        with player.ready("listen", 1) as (listener,):
            player.ask("send", "--rate", str(rate), "--seconds", str(seconds))
            return [delay_ns / 1e6 for delay_ns in listener.answer(START_S)]

    runs = _in_turn(setting, names, place, environment, setting.rounds(3), once)
    p99: dict[str, list[float]] = {}
    for name, done in runs.items():
        if done:
            p99[name] = [quantile(delays, 99) for delays in done]
            together = [delay for delays in done for delay in delays]
            setting.lines.write(
                NAME, peer=name, rate_per_s=rate, seconds=seconds, delay_ms=quantiles(together), p99_ms=spread(p99[name])
            )
    return p99


def _in_turn(
    setting: Setting,
    names: Sequence[str],
    place: Path,
    environment: dict[str, str],
    rounds: int,
    once: Callable[[Player], Result],
) -> dict[str, list[Result]]:
    """Run each queue once a round, on nothing left over; one that fails says why and stays out from then on."""
    runs: dict[str, list[Result]] = {name: [] for name in names}
    failed: set[str] = set()
    for _ in range(rounds):
        for name in names:
            if name in failed:
                continue
            wait_quiet(setting.quiet_s)
            python = sys.executable if NEEDS[name].startswith(("own", "autoops")) else setting.peers_python
            try:
                runs[name].append(once(Player(name, empty(place), python if NEEDS[name] else sys.executable, environment)))
            except ChildFailed as error:
                failed.add(name)
                setting.lines.write(NAME, peer=name, fault=str(error))
    return {name: done for name, done in runs.items() if name not in failed}
