"""Whatever a file holds, there is a descriptor, it is JSON as the ledger wants it, and it is bounded."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pypdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoops.describe import shape
from autoops.describe.extract import MAX_DESCRIPTOR_BYTES, describe

TYPES = {
    "python": "text/x-python",
    "markdown": "text/markdown",
    "json": "application/json",
    "yaml": "application/yaml",
    "toml": "application/toml",
    "sql": "application/sql",
    "shell": "text/x-shellscript",
    "html": "text/html",
    "csv": "text/csv",
    "image": "image/png",
    "pdf": "application/pdf",
    "text": "text/plain",
    "binary": "application/octet-stream",
}


def pdf() -> bytes:
    writer = pypdf.PdfWriter()
    writer.add_blank_page(100, 100)
    writer.add_metadata({"/Title": "Plan", "/Author": "Ada"})
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


PYTHON = """'Doc.'
import os
try:
    from .a import b
finally:
    class C(D):
        async def e(self): pass
async def f(): pass
if __name__ == "__main__": f()
"""
MARKDOWN = "---\ntitle: T\na: [b]\n---\n# One #\nTwo\n---\n```x\n# no\n```\n[a](b) <https://c> `d`\n[e]: f\n"
SQL = "create table if not exists \"a b\" (c text default 'x');\n/* d */ create view e as select $$f$$;\n-- g\n`h`\n"
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\3\0\0\0\4\x08\2\0\0\0\0\0\0\0\0\0\0\tpHYs\0\0.#\0\0.#\1"
HTML = '<!doctype html><html lang="en"><title>a</title><h1>b</h1><!-- c --><![CDATA[d]]><a href="e">f</a><?g?></html>'
YAML = "%YAML 1.1\n---\na: &x [1, {b: c}]\nd: *x\ne: |\n  text\n? [f]\n: !!set {g}\n...\n"
SAMPLES: dict[str, bytes] = {
    "python": PYTHON.encode(),
    "markdown": MARKDOWN.encode(),
    "json": b'{"$schema": "s", "a": [1, 2.5e3, null, true, "\\ud800"], "b": {"c": {}}}',
    "yaml": YAML.encode(),
    "toml": b"a = 1\nb = 1979-05-27T07:32:00Z\n[c.d]\ne = [1.5, inf]\n[[f]]\ng = '''x'''\n",
    "sql": SQL.encode(),
    "shell": b"#!/bin/sh\nf() {\n:\n}\ncat <<EOF\nx\nEOF\nfunction g {\n:\n}\n",
    "html": HTML.encode(),
    "csv": b'a,b\n1,"x\ny"\n=1+1,\xff\n',
    "image": PNG,
    "pdf": pdf(),
    "text": "words \u202e and more\n".encode("utf-16"),
    "binary": bytes(range(256)),
}
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\ud800-\udfff]")


def assert_fit(value: Any, depth: int = 0) -> None:
    """Only what canonical JSON has: no floats, 64-bit integers, one-line UTF-8 strings."""
    assert depth < 10
    if isinstance(value, dict):
        for name, member in value.items():
            assert_fit(name, depth)
            assert_fit(member, depth + 1)
    elif isinstance(value, list):
        assert len(value) <= shape.MAX_ITEMS
        for member in value:
            assert_fit(member, depth + 1)
    elif isinstance(value, str):
        assert len(value) <= shape.MAX_CHARACTERS and not CONTROLS.search(value)
        value.encode()
    else:
        assert value is None or type(value) is bool or (type(value) is int and -(2**63) <= value < 2**63)


def check(kind: str, data: bytes, truncated: bool) -> None:
    descriptor = describe(b"name", TYPES[kind], data, truncated)
    assert_fit(descriptor)
    assert (descriptor["kind"], descriptor["extractor"]) == (kind, f"{kind}/1")
    assert len(json.dumps(descriptor, ensure_ascii=False).encode()) <= MAX_DESCRIPTOR_BYTES


def mutations(sample: bytes) -> st.SearchStrategy[bytes]:
    """Valid files with up to four pieces cut out, doubled, or replaced by bytes that mean something somewhere."""
    spot = st.integers(0, len(sample))
    meaning = st.sampled_from(
        [b"", b"\0", b"\n", b'"', b"'", b"(", b"[" * 40, b"{", b"<", b"<!", b"&#x110000;", b"\xff", b"`", b"$$"]
    )
    piece = st.one_of(meaning, st.binary(max_size=6), spot.map(lambda at: sample[at : at + 20]))

    def apply(edits: list[tuple[int, int, bytes]]) -> bytes:
        data = sample
        for at, length, new in edits:
            data = data[:at] + new + data[at + length :]
        return data

    return st.lists(st.tuples(spot, st.integers(0, 12), piece), min_size=1, max_size=4).map(apply)


@pytest.mark.parametrize("kind", TYPES)
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_valid_file_with_damage_has_a_descriptor(kind: str, data: st.DataObject) -> None:
    check(kind, data.draw(mutations(SAMPLES[kind])), data.draw(st.booleans()))


@pytest.mark.parametrize("kind", TYPES)
@settings(max_examples=40, deadline=None)
@given(content=st.one_of(st.binary(max_size=300), st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))))
def test_random_content_has_a_descriptor(kind: str, content: bytes) -> None:
    check(kind, content, False)


LONG = 40_000
REPEATED = [
    *(b"[", b"(", b"<", b"<!", b"<!--", b"<a", b"`", b"](", b"'", b"\\'", b'"', b"/*", b"$a$", b"#", b"# ", b"- ", b"{a: "),
    *(
        b"a: &a *a\n",
        b"create ",
        b"\n",
        b"f(",
        b",",
        b"<<E\n",
        b"---\n",
        b"a=",
        b"%",
        b" obj ",
        b"\xff",
        b"[a](b",
        b"<script></",
    ),
]


@pytest.mark.parametrize("kind", [kind for kind in TYPES if kind not in ("image", "pdf", "binary")])
def test_content_made_to_be_slow_to_read_is_read(kind: str) -> None:
    for piece in REPEATED:
        check(kind, piece * (LONG // len(piece)), False)
        check(kind, b"`'" + piece * (LONG // len(piece)) + b"\\", True)


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.just(object)),
    lambda inner: st.one_of(st.lists(inner), st.tuples(inner), st.dictionaries(st.one_of(st.text(), st.integers()), inner)),
)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(), values, max_size=8))
def test_whatever_a_descriptor_is_made_of_it_becomes_fit(descriptor: dict[str, Any]) -> None:
    done = shape.finished(descriptor)
    assert_fit(done)
    assert len(json.dumps(done, ensure_ascii=False).encode()) <= MAX_DESCRIPTOR_BYTES


def test_a_descriptor_too_large_without_its_lists_keeps_what_names_it() -> None:
    wide = {f"field_{number}": "ü" * 300 for number in range(150)}
    assert shape.finished({"kind": "x", "extractor": "x/1", **wide}) == {"kind": "x", "extractor": "x/1"}


def test_a_fault_too_large_to_be_told_is_told_as_that() -> None:
    fault = {"error": {f"field_{number}": "ü" * 300 for number in range(150)}}
    done = shape.finished({"kind": "x", "extractor": "x/1", **fault})
    assert done == {"kind": "x", "extractor": "x/1", "error": {"message": "the fault itself is too large"}}


def test_numbers_that_canonical_json_has_not_become_text() -> None:
    done = shape.finished({"a": 1.5, "b": 2**64, "c": -(2**63), "d": float("nan"), "e": True})
    assert done == {"a": "1.5", "b": "0x10000000000000000", "c": -(2**63), "d": "nan", "e": True}
