"""One side of a queue workload, as a process of its own, under whichever Python has the queue's library.

    python -m bench.queues enqueue QUEUE DIR --jobs N            prints {"seconds": …}
    python -m bench.queues drain QUEUE DIR                       READY, waits for a line, prints {"jobs", "began", "ended"}, waits
    python -m bench.queues send QUEUE DIR --rate N --seconds S   one job at a time, each carrying its time
    python -m bench.queues listen QUEUE DIR                      READY, then, at the job "stop", the delays in nanoseconds

Every queue has the same three verbs: enqueue(paths); drain() claims and acknowledges until nothing is left, returns how many;
listen(got) hands over each job until got says stop. Times are CLOCK_MONOTONIC, the same in all processes of a machine.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from bench.contestants import QUEUES, STOP, Contestant


def names_of(count: int) -> list[str]:
    """Return job names that look like paths of a tree."""
    return [f"pack{n // 6400:03d}/group{n // 800 % 8}/part{n // 100 % 8}/f{n:07d}.py" for n in range(count)]


def say(value: object) -> None:
    """Tell the harness something, as a line of JSON."""
    print(json.dumps(value), flush=True)


def enqueue(queue: Contestant, jobs: int) -> None:
    """Enqueue so many jobs and say how long it took."""
    items = names_of(jobs)
    began = time.monotonic()
    queue.enqueue(items)
    say({"seconds": time.monotonic() - began})


def drain(queue: Contestant) -> None:
    """Wait for the start signal, empty the queue, and say how many jobs came out, and when."""
    say("READY")
    sys.stdin.readline()
    began = time.monotonic()
    jobs = queue.drain()
    say({"jobs": jobs, "began": began, "ended": time.monotonic()})
    sys.stdin.readline()  # with the queue open, until the harness goes


def send(queue: Contestant, rate: int, seconds: int) -> None:
    """Enqueue one job at a time, at a steady rate, each with the time just before the call."""
    time.sleep(1.0)  # a listener says READY before it waits: some wait in a loop of their own
    start = time.monotonic()
    for number in range(rate * seconds):
        time.sleep(max(0.0, start + number / rate - time.monotonic()))
        queue.enqueue([f"pack/f{number}#{time.monotonic_ns()}"])
    time.sleep(0.5)
    queue.enqueue([STOP])
    say("SENT")


def listen(queue: Contestant) -> None:
    """Say after "stop" how long each job was on its way."""
    delays: list[int] = []

    def got(item: str) -> bool:
        now = time.monotonic_ns()
        if item == STOP:
            say(delays)
            return True
        delays.append(now - int(item.partition("#")[2]))
        return False

    say("READY")
    queue.listen(got)


def main() -> None:
    """Play one role with one queue."""
    parser = argparse.ArgumentParser(description="One side of a queue workload.")
    parser.add_argument("role", choices=("enqueue", "drain", "send", "listen"))
    parser.add_argument("queue", choices=QUEUES)
    parser.add_argument("place", type=Path)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--rate", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=1)
    given = parser.parse_args()
    queue = QUEUES[given.queue](given.place)
    if given.role == "enqueue":
        enqueue(queue, given.jobs)
    elif given.role == "drain":
        drain(queue)
    elif given.role == "send":
        send(queue, given.rate, given.seconds)
    else:
        listen(queue)


if __name__ == "__main__":
    main()
