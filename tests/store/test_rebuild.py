"""A registry made of its backups: exactly that of each commit, whatever part of them is damaged, or an error and nothing."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from histories import History, tables
from kept import FLIPS, SIGNER, VERIFIER, Kept, faults, live_and_keep
from registry_files import opened

from autoops.backup import manifest
from autoops.backup.errors import BackupForeign, BackupNewer, BackupUnsound, NoBackup
from autoops.backup.place import MANIFEST, REGISTRY, Place
from autoops.backup.rebuild import Way, rebuild, ways
from autoops.backup.segment_lines import line_of
from autoops.backup.segments import Segments
from autoops.core.canonical import entry_text
from autoops.core.ledger import signed_bytes
from autoops.core.signing import Signer, Verifier
from autoops.errors import AutoopsError, CheckFailed, CommitMisfit, UsageError
from autoops.store.database import migrate
from autoops.store.playback import Playback
from autoops.store.records import Record
from autoops.store.registry import SCHEMA, Registry

COMMITS = 120
MANY = int(os.environ.get("AUTOOPS_COMMITS", "300"))  # of the long history
FULL, INCREMENTAL = (30, 70), (45, 90, 110)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return live_and_keep(tmp_path_factory.mktemp("lived"), COMMITS, FULL, INCREMENTAL)


@pytest.fixture
def kept(lived: Kept, tmp_path: Path) -> Kept:
    """The same, its backups to be spoiled."""
    shutil.copytree(lived.place.directory, tmp_path / "spoiled")
    return lived._replace(place=Place(tmp_path / "spoiled"))


def require_exact(kept: Kept, target: Path, sequence: int) -> None:
    assert tables(target) == kept.tables[sequence]
    registry = Registry.open(target)
    assert registry.head() == kept.heads[sequence]
    assert [entry_text(entry) for entry in registry.entries()] == kept.texts[sequence]
    registry.close()
    assert faults(target) == []


def left_beside(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir() if path.name.startswith((".", target.name + ".")))


def made(kept: Kept, target: Path, sequence: int) -> list[AutoopsError]:
    """Rebuild by whatever way, compare, and return what was damaged."""
    told: list[AutoopsError] = []
    assert rebuild(kept.place, target, sequence, VERIFIER, on_fault=told.append) == kept.heads[sequence]
    assert left_beside(target) == []
    require_exact(kept, target, sequence)
    return told


@pytest.mark.parametrize("sequence", [*range(1, COMMITS, 3), COMMITS])
def test_each_commit_is_given_back_exactly(lived: Kept, tmp_path: Path, sequence: int) -> None:
    target = tmp_path / "registry.db"
    assert rebuild(lived.place, target, sequence, VERIFIER) == lived.heads[sequence]
    assert left_beside(target) == []
    require_exact(lived, target, sequence)


def test_any_commit_of_a_long_history_is_given_back_exactly(tmp_path: Path) -> None:
    """Each commit is played, and gives the digest that the registry had then; some are restored, and compared entry by entry."""
    place, writer = Place(tmp_path / "backups"), opened(tmp_path / "registry.db", SIGNER)
    place.ledger.mkdir(parents=True)
    place.snapshots.mkdir()
    writer.require_key(SIGNER.public.hex())
    history, digests, texts = History(writer, "long"), [writer.head().digest], dict[int, bytes]()
    restored = {1, MANY, *random.Random(MANY).sample(range(2, MANY), 6)}
    for sequence in range(1, MANY + 1):
        history.step()
        digests.append(writer.head().digest)
        if sequence in restored:
            texts[sequence] = text_hash(writer)
    Segments(place.ledger).append(writer.records(0))
    migrate(tmp_path / "played.db", SCHEMA)
    played = Playback.open_alone(tmp_path / "played.db")
    for record in writer.records():
        played.play([record])
        assert played.digest == digests[record.sequence]
    played.finish()
    writer.close()
    for sequence, text in texts.items():
        target = tmp_path / f"{sequence}.db"
        rebuild(place, target, sequence, VERIFIER)
        with closing(Registry.open(target)) as registry:
            assert text_hash(registry) == text


def text_hash(registry: Registry) -> bytes:
    return hashlib.sha256("".join(map(entry_text, registry.entries())).encode()).digest()


@pytest.mark.parametrize("sequence", [0, COMMITS + 1])
def test_a_commit_that_is_not_there_is_not_made(lived: Kept, tmp_path: Path, sequence: int) -> None:
    with pytest.raises(
        (UsageError, CommitMisfit), match="there is no commit 0" if sequence == 0 else f"ends with commit {COMMITS}"
    ):
        rebuild(lived.place, tmp_path / "registry.db", sequence, VERIFIER, on_fault=lambda error: None)
    assert list(tmp_path.iterdir()) == []


def test_without_segments_the_commits_up_to_the_last_full_snapshot_are_there(kept: Kept, tmp_path: Path) -> None:
    shutil.rmtree(kept.place.ledger)
    for sequence in (1, 29, 30, 31, 69, 70):
        made(kept, tmp_path / f"{sequence}.db", sequence)
    with pytest.raises(AutoopsError):
        rebuild(kept.place, tmp_path / "71.db", 71, VERIFIER)


def test_without_snapshots_the_segments_give_every_commit(kept: Kept, tmp_path: Path) -> None:
    shutil.rmtree(kept.place.snapshots)
    for sequence in (1, 50, COMMITS):
        made(kept, tmp_path / f"{sequence}.db", sequence)


def test_nothing_at_all_says_so(kept: Kept, tmp_path: Path) -> None:
    with pytest.raises(NoBackup):
        rebuild(Place(tmp_path / "nowhere"), tmp_path / "registry.db", 5, VERIFIER)
    assert list(tmp_path.glob("*.db*")) == []


# damage


def registry_file(kept: Kept, commit: int) -> Path:
    return kept.place.snapshot(kept.snapshots[commit].name) / REGISTRY


SPOILS: list[Callable[[Path], object]] = [
    lambda path: path.write_bytes(b""),
    lambda path: path.write_bytes(path.read_bytes()[:-1]),
    lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    lambda path: path.write_bytes(path.read_bytes()[:1000] + b"?" + path.read_bytes()[1001:]),
    lambda path: path.unlink(),
]


@pytest.mark.parametrize("spoil", SPOILS)
def test_a_damaged_snapshot_is_gone_around_and_told_of_or_is_the_error(
    kept: Kept, tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    spoil(registry_file(kept, 70))
    told = made(kept, tmp_path / "registry.db", 100)
    assert any(isinstance(error, BackupUnsound) and kept.snapshots[70].name in str(error) for error in told)
    if registry_file(kept, 70).exists() and registry_file(kept, 70).stat().st_size == kept.snapshots[70].files[REGISTRY].size_bytes:
        with pytest.raises(BackupUnsound):  # else its manifest alone tells, and the one before is the newest
            rebuild(kept.place, tmp_path / "strict.db", 100, VERIFIER)
        assert left_beside(tmp_path / "strict.db") == [] and not (tmp_path / "strict.db").exists()


def shipped(kept: Kept) -> Path:
    (path,) = kept.place.ledger.glob("*.jsonl")
    return path


def spoil_line(kept: Kept, sequence: int) -> None:
    lines = shipped(kept).read_bytes().split(b"\n")
    lines[sequence - 1] = lines[sequence - 1].replace(b"worker", b"walker").replace(b"operator", b"ope?ator")
    shipped(kept).write_bytes(b"\n".join(lines))


def test_a_damaged_record_is_gone_around_by_a_later_snapshot(kept: Kept, tmp_path: Path) -> None:
    spoil_line(kept, 50)
    assert made(kept, tmp_path / "60.db", 60)  # the ledger of the full one of 70, onto that of 30
    assert made(kept, tmp_path / "20.db", 20) == []
    assert made(kept, tmp_path / "100.db", 100) == []


def test_beyond_a_damaged_record_that_nothing_else_has_the_error_says_how_far_it_goes(kept: Kept, tmp_path: Path) -> None:
    spoil_line(kept, 80)
    with pytest.raises(CommitMisfit) as caught:
        rebuild(kept.place, tmp_path / "registry.db", 100, VERIFIER, on_fault=lambda error: None)
    assert caught.value.facts["sequence"] == 79 and "--seq 79" in caught.value.advice
    assert not (tmp_path / "registry.db").exists()
    made(kept, tmp_path / "79.db", 79)


def test_records_that_chain_and_are_signed_by_somebody_else_are_not_taken(kept: Kept, tmp_path: Path) -> None:
    stranger = Signer(bytes(32))
    lines = [json.loads(line) for line in shipped(kept).read_text().splitlines()]
    forged = []
    for sequence, line in enumerate(lines, 1):
        hashed = bytes.fromhex(line["hash"])
        signature = stranger.sign(signed_bytes(sequence, hashed)) if sequence > 95 else bytes.fromhex(line["signature"])
        forged.append(line_of(Record(sequence, line["record"], hashed, signature, line["submission"])))
    shipped(kept).write_bytes(b"".join(forged))
    with pytest.raises(CommitMisfit, match="not signed by the ledger key"):
        rebuild(kept.place, tmp_path / "registry.db", 100, VERIFIER)
    made(kept, tmp_path / "95.db", 95)


def rewrite_manifest(kept: Kept, commit: int, signer: Signer, **fields: object) -> None:
    told = kept.snapshots[commit]._replace(**fields)  # type: ignore[arg-type]
    path = kept.place.snapshot(told.name) / MANIFEST
    path.write_text(manifest.text(told, signer.sign(manifest.signed_bytes(told))))


def test_snapshots_of_another_key_or_a_later_program_are_the_error_when_there_are_no_others(kept: Kept, tmp_path: Path) -> None:
    stranger = Verifier(Signer(bytes(32)).public)
    with pytest.raises(BackupForeign):
        rebuild(kept.place, tmp_path / "registry.db", 100, stranger)
    with pytest.raises(BackupForeign):
        rebuild(kept.place, tmp_path / "registry.db", 100, stranger, on_fault=lambda error: None)
    for commit in kept.snapshots:
        rewrite_manifest(kept, commit, SIGNER, schemas={"queue": 1, "registry": 99}, version="9.9")
    with pytest.raises(BackupNewer, match=r"autoops 9\.9"):
        rebuild(kept.place, tmp_path / "registry.db", 100, VERIFIER)
    assert list(tmp_path.glob("*.db*")) == []


def test_a_manifest_that_promises_another_commit_than_its_registry_has_is_not_believed(kept: Kept, tmp_path: Path) -> None:
    rewrite_manifest(kept, 70, SIGNER, head=kept.heads[71])
    with pytest.raises(BackupUnsound, match="not at the commit that its manifest says"):
        rebuild(kept.place, tmp_path / "registry.db", 100, VERIFIER)
    assert made(kept, tmp_path / "100.db", 100)


@pytest.mark.parametrize("number", range(FLIPS))
def test_one_flipped_bit_anywhere_is_never_taken_for_good(lived: Kept, tmp_path: Path, number: int) -> None:
    flip_and_require(lived, tmp_path, number)


def flip_and_require(lived: Kept, directory: Path, number: int) -> None:
    """Flip a bit in some file of the backups: what is made is exact all the same, or there is an error and no file."""
    pick = random.Random(number)
    place = Place(directory / "flipped")
    shutil.copytree(lived.place.directory, place.directory)
    files = sorted(path for path in place.directory.rglob("*") if path.is_file() and path.stat().st_size)
    # each file as likely as another; the parts of it that are looked at are all of it
    path = pick.choice(files)
    content = bytearray(path.read_bytes())
    content[pick.randrange(len(content))] ^= 1 << pick.randrange(8)
    path.write_bytes(content)
    sequence = pick.randrange(1, COMMITS + 1)
    for strict in (True, False):
        target = directory / f"{strict}.db"
        try:
            rebuild(place, target, sequence, VERIFIER, on_fault=None if strict else lambda error: None)
        except CheckFailed:
            assert not target.exists()
        else:
            require_exact(lived, target, sequence)
        assert left_beside(target) == []


# the ways


def test_the_ways_are_tried_from_the_newest_snapshot_before_the_commit_on(lived: Kept) -> None:
    one, two = lived.snapshots[30], lived.snapshots[70]
    assert list(ways([one, two], 1, 100)) == [Way(two, None), Way(one, None), Way(None, None)]
    assert list(ways([one, two], 0, 50)) == [Way(one, None), Way(one, two), Way(None, two)]
    assert list(ways([one, two], 1, 20)) == [Way(None, None), Way(None, one), Way(None, two)]
    assert list(ways([], 0, 20)) == []


def test_segments_that_begin_late_are_no_way_from_nothing(kept: Kept, tmp_path: Path) -> None:
    segments = Segments(kept.place.ledger)
    records = list(segments.records())
    shipped(kept).unlink()
    (kept.place.ledger / f"{41:012d}.jsonl").write_bytes(b"".join(line_of(record) for record in records[40:]))
    assert made(kept, tmp_path / "20.db", 20) == []  # the ledger of the snapshot of 30
    assert made(kept, tmp_path / "100.db", 100) == []
    told = made(kept, tmp_path / "35.db", 35)  # the ledger of that of 70, for the segments do not have what comes after 30
    assert told and all(isinstance(error, CommitMisfit) for error in told)
