"""Stage two for one file, inside a pool process: read, extract, classify."""

from __future__ import annotations

import functools
import os
import time
from typing import Any

from autoops.core.canonical import canonical
from autoops.core.classify import Classifier
from autoops.describe.extract import describe
from autoops.describe.sniff import HEAD_BYTES
from autoops.files import opening
from autoops.model import ClassRule
from autoops.pool.tasks import File, Setup


@functools.cache
def _classifier(rules: tuple[ClassRule, ...]) -> Classifier:
    return Classifier(rules)


def describe_file(fd: int, directory: bytes, file: File, setup: Setup) -> tuple[Any, ...] | None:
    """Return (name, descriptor as JSON, class, rule, confidence, tags, extractor, seconds) of a file of an open directory.

    seconds: what the extractor took, None when none was needed, because the content was described before. None for all when the
    file is not the one the registry knows any more: then a job for it is on its way.
    """
    try:
        file_fd = opening.file(fd, file.name)
        try:
            if not _is(file, found := os.fstat(file_fd)):
                return None  # nor is it read: it may be a FIFO now
            data = _read(file_fd, setup.describe_bytes)
            if not _is(file, os.fstat(file_fd)):
                return None
        finally:
            os.close(file_fd)
    except OSError:
        return None
    took_s = None
    if file.descriptor is None:
        began_s = time.perf_counter()
        descriptor = describe(file.name, file.mime, data, truncated=found.st_size > len(data))
        took_s = time.perf_counter() - began_s
        text = canonical(descriptor)
    else:
        import json

        descriptor, text = json.loads(file.descriptor), file.descriptor
    path = directory + b"/" + file.name if directory else file.name
    decided = _classifier(setup.class_rules).classify(path, file.mime, data[:HEAD_BYTES], descriptor)
    return file.name, text, *(decided or (None, None, None, ())), str(descriptor.get("extractor", "")), took_s


def _is(file: File, found: os.stat_result) -> bool:
    return (found.st_size, found.st_mtime_ns, found.st_ino) == (file.size_bytes, file.mtime_ns, file.inode)


def _read(fd: int, limit_bytes: int) -> bytes:
    with open(fd, "rb", buffering=0, closefd=False) as source:
        data = source.read(limit_bytes) or b""
        while len(data) < limit_bytes and (more := source.read(limit_bytes - len(data))):
            data += more
    return data
