"""docs/formats.md, run: each of its examples is what it says it is."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zlib
from hashlib import sha256
from pathlib import Path

import pytest

from autoops import names
from autoops.backup.segment_lines import line_of, record_of
from autoops.core import ledger, patch, schema
from autoops.core.canonical import apply_patch, canonical, entry_from_json, entry_text, parse
from autoops.core.digest import Tree, bucket_of, leaf_of, with_member
from autoops.core.patch import FIELDS, MAX_PATCH_BYTES
from autoops.core.signing import Verifier
from autoops.model import JSON

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "formats.md").read_text()


def blocks(kind: str) -> list[str]:
    """Return the page's examples of one kind."""
    return re.findall(rf"^```json {kind}\n(.*?)\n```$", PAGE, re.MULTILINE | re.DOTALL)


(ENTRY,) = blocks("entry")
LEDGER = blocks("ledger")[0].splitlines()
(CHECKPOINT,) = blocks("checkpoint")
(KEY,) = re.findall(r"key of this example is `([0-9a-f]{64})`", PAGE)
EMPTY, DIGEST = re.findall(r"digest of no entries is `([0-9a-f]{64})`, that of the\s+entry above `([0-9a-f]{64})`", PAGE)[0]


def test_the_entry_is_valid_and_canonical() -> None:
    value = parse(ENTRY)
    assert schema.fault(value) is None
    assert entry_text(entry_from_json(value)) == canonical(value) == ENTRY
    assert all(f"`{field}`" in PAGE for field in (*value, *value["observation"]))


def test_the_digests_are_those_of_nothing_and_of_the_entry() -> None:
    tree = Tree()
    assert tree.root().hex() == EMPTY
    entry_id = json.loads(ENTRY)["id"]
    tree.set(bucket_of(entry_id), with_member(b"", entry_id, leaf_of(ENTRY)))
    assert tree.root().hex() == DIGEST


def test_the_ledger_gives_the_entry_and_is_signed_by_the_key() -> None:
    previous = bytes(32)
    entry: JSON | None = None
    for sequence, line in enumerate(LEDGER, 1):
        value = json.loads(line)
        assert canonical(parse(value["record"])) == value["record"]
        previous = sha256(previous + value["record"].encode()).digest()
        assert previous.hex() == value["hash"]
        signed = b"autoops-ledger-v1" + sequence.to_bytes(8, "big") + previous
        assert Verifier(bytes.fromhex(KEY)).verify(bytes.fromhex(value["signature"]), signed)
        for one in parse(value["record"])["patches"]:
            entry = apply_patch(entry, one)
    assert canonical(entry) == ENTRY
    assert parse(json.loads(LEDGER[-1])["record"])["digest_after"] == DIGEST


def test_the_checkpoint_is_of_the_last_record_and_signed() -> None:
    line = parse(CHECKPOINT)
    unsigned = canonical({key: value for key, value in line.items() if key != "signature"})
    assert ledger.checkpoint_bytes(line) == b"autoops-checkpoint-v1" + unsigned.encode()
    assert Verifier(bytes.fromhex(KEY)).verify(bytes.fromhex(line["signature"]), ledger.checkpoint_bytes(line))
    assert (line["hash"], line["digest"]) == (json.loads(LEDGER[-1])["hash"], DIGEST)


def test_the_segment_line_is_that_of_the_second_record() -> None:
    (line,) = blocks("segment")
    record = record_of(line.encode())
    facts = json.loads(LEDGER[1])
    assert (record.sequence, record.text, record.hash.hex()) == (2, facts["record"], facts["hash"])
    assert line_of(record).decode() == f"{line}\n"
    assert line.startswith(f'{{"crc32":"{zlib.crc32(line.encode()[20:]):08x}",')


def test_the_script_agrees_with_the_examples(tmp_path: Path) -> None:
    (tmp_path / "entries").write_text(ENTRY + "\n")
    (tmp_path / "ledger").write_text("".join(line + "\n" for line in LEDGER))
    command = [sys.executable, "-I", str(DOCS / "verify_export.py"), "entries", "ledger", KEY]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout) == (0, f"agrees: 1 entries, 2 records, digest {DIGEST}\n")


@pytest.mark.parametrize(("number", "tags"), [(0, ("approved",)), (1, ("draft",))])
def test_the_patches_fit_the_entry(number: int, tags: tuple[str, ...]) -> None:
    entry = entry_from_json(parse(ENTRY))
    (change,) = patch.resolve(patch.read(blocks("patch")[number]), {entry.id: entry}, DIGEST, "eva", 0)
    assert change.after.described.tags == tags


def test_the_names_of_the_table_are_in_their_forms() -> None:
    rows = re.findall(r"^\| `([0-9a-f ]+)` \| (.*?) \| `(.*?)` \|$", PAGE, re.MULTILINE)
    assert len(rows) == 4
    for code, stored, shown in rows:
        name = bytes.fromhex(code)
        quoted = re.search(r'in JSON `(".*?")`', stored)
        assert (json.loads(quoted[1]) if quoted else stored.strip("`")) == names.text(name)
        assert shown == names.show(name)


def test_the_limits_and_fields_are_those_of_the_program() -> None:
    assert f"{schema.MAX_ENTRY_BYTES:,} bytes long and nested at most {schema.MAX_DEPTH - 1} levels" in PAGE
    assert f"up to {MAX_PATCH_BYTES >> 20} MiB" in PAGE
    assert re.search(r"can be patched: (.*?)\. A class", PAGE, re.DOTALL)[1].replace("\n", " ") == ", ".join(  # type: ignore[index]
        f"`{field}`" for field in FIELDS
    )
