"""The floors under the tree workloads: what plain Python costs when it promises nothing.

    python -m bench.floor walk TREE           every file's status, compared with nothing
    python -m bench.floor compare TREE DB     the same, compared with the rows that `register` wrote
    python -m bench.floor hash TREE           every file read and hashed, two processes
    python -m bench.floor register TREE DB    hash, then one durable SQLite row a file and one chained record per 256 files
    python -m bench.floor parse TREE          ast.parse of every .py file, one process

No identity, no settling, no race checks, no recovery: a program that keeps promises may be a little slower.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import os
import sqlite3
import stat
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path

Row = tuple[str, int, int, int, bytes]  # path, size_bytes, mtime_ns, inode, sha256
WORKERS = 2
COMMIT_ROWS = 4096
RECORD_ROWS = 256
_BUFFER_BYTES = 1 << 20

SCHEMA = """
CREATE TABLE file (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, size INT, mtime INT, inode INT, sha256 BLOB) STRICT;
CREATE TABLE record (sequence INTEGER PRIMARY KEY, first INT, count INT, chain BLOB) STRICT;
"""


def walk(root: str) -> Iterator[tuple[str, int, int, int]]:
    """Yield (path below root, size, mtime_ns, inode) of every regular file."""
    waiting = [root]
    while waiting:
        with os.scandir(waiting.pop()) as items:
            for item in items:
                if item.is_dir(follow_symlinks=False):
                    waiting.append(item.path)
                    continue
                status = item.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode):
                    yield item.path[len(root) + 1 :], status.st_size, status.st_mtime_ns, status.st_ino


def hash_directory(path: str) -> tuple[list[str], list[Row]]:
    """Return (subdirectories, rows) of one directory, each file opened relative to it and read once."""
    folders: list[str] = []
    rows: list[Row] = []
    buffer = memoryview(bytearray(_BUFFER_BYTES))
    with os.scandir(path) as items:
        kinds = [(item.name, item.is_dir(follow_symlinks=False)) for item in items]
    here = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for name, is_folder in kinds:
            if is_folder:
                folders.append(f"{path}/{name}")
                continue
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=here)
            try:
                status = os.fstat(file)
                digest = hashlib.sha256()
                while count := os.readv(file, [buffer]):
                    digest.update(buffer[:count])
                    if count < _BUFFER_BYTES:
                        break
            finally:
                os.close(file)
            rows.append((f"{path}/{name}", status.st_size, status.st_mtime_ns, status.st_ino, digest.digest()))
    finally:
        os.close(here)
    return folders, rows


def hash_tree(root: str) -> Iterator[list[Row]]:
    """Yield the rows of each directory, hashed by a pool, one directory a task."""
    with ProcessPoolExecutor(WORKERS) as pool:
        running: set[Future[tuple[list[str], list[Row]]]] = {pool.submit(hash_directory, root)}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                folders, rows = future.result()
                running |= {pool.submit(hash_directory, folder) for folder in folders}
                yield rows


def register(root: str, database: str) -> int:
    """Write a row a file and the chained records, each commit durable; return the number of files."""
    connection = sqlite3.connect(database, isolation_level=None)
    connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + SCHEMA)
    chain, count = bytes(32), 0
    batch: list[Row] = []

    def commit() -> None:
        nonlocal chain, count
        connection.execute("BEGIN IMMEDIATE")
        numbered = [(count + offset, row[0][len(root) + 1 :], *row[1:]) for offset, row in enumerate(batch, 1)]
        connection.executemany("INSERT INTO file VALUES (?, ?, ?, ?, ?, ?)", numbered)
        for start in range(0, len(numbered), RECORD_ROWS):
            part = numbered[start : start + RECORD_ROWS]
            chain = hashlib.sha256(chain + repr(part).encode("utf-8", "surrogateescape")).digest()
            connection.execute("INSERT INTO record (first, count, chain) VALUES (?, ?, ?)", (part[0][0], len(part), chain))
        connection.execute("COMMIT")
        count += len(batch)
        batch.clear()

    for rows in hash_tree(root):
        batch += rows
        if len(batch) >= COMMIT_ROWS:
            commit()
    commit()
    connection.close()
    return count


def compare(root: str, database: str) -> int:
    """Return how many files differ, by status, from what `register` wrote."""
    connection = sqlite3.connect(database)
    known = {row[0]: row[1:] for row in connection.execute("SELECT path, size, mtime, inode FROM file")}
    differing = sum(1 for path, *status in walk(root) if known.pop(path, None) != tuple(status))
    return differing + len(known)


def parse(root: str) -> int:
    """Parse every Python file, one after the other; return their number."""
    paths = sorted(Path(root).rglob("*.py"))
    for path in paths:
        ast.parse(path.read_bytes())
    return len(paths)


def main() -> None:
    """Run one floor and print its count."""
    parser = argparse.ArgumentParser(description="The floors under the tree workloads.")
    parser.add_argument("what", choices=("walk", "compare", "hash", "register", "parse"))
    parser.add_argument("tree")
    parser.add_argument("database", nargs="?", default="")
    given = parser.parse_args()
    counts = {
        "walk": lambda: sum(1 for _ in walk(given.tree)),
        "compare": lambda: compare(given.tree, given.database),
        "hash": lambda: sum(map(len, hash_tree(given.tree))),
        "register": lambda: register(given.tree, given.database),
        "parse": lambda: parse(given.tree),
    }
    print(counts[given.what]())


if __name__ == "__main__":
    main()
