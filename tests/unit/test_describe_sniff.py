"""The type of a file comes from its bytes first, then from its name, and is the same on every host."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sqlite3
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoops.describe.sniff import HEAD_BYTES, sniff

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
ODT = "application/vnd.oasis.opendocument.text"


def zipped(*members: tuple[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a"))
    return file.getvalue()


BINARY = [
    (b"%PDF-1.7\n", b"a", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"a.txt", "image/png"),
    (b"\xff\xd8\xff\xe0\0\x10JFIF", b"a", "image/jpeg"),
    (b"GIF89a\1\0\1\0", b"a", "image/gif"),
    (b"RIFF\x10\0\0\0WEBPVP8 ", b"a", "image/webp"),
    (b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0", b"a", "image/bmp"),
    (b"II*\0\x08\0\0\0", b"a", "image/tiff"),
    (b"\0\0\0\x18ftypavif\0\0\0\0", b"a", "image/avif"),
    (b"\0\0\0\x18ftypisom\0\0\0\0", b"a", "video/mp4"),
    (gzip.compress(b"x", mtime=0), b"a", "application/gzip"),
    (lzma.compress(b"x"), b"a", "application/x-xz"),
    (bz2.compress(b"x"), b"a", "application/x-bzip2"),
    (b"\x28\xb5\x2f\xfd\x04\x00", b"a", "application/zstd"),
    (tarred()[:HEAD_BYTES], b"a", "application/x-tar"),
    (zipped(("a.txt", b"x")), b"a.zip", "application/zip"),
    (zipped(("mimetype", ODT.encode()), ("content.xml", b"")), b"a", ODT),
    (zipped(("mimetype", b"application/epub+zip")), b"a", "application/epub+zip"),
    (zipped(("[Content_Types].xml", b"<x/>"), ("word/document.xml", b"")), b"a", DOCX),
    (zipped(("[Content_Types].xml", b"<x/>")), b"a.docx", DOCX),
    (zipped(("META-INF/MANIFEST.MF", b"")), b"a", "application/java-archive"),
    (zipped(("mimetype", b"text/html\r\nX-Evil: 1")), b"a", "application/zip"),
    (b"!<arch>\ndebian-binary   ", b"a", "application/vnd.debian.binary-package"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0", b"A.DOC", "application/msword"),
    (b"\0asm\1\0\0\0", b"a", "application/wasm"),
    (b"\1\2\3\0", b"a.py", "application/octet-stream"),
    (bytes(range(1, 32)) + b"\xff\xfe\xfd", b"a.txt", "application/octet-stream"),
    (bytes(range(1, 32)), b"a", "application/octet-stream"),
    (b"", b"a.py", "inode/x-empty"),
]

TEXT = [
    (b"print(1)\n", b"a.py", "text/x-python"),
    (b"print(1)\n", b"A.PY", "text/x-python"),
    (b"# x\n", b"README.md", "text/markdown"),
    (b"{}", b"a.json", "application/json"),
    (b"a: 1", b"a.yml", "application/yaml"),
    (b"a = 1", b"pyproject.toml", "application/toml"),
    (b"select 1", b"a.sql", "application/sql"),
    (b"x", b"a.html", "text/html"),
    (b"a,b\n", b"a.csv", "text/csv"),
    (b"all:\n", b"Makefile", "text/x-makefile"),
    (b"a\n", b"py", "text/plain"),
    ("Grüße\n".encode(), b"a.md", "text/markdown"),
    ("Grüße\n".encode("latin-1"), b"a.md", "text/markdown"),
    ("a,b\n".encode("utf-16"), b"a.csv", "text/csv"),
    ("words".encode("utf-16"), b"a", "text/plain"),
    (b"#!/usr/bin/env -S python3 -u\n", b"tool", "text/x-python"),
    (b"#!/usr/bin/python3.11\n", b"tool", "text/x-python"),
    (b"#!/bin/sh\n", b"tool", "text/x-shellscript"),
    (b"#!\n", b"tool", "text/plain"),
    (b'<?xml version="1.0"?><a/>', b"a", "application/xml"),
    (b'<?xml version="1.0"?><svg xmlns="x"/>', b"a", "image/svg+xml"),
    (b"\xef\xbb\xbf  <!DOCTYPE html>", b"a", "text/html"),
    (b'{\n "a": 1}', b"a", "application/json"),
    (b'[{"a": 1}]', b"a", "application/json"),
    (b"[1, 2", b"a", "application/json"),
    (b"[1] a reference", b"a", "text/plain"),
    (b"[section]\nkey = 1\n", b"a", "text/plain"),
    (b"{curly prose}", b"a", "text/plain"),
    (b"BMW is a make of cars", b"a", "text/plain"),
    (b"ID3 and MZ are signatures, too short for prose", b"a", "text/plain"),
    (b"RIFF raff", b"a", "text/plain"),
    (b"\x1b[31mred\x1b[0m\n", b"a.log", "text/plain"),
]


@pytest.mark.parametrize(("head", "name", "mime"), [*BINARY, *TEXT])
def test_a_file_has_the_type_that_its_content_and_name_say(head: bytes, name: bytes, mime: str) -> None:
    assert sniff(head, name) == mime


def test_real_files_of_this_host_are_recognised(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "a.db").execute("create table a (b)").connection.close()
    assert sniff((tmp_path / "a.db").read_bytes()[:HEAD_BYTES], b"a.db") == "application/vnd.sqlite3"
    program = Path(sys.executable).resolve().read_bytes()[:HEAD_BYTES]
    assert sniff(program, b"python3") in ("application/x-executable", "application/x-sharedlib")


def test_a_character_cut_by_the_end_of_the_head_is_still_text() -> None:
    text = ("a" * (HEAD_BYTES - 1) + "ü").encode()[:HEAD_BYTES]
    assert sniff(text, b"a") == "text/plain"
    assert sniff(b"\1" + text[1:], b"a") == "application/octet-stream"


@given(st.binary(max_size=400), st.binary(max_size=20))
def test_any_bytes_and_any_name_have_a_type_of_two_printable_parts(head: bytes, name: bytes) -> None:
    kind, slash, subtype = sniff(head, name).partition("/")
    assert kind and slash and subtype and (kind + subtype).isascii() and (kind + subtype).isprintable()


@given(st.binary(min_size=26, max_size=200))
def test_a_zip_cannot_call_itself_something_that_is_no_type(rest: bytes) -> None:
    mime = sniff(b"PK\x03\x04" + rest, b"a.zip")
    assert mime.isascii() and mime.isprintable() and " " not in mime
