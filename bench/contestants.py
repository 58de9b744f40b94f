"""The queues, each with the same three verbs. Every library is imported where it is used: no Python has all of them."""

from __future__ import annotations

import logging
import os
import select
import socket
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # the peers' Python has no autoops
    from autoops.store.queue import Queue

BATCH = 100
POLL_S = 0.005
STOP = "stop"
LEASE_S = 60.0


class Contestant(Protocol):
    """What a queue must do to take part."""

    def __init__(self, place: Path) -> None: ...
    def enqueue(self, items: Sequence[str]) -> None: ...
    def drain(self) -> int: ...
    def listen(self, got: Callable[[str], bool]) -> None: ...


class Raw:
    """The limit: sqlite3 alone, upsert by path, a lease at claim, a delete at acknowledge, batches of 100."""

    batch = BATCH
    synchronous = "FULL"

    def __init__(self, place: Path) -> None:
        self._connection = sqlite3.connect(place / "raw.db", timeout=30, isolation_level=None)
        self._connection.executescript(
            f"PRAGMA journal_mode=WAL; PRAGMA synchronous={self.synchronous};"
            "CREATE TABLE IF NOT EXISTS job (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, due REAL NOT NULL DEFAULT 0,"
            " attempts INT NOT NULL DEFAULT 0, lease REAL) STRICT;"
            "CREATE INDEX IF NOT EXISTS ready ON job (due, id) WHERE lease IS NULL"
        )

    def enqueue(self, items: Sequence[str]) -> None:
        for start in range(0, len(items), self.batch):
            self._write(
                "INSERT INTO job (path) VALUES (?) ON CONFLICT (path) DO UPDATE SET due = 0, lease = NULL, attempts = 0",
                [(item,) for item in items[start : start + self.batch]],
            )

    def _write(self, sql: str, rows: list[tuple[Any, ...]]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany(sql, rows)
        self._connection.execute("COMMIT")

    def _claim(self) -> list[tuple[int, str]]:
        now = time.time()
        self._connection.execute("BEGIN IMMEDIATE")
        rows = self._connection.execute(
            "UPDATE job SET lease = ?, attempts = attempts + 1 WHERE id IN"
            " (SELECT id FROM job WHERE lease IS NULL AND due <= ? ORDER BY due, id LIMIT ?) RETURNING id, path",
            (now + LEASE_S, now, self.batch),
        ).fetchall()
        self._connection.execute("COMMIT")
        return rows

    def _acknowledge(self, rows: list[tuple[int, str]]) -> None:
        self._write("DELETE FROM job WHERE id = ?", [(row[0],) for row in rows])

    def drain(self) -> int:
        count = 0
        while rows := self._claim():
            self._acknowledge(rows)
            count += len(rows)
        return count

    def listen(self, got: Callable[[str], bool]) -> None:
        while True:
            rows = self._claim()
            if any(list(map(got, (path for _, path in rows)))):  # a list: every job of the batch is handed over
                return
            if rows:
                self._acknowledge(rows)
            else:
                self._wait()

    def _wait(self) -> None:
        time.sleep(POLL_S)


class RawNormal(Raw):
    synchronous = "NORMAL"


class RawSingle(Raw):
    batch = 1


class RawNormalSingle(Raw):
    batch, synchronous = 1, "NORMAL"


class RawNotify(RawSingle):
    """The limit for latency: the listener is woken by a datagram instead of polling."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self._address = str(place / "wake")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def enqueue(self, items: Sequence[str]) -> None:
        super().enqueue(items)
        self._socket.sendto(b"1", self._address)

    def listen(self, got: Callable[[str], bool]) -> None:
        self._socket.bind(self._address)
        super().listen(got)

    def _wait(self) -> None:
        self._socket.recv(16)


class Autoops:
    """Our queue, durable, guarded as in service; a listener is woken by the same datagram that wakes the worker."""

    def __init__(self, place: Path) -> None:
        from autoops.runtime.wake import Sleeper, Waker

        self._queue = own_queue(place / "queue.db")
        self._socket = place / "worker.sock"
        self._waker = Waker(self._socket)
        self._sleeper_of = Sleeper

    def enqueue(self, items: Sequence[str]) -> None:
        from autoops.model import Work

        for start in range(0, len(items), BATCH):
            self._queue.enqueue([Work("path", item.encode()) for item in items[start : start + BATCH]])
            self._waker.wake()

    def drain(self) -> int:
        count = 0
        while jobs := self._queue.claim(BATCH, LEASE_S):
            lost = self._queue.complete(jobs)
            count += len(jobs) - len(lost)
        self._queue.database.checkpoint()  # as the worker does
        return count

    def listen(self, got: Callable[[str], bool]) -> None:
        sleeper = self._sleeper_of(self._socket)
        while True:
            jobs = self._queue.claim(BATCH, LEASE_S)
            if any(list(map(got, (job.key.decode() for job in jobs)))):
                return
            if jobs:
                self._queue.complete(jobs)
            else:
                select.select([sleeper], [], [], 1.0)
                sleeper.drain()


class Huey:
    """huey's SQLite storage: a job is handed out and forgotten; no lease, no acknowledgement."""

    fsync: bool | None = None

    def __init__(self, place: Path) -> None:
        from huey import SqliteHuey

        logging.getLogger("huey").setLevel(logging.ERROR)
        self._got: Callable[[str], bool] | None = None
        self._huey = SqliteHuey(filename=str(place / "huey.db"), fsync=self.fsync)

        def job(path: str) -> None:
            if self._got and self._got(path):
                os._exit(0)  # its consumer offers no way to stop from inside a job

        job.__module__ = "bench"  # the same name in every process
        self._task = self._huey.task(name="job")(job)

    def enqueue(self, items: Sequence[str]) -> None:
        for item in items:
            self._task(item)

    def drain(self) -> int:
        count = 0
        while (task := self._huey.dequeue()) is not None:
            self._huey.execute(task)
            count += 1
        return count

    def listen(self, got: Callable[[str], bool]) -> None:
        self._got = got
        self._huey.create_consumer(workers=1, periodic=False).run()


class HueyFsync(Huey):
    fsync = True


class Lite:
    """litequeue: it offers no waiting, so the listener polls."""

    def __init__(self, place: Path) -> None:
        from litequeue import LiteQueue

        self._queue = LiteQueue(str(place / "lite.db"), timeout=30)

    def enqueue(self, items: Sequence[str]) -> None:
        for item in items:
            self._queue.put(item)

    def drain(self) -> int:
        count = 0
        while (message := self._queue.pop()) is not None:
            self._queue.done(message.message_id)
            count += 1
        return count

    def listen(self, got: Callable[[str], bool]) -> None:
        while True:
            message = self._queue.pop()
            if message is None:
                time.sleep(POLL_S)
            elif got(message.data):
                return
            else:
                self._queue.done(message.message_id)


class Persist:
    """persist-queue's acknowledging SQLite queue."""

    def __init__(self, place: Path) -> None:
        from persistqueue import SQLiteAckQueue

        self._queue = SQLiteAckQueue(str(place / "persist"), auto_commit=True, timeout=30, multithreading=True)

    def enqueue(self, items: Sequence[str]) -> None:
        for item in items:
            self._queue.put(item)

    def drain(self) -> int:
        from persistqueue.exceptions import Empty

        count = 0
        while True:
            try:
                item = self._queue.get(block=False)
            except Empty:
                return count
            self._queue.ack(item)
            count += 1

    def listen(self, got: Callable[[str], bool]) -> None:
        while True:
            item = self._queue.get()
            if got(item):
                return
            self._queue.ack(item)


class Procrastinate:
    """procrastinate on PostgreSQL, found by PGHOST and its kin; notified by LISTEN."""

    batch = 1

    def __init__(self, place: Path) -> None:
        import procrastinate

        logging.getLogger("procrastinate").setLevel(logging.ERROR)
        self._got: Callable[[str], bool] | None = None
        self._count = 0
        self._app = procrastinate.App(connector=procrastinate.PsycopgConnector())
        self._sender = procrastinate.App(connector=procrastinate.SyncPsycopgConnector())
        self._sender.open()
        if not (place / "schema").exists():
            self._make_schema()
            (place / "schema").touch()
        self._app.task(name="job")(self._job)
        self._deferrer = self._sender.configure_task("job")

    def _make_schema(self) -> None:
        import psycopg

        with psycopg.connect(autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
        self._sender.schema_manager.apply_schema()

    async def _job(self, path: str) -> None:
        self._count += 1
        if self._got and self._got(path):
            os._exit(0)

    def enqueue(self, items: Sequence[str]) -> None:
        for start in range(0, len(items), self.batch):
            paths = [{"path": item} for item in items[start : start + self.batch]]
            if self.batch == 1:
                self._deferrer.defer(**paths[0])
            else:
                self._deferrer.batch_defer(*paths)

    def drain(self) -> int:
        self._app.run_worker(wait=False, concurrency=10, delete_jobs="always", install_signal_handlers=False)
        return self._count

    def listen(self, got: Callable[[str], bool]) -> None:
        self._got = got
        self._app.run_worker(wait=True, concurrency=1, delete_jobs="always", install_signal_handlers=False)


class ProcrastinateBulk(Procrastinate):
    batch = BATCH


def own_queue(path: Path) -> Queue:
    """Open our queue as the services do: guarded, and durable."""
    from autoops.store.database import Database
    from autoops.store.queue import SCHEMA, Queue

    return Queue(Database.open(path, SCHEMA, mode="create", synchronous="FULL", guard=True))


QUEUES: dict[str, type[Contestant]] = {
    "raw-normal-100": RawNormal,
    "raw-full-100": Raw,
    "raw-normal-1": RawNormalSingle,
    "raw-full-1": RawSingle,
    "raw-notify": RawNotify,
    "autoops": Autoops,
    "huey": Huey,
    "huey-fsync": HueyFsync,
    "litequeue": Lite,
    "persist-queue": Persist,
    "procrastinate": Procrastinate,
    "procrastinate-bulk100": ProcrastinateBulk,
}
