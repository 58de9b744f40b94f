"""Runs one watcher and writes down what it reports.

    python -m bench.watchers WATCHER ROOT LOG

Prints `CHILD pid` for each process that is the tool itself (without one, this process is the tool) and READY when it watches.
LOG gets a line a report, `<CLOCK_MONOTONIC ns> <kind> <path>`:
    W  written and closed, or there      C  there, perhaps still being written      D  gone
    S  this directory will be scanned, whatever lies below it                      V  reports were lost
A time is that of the batch, taken when this process had it in hand.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.own_watcher import autoops
from bench.raw_inotify import raw
from bench.report import IGNORED, START_S, Log, child, ready


def inotifywait(root: Path, log: Log) -> None:
    """Report what inotifywait of inotify-tools prints."""
    events = "close_write,moved_to,moved_from,delete,create"
    command = ["inotifywait", "-m", "-r", "--exclude", r"/\.git(/|$)", "--format", "%e|%w%f", "-e", events, str(root)]
    tool = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
    child(tool)
    assert tool.stdout and tool.stderr
    while (line := tool.stderr.readline()) and b"Watches established" not in line:
        pass
    ready()
    rest = b""
    while data := os.read(tool.stdout.fileno(), 1 << 16):
        now = time.monotonic_ns()
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            event, _, path = line.partition(b"|")
            if b"OVERFLOW" in event:
                log.write("V", "", now)
            elif b"ISDIR" not in event:
                if b"DELETE" in event or b"MOVED_FROM" in event:
                    log.write("D", path, now)
                elif b"CLOSE_WRITE" in event or b"MOVED_TO" in event:
                    log.write("W", path, now)
        log.flush()


def watchman(root: Path, log: Log, place: Path, settle_ms: int | None = None) -> None:
    """Report what a watchman subscription says. Its server and this client are two processes."""
    state = place / "watchman"
    shutil.rmtree(state, ignore_errors=True)  # no socket left over
    state.mkdir(mode=0o700)
    settings: dict[str, Any] = {"ignore_dirs": [IGNORED]}
    if settle_ms is not None:
        settings["settle"] = settle_ms
    (state / "config.json").write_text(json.dumps(settings))
    environment = {**os.environ, "WATCHMAN_CONFIG_FILE": str(state / "config.json")}
    base = ["watchman", "--sockname", str(state / "sock"), "--logfile", str(state / "log")]
    base += ["--statefile", str(state / "state"), "--pidfile", str(state / "pid")]
    server = subprocess.Popen([*base, "--foreground"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    child(server)
    _wait_for((state / "sock").exists)
    subprocess.run([*base, "--no-spawn", "watch", str(root)], check=True, env=environment, stdout=subprocess.DEVNULL)
    began: float | None = None
    for message in _watchman_messages(state / "sock", root):
        now = time.monotonic_ns()
        if "subscribe" in message:
            began = time.monotonic()
            ready()
        if message.get("is_fresh_instance"):
            if began is None or time.monotonic() - began < 0.9:
                continue  # the listing that every subscription starts with
            log.write("V", "", now)
        for file in message.get("files", ()):
            log.write("W" if file["exists"] else "D", f"{root}/{file['name']}", now)
        log.flush()


def _watchman_messages(path: Path, root: Path) -> Iterator[dict[str, Any]]:
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(path))
    wanted = {"expression": ["type", "f"], "fields": ["name", "exists"]}
    client.sendall(json.dumps(["subscribe", str(root), "bench", wanted]).encode() + b"\n")
    rest = b""
    while data := client.recv(1 << 20):
        *lines, rest = (rest + data).split(b"\n")
        yield from map(json.loads, lines)


def watchman_fast(root: Path, log: Log, place: Path) -> None:
    """Report what watchman says when it settles for 2 ms instead of 20."""
    watchman(root, log, place, settle_ms=2)


def watchdog(root: Path, log: Log) -> None:
    """Report what watchdog's stock observer says."""
    from watchdog.events import FileSystemEvent, FileSystemEventHandler
    from watchdog.observers import Observer

    class Handler(FileSystemEventHandler):
        def on_any_event(self, event: FileSystemEvent) -> None:
            now, path = time.monotonic_ns(), os.fsdecode(event.src_path)
            if event.is_directory or f"/{IGNORED}/" in path:
                return
            if event.event_type in ("created", "modified", "closed"):
                log.write("W", path, now)
            elif event.event_type == "deleted":
                log.write("D", path, now)
            elif event.event_type == "moved":
                log.write("D", path, now)
                log.write("W", os.fsdecode(event.dest_path), now)

    observer = Observer()
    observer.schedule(Handler(), str(root), recursive=True)
    observer.start()
    ready()
    while True:
        time.sleep(0.2)
        log.flush()


def watchfiles(root: Path, log: Log, **pace: int) -> None:
    """Report what watchfiles says. It does not tell when it watches: a second must do."""
    import watchfiles as library

    class Filter(library.BaseFilter):  # type: ignore[misc]
        ignore_dirs = (IGNORED,)

    threading.Timer(1.0, ready).start()
    for changes in library.watch(root, watch_filter=Filter(), raise_interrupt=False, **pace):
        now = time.monotonic_ns()
        for kind, path in changes:
            log.write("D" if kind == library.Change.deleted else "W", path, now)
        log.flush()


def watchfiles_fast(root: Path, log: Log) -> None:
    """Report what watchfiles says with the shortest debounce it takes."""
    watchfiles(root, log, debounce=1, step=1)


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_S
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("the tool did not start")
        time.sleep(0.02)


PLAIN: dict[str, Callable[[Path, Log], None]] = {
    "raw": raw,
    "inotifywait": inotifywait,
    "watchdog": watchdog,
    "watchfiles": watchfiles,
    "watchfiles-fast": watchfiles_fast,
}
WITH_STATE: dict[str, Callable[[Path, Log, Path], None]] = {
    "watchman": watchman,
    "watchman-fast": watchman_fast,
    "autoops": autoops,
}


def main() -> None:
    """Watch until somebody ends this process."""
    parser = argparse.ArgumentParser(description="Runs one watcher and writes down what it reports.")
    parser.add_argument("watcher", choices=(*PLAIN, *WITH_STATE))
    parser.add_argument("root", type=Path)
    parser.add_argument("log", type=Path)
    given = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the harness ends us, in its own order
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    log = Log(given.log)
    if given.watcher in PLAIN:
        PLAIN[given.watcher](given.root.resolve(), log)
    else:
        WITH_STATE[given.watcher](given.root.resolve(), log, given.log.resolve().parent)


if __name__ == "__main__":
    main()
