"""Files as they are kept: zstd, with the checksum of both sides. A file that is not what was packed is never given back."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import zstandard

from autoops.backup.errors import BackupUnsound
from autoops.backup.manifest import Packed

_LEVEL = 3  # of 1,000 MiB of a registry 9 leaves 3 % less, in four times the time
_CHUNK_BYTES = 1 << 20
_AHEAD_BYTES = 64 << 20  # unpacked and not yet written
_SYNC_BYTES = 64 << 20

Progress = Callable[[int], None]  # told how many plain bytes were done since it was told last
Tell = Callable[[str, int], None]  # what is being done, and how many bytes of it were done since it was told last


def pack(source: Path, target: Path, progress: Progress = lambda _: None) -> Packed:
    """Compress a file into a new one that is on the disk when this returns. Raises OSError; then there is no target."""
    plain, packed = sha256(), sha256()
    with source.open("rb") as reader, _new(target) as writer:
        plain_bytes = os.fstat(reader.fileno()).st_size
        threads = min(4, len(os.sched_getaffinity(0)))
        compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True, threads=threads).compressobj(size=plain_bytes)

        def put(data: bytes) -> None:
            packed.update(data)
            writer.write(data)

        while chunk := reader.read(_CHUNK_BYTES):
            plain.update(chunk)
            put(compressor.compress(chunk))
            progress(len(chunk))
        put(compressor.flush())
        size_bytes = writer.tell()
    return Packed(size_bytes, packed.hexdigest(), plain_bytes, plain.hexdigest())


def unpack(source: Path, target: Path, packed: Packed, name: str, progress: Progress = lambda _: None) -> None:
    """Give back what was packed, as a new file that is on the disk when this returns.

    Raises BackupUnsound, in the name of a snapshot, when it is not that or cannot be read; OSError. Then there is no target.
    """
    with _reader(source, name) as reader, _new(target) as writer:
        if _written(writer, _plain(reader, packed, f"{name}/{source.name}"), progress) != packed.plain_sha256:
            raise BackupUnsound(name=name, detail=f"{source.name} holds something else than what was packed")


def require_whole(source: Path, packed: Packed, name: str, progress: Progress = lambda _: None) -> None:
    """Read a packed file. Raises BackupUnsound when it is not what the manifest says, or cannot be read."""
    with _reader(source, name) as reader:
        for data in _read(reader, packed, f"{name}/{source.name}"):
            progress(len(data))


class _Source:
    """What is packed, part by part, for a decompressor that says when it wants more."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts

    def read(self, _: int) -> bytes:
        """Return the next part, b"" behind the last one."""
        return next(self._parts, b"")


def _plain(reader: BinaryIO, packed: Packed, name: str) -> Iterator[bytes]:
    """Yield what a file holds, at most as much as it should, and never much at once: a kilobyte may unpack to gigabytes."""
    parts, left_bytes = _read(reader, packed, name), packed.plain_bytes
    stream = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(_Source(parts))  # type: ignore[arg-type]
    try:
        while data := stream.read(_CHUNK_BYTES):
            left_bytes -= len(data)
            if left_bytes < 0:
                raise BackupUnsound(name=name, detail="it holds more than what was packed")
            yield data
    except zstandard.ZstdError as error:
        raise BackupUnsound(name=name, detail=f"it cannot be unpacked ({error})") from None
    for _ in parts:  # behind the end of the frame: then it is not the right one
        pass
    if left_bytes:
        raise BackupUnsound(name=name, detail="it holds something else than what was packed")


def _read(reader: BinaryIO, packed: Packed, name: str) -> Iterator[bytes]:
    """Yield a packed file; at its end it is known whether it was the right one."""
    hashed, size_bytes = sha256(), os.fstat(reader.fileno()).st_size
    if size_bytes != packed.size_bytes:
        raise BackupUnsound(name=name, detail=f"it has {size_bytes:,} bytes, not {packed.size_bytes:,}")
    while chunk := _part(reader, name):
        hashed.update(chunk)
        yield chunk
    if hashed.hexdigest() != packed.sha256:
        raise BackupUnsound(name=name, detail="it is not what its manifest says: it was damaged or changed")


def _part(reader: BinaryIO, name: str) -> bytes:
    try:
        return reader.read(_CHUNK_BYTES)
    except OSError as error:  # a bad disk tells of itself, sometimes
        raise BackupUnsound(name=name, detail=f"it cannot be read ({error.strerror})") from error


def _written(writer: BinaryIO, chunks: Iterable[bytes], progress: Progress) -> str:
    """Write chunks, each while the next ones are made, and return their checksum. Raises OSError and what the iterator raises."""
    hashed, unsynced_bytes = sha256(), 0

    def put(data: bytes) -> None:
        nonlocal unsynced_bytes
        hashed.update(data)
        writer.write(data)
        unsynced_bytes += len(data)
        if unsynced_bytes >= _SYNC_BYTES:  # the disk is at work meanwhile, and not only in the end
            writer.flush()
            os.fdatasync(writer.fileno())
            unsynced_bytes = 0

    behind = deque[tuple[Future[None], int]]()
    behind_bytes = 0
    with ThreadPoolExecutor(1) as thread:
        for data in chunks:
            behind.append((thread.submit(put, data), len(data)))
            behind_bytes += len(data)
            while behind and behind_bytes > _AHEAD_BYTES:
                done, size_bytes = behind.popleft()
                done.result()
                behind_bytes -= size_bytes
            progress(len(data))
        for done, _ in behind:
            done.result()
    return hashed.hexdigest()


@contextlib.contextmanager
def _reader(path: Path, name: str) -> Iterator[BinaryIO]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise BackupUnsound(name=name, detail=f"{path.name} is not there") from None
    except OSError as error:
        raise BackupUnsound(name=name, detail=f"{path.name} cannot be read ({error.strerror})") from error
    with os.fdopen(fd, "rb") as reader:
        yield reader


@contextlib.contextmanager
def _new(path: Path) -> Iterator[BinaryIO]:
    """Make a file that is whole and on the disk, or is not there."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as writer:
            yield writer
            writer.flush()
            os.fsync(writer.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
