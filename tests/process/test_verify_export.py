"""An outsider with two exports and the public key: agrees with a real registry, and with no tampered one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
SCRIPT = PROJECT / "docs" / "verify_export.py"


def autoops(*arguments: str | Path) -> str:
    command = [sys.executable, "-m", "autoops", *map(str, arguments)]
    run = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry made by the program itself, with hostile names and an edit, and its exports."""
    place = tmp_path_factory.mktemp("exported")
    tree, state = place / "tree", place / "state"
    (tree / "sub").mkdir(parents=True)
    for name in (b"a.md", b"sub/\xff\\", b"new\nline", "Grüße".encode(), b'"quoted"', b"empty"):
        Path(os.fsdecode(os.fsencode(tree) + b"/" + name)).write_bytes(b"# " + name if name != b"empty" else b"")
    (tree / "link").symlink_to("a.md")
    autoops("up", "--once", "--root", tree, "--state", state)
    (tree / "a.md").write_text("---\ntitle: Änderung\n---\n")
    (tree / "empty").unlink()
    autoops("up", "--once", "--root", tree, "--state", state)
    for output_format in ("jsonl", "ledger"):
        (place / output_format).write_text(autoops("export", "--format", output_format, "--state", state))
    shutil.copy(state / "ledger.pub", place)
    return place


@pytest.fixture
def place(exported: Path, tmp_path: Path) -> Path:
    """Copies of the exports and the key."""
    for name in ("jsonl", "ledger", "ledger.pub"):
        shutil.copy(exported / name, tmp_path)
    return tmp_path


def check(place: Path, key: str | None = None) -> tuple[int, str]:
    """Run the script alone, with nothing of this program importable."""
    command = [sys.executable, "-I", str(SCRIPT), "jsonl", "ledger", key or "ledger.pub"]
    run = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=60)
    assert run.stderr == "" and len(run.stdout.splitlines()) == 1, run.stderr
    return run.returncode, run.stdout.strip()


def disagrees(place: Path) -> str:
    code, line = check(place)
    assert code == 1 and line.startswith("DISAGREES: ")
    return line.removeprefix("DISAGREES: ")


def edit(place: Path, name: str, change: Callable[[list[str]], object]) -> None:
    lines = (place / name).read_text().splitlines(keepends=True)
    change(lines)
    (place / name).write_text("".join(lines))


def test_the_script_shares_no_code_with_the_program() -> None:
    assert "import autoops" not in SCRIPT.read_text() and "from autoops" not in SCRIPT.read_text()
    code = SCRIPT.read_text().split('"""', 2)[2]
    assert len([line for line in code.splitlines() if line.strip()]) <= 60


def test_the_exports_of_a_real_registry_agree(place: Path) -> None:
    entries = len((place / "jsonl").read_text().splitlines())
    records = len((place / "ledger").read_text().splitlines())
    assert entries == 7 and records >= 3
    code, line = check(place)
    assert code == 0 and line.startswith(f"agrees: {entries} entries, {records} records, digest ")


def test_the_digest_is_the_one_that_the_program_shows(exported: Path) -> None:
    shown = autoops("validate-registry", "--state", exported / "state").splitlines()[0].removeprefix("Registry hash: ")
    assert check(exported)[1].rpartition(" ")[2].startswith(shown.removesuffix("..."))


def test_the_key_may_be_given_as_its_digits(place: Path) -> None:
    assert check(place, (place / "ledger.pub").read_text().strip())[0] == 0


def test_an_edited_entry_disagrees(place: Path) -> None:
    edit(place, "jsonl", lambda lines: lines.__setitem__(0, lines[0].replace('"status":"active"', '"status":"retired"', 1)))
    assert "have the digest" in disagrees(place)


def test_an_entry_written_otherwise_disagrees(place: Path) -> None:
    edit(place, "jsonl", lambda lines: lines.__setitem__(0, json.dumps(json.loads(lines[0])) + "\n"))
    assert "have the digest" in disagrees(place)


def test_a_left_out_entry_disagrees(place: Path) -> None:
    edit(place, "jsonl", lambda lines: lines.pop(1))
    assert "the 6 entries have the digest" in disagrees(place)


def test_an_entry_that_stands_twice_disagrees(place: Path) -> None:
    edit(place, "jsonl", lambda lines: lines.insert(1, lines[1]))
    assert "stands behind" in disagrees(place)


def test_an_edited_record_disagrees(place: Path) -> None:
    edit(place, "ledger", lambda lines: lines.__setitem__(1, lines[1].replace("worker", "nobody", 1)))
    assert "record 2 does not follow" in disagrees(place)


@pytest.mark.parametrize("number", [0, 1])
def test_a_left_out_record_disagrees(place: Path, number: int) -> None:
    edit(place, "ledger", lambda lines: lines.pop(number))
    assert f"record {number + 1} does not follow" in disagrees(place)


def test_a_cut_ledger_disagrees(place: Path) -> None:
    edit(place, "ledger", lambda lines: lines.pop())
    assert "the ledger says" in disagrees(place)


def test_records_in_another_order_disagree(place: Path) -> None:
    edit(place, "ledger", lambda lines: lines.reverse())
    assert "record 1 does not follow" in disagrees(place)


def test_an_edited_signature_disagrees(place: Path) -> None:
    def flip(lines: list[str]) -> None:
        value = json.loads(lines[1])
        value["signature"] = ("0" if value["signature"][0] != "0" else "1") + value["signature"][1:]
        lines[1] = json.dumps(value) + "\n"

    edit(place, "ledger", flip)
    assert disagrees(place) == "record 2 is not signed by this key"


def test_another_key_disagrees(place: Path) -> None:
    from autoops.core.signing import Signer, new_key

    (place / "ledger.pub").write_text(Signer(new_key()).public.hex())
    assert disagrees(place) == "record 1 is not signed by this key"


@pytest.mark.parametrize("name", ["jsonl", "ledger", "ledger.pub"])
@pytest.mark.parametrize("content", [b"x\n", b"\xff\n", b"[]\n", b"{}\n", b"5\n", b"[" * 100_000 + b"\n"])
def test_nonsense_disagrees_without_a_traceback(place: Path, name: str, content: bytes) -> None:
    (place / name).write_bytes(content)
    assert disagrees(place)


def test_a_missing_file_disagrees(place: Path) -> None:
    (place / "jsonl").unlink()
    assert "jsonl" in disagrees(place)


def test_without_arguments_it_says_how_it_is_used() -> None:
    run = subprocess.run([sys.executable, "-I", str(SCRIPT)], capture_output=True, text=True, timeout=60)
    assert run.returncode == 2 and "autoops export --format jsonl" in run.stderr and run.stdout == ""
