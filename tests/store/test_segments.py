"""Ledger segments: what is appended comes back, in order, whatever happened to the process, the disk or a bit meanwhile."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from zlib import crc32

import pytest

from autoops.backup import frame, segment_files
from autoops.backup.errors import LedgerForked, SegmentUnsound
from autoops.backup.segment_lines import record_of, split
from autoops.backup.segments import Segments
from autoops.core.ledger import GENESIS, record_hash, record_text
from autoops.store.records import Record

# a writer in a process of its own, to be killed: appends so many records after what is there, or cuts
WRITER = """
import sys
from pathlib import Path
from autoops.backup.segments import Segments
from autoops.backup import segment_files
sys.path.insert(0, {tests!r})
from test_segments import chain
segment_files.MOST_RECORDS = 10
segments = Segments(Path(sys.argv[1]))
if sys.argv[2] == "append":
    last, _ = segments.last()
    segments.append(chain(int(sys.argv[3]))[last:])
else:
    segments.cut(int(sys.argv[3]))
"""


def chain(count: int, *, size: int = 10, salt: str = "") -> list[Record]:
    """Return the first records of a ledger; the third of five was asked for by a submission."""
    records, hashed = list[Record](), GENESIS
    for sequence in range(1, count + 1):
        patches = [f'{{"op":"update","name":"Grüße \\\\xff","n":"{"x" * size}"}}']
        at = "2026-01-31T12:04:00.250Z"
        text = record_text(sequence, at, "worker", 'a "sequence":7, b', f"why{salt}", bytes(32), bytes(32), patches)
        hashed = record_hash(hashed, text)
        signature = hashed * 2  # nobody here looks at it
        records.append(Record(sequence, text, hashed, signature, f"job-{sequence}" if sequence % 5 == 3 else None))
    return records


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_files, "MOST_RECORDS", 10)


def names(place: Path) -> list[str]:
    return sorted(os.listdir(place))


def test_what_is_appended_comes_back_with_its_submissions(place: Path) -> None:
    records, segments = chain(25), Segments(place)
    assert (segments.last(), segments.first(), list(segments.records())) == ((0, GENESIS), 0, [])
    assert segments.append(records[:20]) == 20
    assert segments.append(iter(records[20:])) == 5
    assert segments.append([]) == 0
    assert list(segments.records()) == records
    assert list(segments.records(7, 12)) == records[7:12]
    assert list(segments.records(25)) == list(segments.records(99)) == []
    assert (segments.last(), segments.first()) == ((25, records[-1].hash), 1)


def test_a_line_is_that_of_an_export_with_submission_and_checksum(place: Path) -> None:
    (record,) = chain(1)
    Segments(place).append([record])
    facts = json.loads((place / "000000000001.jsonl").read_bytes())
    assert facts.keys() == {"crc32", "hash", "record", "signature", "submission"}
    assert (facts["record"], facts["hash"], facts["signature"]) == (record.text, record.hash.hex(), record.signature.hex())


@pytest.mark.usefixtures("small")
def test_a_full_segment_is_closed_by_the_next_record_and_the_newest_is_always_open(place: Path) -> None:
    records, segments = chain(31), Segments(place)
    segments.append(records[:10])
    assert names(place) == ["000000000001.jsonl"]
    segments.append(records[10:])
    closed = [f"{first:012d}.jsonl.zst" for first in (1, 11, 21)]
    assert names(place) == [*closed, "000000000031.jsonl"]
    assert list(segments.records()) == records
    assert list(segments.records(14, 27)) == records[14:27]
    assert list(segments.records(20, 21)) == records[20:21]


def test_the_limits_are_8_mib_and_10000_records(place: Path, tmp_path: Path) -> None:
    few, many = chain(10, size=1 << 20), chain(10_001, size=1)
    Segments(place).append(few)
    assert names(place) == ["000000000001.jsonl.zst", "000000000009.jsonl"]
    Segments(tmp_path / "many").append(many)
    assert names(tmp_path / "many") == ["000000000001.jsonl.zst", "000000010001.jsonl"]
    assert list(Segments(place).records()) == few
    assert list(Segments(tmp_path / "many").records()) == many


@pytest.mark.parametrize("wrong", ["skipped", "again", "another history", "changed", "from the middle"])
def test_what_does_not_continue_the_chain_is_refused_and_nothing_of_it_is_kept(place: Path, wrong: str) -> None:
    records, other = chain(12), chain(12, salt=" else")
    segments = Segments(place)
    segments.append(records[:5] if wrong != "from the middle" else [])
    before = list(segments.records())
    tries = {
        "skipped": [records[5], records[7]],
        "again": records[4:],
        "another history": other[5:],
        "changed": [records[5]._replace(text=records[5].text.replace("worker", "nobody"))],
        "from the middle": records[5:],
    }
    with pytest.raises(LedgerForked):
        segments.append(tries[wrong])
    assert list(segments.records()) == before
    assert segments.append(records[len(before) :]) == 12 - len(before)


def test_a_directory_that_is_not_there_is_not_made_where_a_disk_should_be_mounted(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Segments(tmp_path / "not mounted" / "ledger").append(chain(1))
    assert list(tmp_path.iterdir()) == []


# cut


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("after", [0, 1, 9, 10, 11, 15, 20, 30, 33, 34, 99])
def test_after_a_cut_the_ledger_ends_there_and_another_one_goes_on(place: Path, after: int) -> None:
    records, segments = chain(34), Segments(place)
    segments.append(records)
    segments.cut(after)
    kept = records[:after]
    assert list(segments.records()) == kept
    assert segments.last() == ((kept[-1].sequence, kept[-1].hash) if kept else (0, GENESIS))
    segments.append(records[after:])
    assert list(segments.records()) == records


# crashes


def writer(place: Path, verb: str, number: int, trace: str = "") -> int:
    code = WRITER.format(tests=str(Path(__file__).parent))
    env = os.environ | ({"AUTOOPS_TRACE": trace} if trace else {})
    return subprocess.run([sys.executable, "-c", code, str(place), verb, str(number)], env=env).returncode


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    "trace", ["segment:written", "segment:written:7", "segment:written:12", "segment:synced", "segment:packed", "segment:packed:2"]
)
def test_a_writer_that_dies_leaves_a_ledger_that_the_next_one_goes_on_from(place: Path, trace: str) -> None:
    records, segments = chain(35), Segments(place)
    segments.append(records[:5])
    assert writer(place, "append", 35, trace) == -signal.SIGKILL
    left = list(segments.records())
    assert left == records[: len(left)]
    assert len(left) >= 5
    assert segments.last() == (len(left), records[len(left) - 1].hash)
    assert writer(place, "append", 35) == 0
    assert list(segments.records()) == records
    assert names(place) == [*(f"{first:012d}.jsonl.zst" for first in (1, 11, 21)), "000000000031.jsonl"]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("trace", ["segment:dropped", "segment:dropped:2", "segment:unpacked"])
def test_a_cut_that_dies_has_dropped_a_part_from_the_end_and_is_made_again(place: Path, trace: str) -> None:
    records, segments = chain(35), Segments(place)
    segments.append(records)
    assert writer(place, "cut", 13, trace) == -signal.SIGKILL
    left = list(segments.records())
    assert left == records[: len(left)]
    assert 13 < len(left) < 35
    segments.cut(13)
    assert list(segments.records()) == records[:13]
    assert names(place) == ["000000000001.jsonl.zst", "000000000011.jsonl"]


def test_what_an_earlier_writer_may_not_have_synced_is_synced_by_the_next_one_first(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = chain(3)
    Segments(place).append(records[:2])
    synced = list[str]()
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    segments = Segments(place)
    segments.append([])
    assert synced == [str(place / "000000000001.jsonl")]
    segments.append([])
    assert len(synced) == 1


@pytest.mark.usefixtures("small")
def test_a_cut_of_a_segment_in_which_nothing_is_left_says_so(place: Path) -> None:
    segments = Segments(place)
    segments.append(chain(15))
    (place / "000000000001.jsonl.zst").write_bytes(frame.pack(b""))
    with pytest.raises(SegmentUnsound, match="is not commit 5"):
        segments.cut(5)


@pytest.mark.usefixtures("small")
def test_what_a_cut_that_died_left_beside_a_segment_is_removed_by_the_next_writer(place: Path) -> None:
    records, segments = chain(35), Segments(place)
    segments.append(records[:30])
    assert writer(place, "cut", 13, "segment:unpacked") == -signal.SIGKILL
    assert {"000000000011.jsonl", "000000000011.jsonl.zst"} < set(names(place))
    segments.append(records[20:])
    assert list(segments.records()) == records
    assert names(place) == [*(f"{first:012d}.jsonl.zst" for first in (1, 11, 21)), "000000000031.jsonl"]


def test_a_last_line_that_is_torn_anywhere_is_no_record_and_the_next_one_takes_its_place(place: Path) -> None:
    records, segments = chain(3), Segments(place)
    segments.append(records[:2])
    path = place / "000000000001.jsonl"
    whole = path.read_bytes()
    first_bytes = whole.index(b"\n") + 1
    for size_bytes in range(len(whole)):
        path.write_bytes(whole[:size_bytes])
        known = (size_bytes >= first_bytes - 1) + (size_bytes >= len(whole) - 1)  # a line without its newline is complete
        assert list(segments.records()) == records[:known]
        assert segments.last()[0] == known
        assert segments.append(records[known:]) == 3 - known
        assert list(segments.records()) == records
        assert path.read_bytes().startswith(whole)


# damage


def flips(content: bytes, count: int) -> Iterator[bytes]:
    """Yield the content with one byte changed, each of the first and last ones, and some between."""
    pick = random.Random(5)
    edge = range(min(200, len(content)))
    for at in {*edge, *(len(content) - 1 - one for one in edge), *pick.sample(range(len(content)), min(count, len(content)))}:
        yield content[:at] + bytes([content[at] ^ pick.randrange(1, 256)]) + content[at + 1 :]


def all_or_damage(segments: Segments) -> list[Record] | None:
    try:
        return list(segments.records())
    except SegmentUnsound:
        return None


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", ["000000000001.jsonl.zst", "000000000011.jsonl"])
def test_a_flipped_byte_is_found_or_does_no_harm(place: Path, name: str) -> None:
    records, segments = chain(15), Segments(place)
    segments.append(records)
    whole = (place / name).read_bytes()
    answers = []
    for content in flips(whole, 1500):
        (place / name).write_bytes(content)
        answers.append(all_or_damage(segments))
        assert answers[-1] in (None, records)
    assert answers.count(None) > len(answers) * 0.9
    (place / name).write_bytes(whole)
    assert list(segments.records()) == records


@pytest.mark.usefixtures("small")
def test_a_closed_segment_that_is_cut_short_anywhere_is_found(place: Path) -> None:
    segments = Segments(place)
    segments.append(chain(10))
    plain = (place / "000000000001.jsonl").read_bytes()
    (place / "000000000001.jsonl").unlink()
    packed = frame.pack(plain)
    for size_bytes in range(len(packed)):
        (place / "000000000001.jsonl.zst").write_bytes(packed[:size_bytes])
        assert all_or_damage(segments) is None


def missing(place: Path) -> None:
    (place / "000000000011.jsonl.zst").unlink()


def swapped(place: Path) -> None:
    one, other = place / "000000000001.jsonl.zst", place / "000000000011.jsonl.zst"
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


def another_history(place: Path) -> None:
    lines = b"".join(_lines(chain(20, salt=" else")[10:]))
    (place / "000000000011.jsonl.zst").write_bytes(frame.pack(lines))


def shorter(place: Path) -> None:
    path = place / "000000000011.jsonl.zst"
    path.write_bytes(frame.pack(b"".join(frame.unpack(path.read_bytes()).splitlines(keepends=True)[:-1])))


def _lines(records: list[Record]) -> Iterator[bytes]:
    from autoops.backup.segment_lines import line_of

    yield from map(line_of, records)


def test_a_segment_that_is_missing_is_named(place: Path, small: None) -> None:
    segments = Segments(place)
    segments.append(chain(25))
    missing(place)
    with pytest.raises(SegmentUnsound, match=r"000000000021\.jsonl: it does not follow commit 10"):
        list(segments.records())


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("damage", [missing, swapped, another_history, shorter])
def test_what_is_no_longer_one_chain_is_found(place: Path, damage: Callable[[Path], None]) -> None:
    segments = Segments(place)
    segments.append(chain(25))
    damage(place)
    with pytest.raises(SegmentUnsound):
        list(segments.records())


def hostile(**facts: object) -> bytes:
    """Return a line with a right checksum, which anybody can make, and something else in it than a record."""
    good = json.loads(next(_lines(chain(1))))
    rest = json.dumps({key: value for key, value in (good | facts).items() if key != "crc32"})[1:].encode()
    return b'{"crc32":"%08x",%b' % (crc32(rest), rest)


@pytest.mark.parametrize(
    "facts",
    [{"record": 5}, {"record": None}, {"record": '\ud800 "sequence":1,'}, {"submission": {}}, {"hash": 5}, {"signature": "zz"}],
    ids=str,
)
def test_a_line_with_something_else_in_it_is_damaged_whatever_it_is(place: Path, facts: dict[str, object]) -> None:
    segments = Segments(place)
    place.mkdir()
    (place / "000000000001.jsonl").write_bytes(hostile(**facts) + b"\n")
    for call in (segments.last, lambda: segments.append(chain(1)), lambda: list(segments.records())):
        with pytest.raises(SegmentUnsound):
            call()
    assert list(segments.readable(0)) == []


@pytest.mark.parametrize("name", ["000000000011.jsonl.zst", "000000000021.jsonl"])
def test_a_segment_that_the_disk_does_not_give_is_damaged(place: Path, small: None, name: str) -> None:
    records, segments = chain(25), Segments(place)
    segments.append(records)
    (place / name).unlink()
    (place / name).mkdir()  # it can be opened, and not read
    found = list[Record]()
    with pytest.raises(SegmentUnsound, match=rf"{name}: it cannot be read \(Is a directory\)"):
        found.extend(segments.records())
    assert found == records[: int(name[:12]) - 1]
    assert segments.claimed() == (25 if name.endswith(".zst") else 20)
    if not name.endswith(".zst"):
        with pytest.raises(SegmentUnsound, match="cannot be read"):
            segments.last()


def test_a_name_alone_makes_nobody_believe_in_commits(place: Path) -> None:
    segments = Segments(place)
    segments.append(chain(25))
    (place / "999999999999999999.jsonl").touch()
    assert segments.claimed() == 25
    (place / "000000000031.jsonl.zst").write_bytes(b"damaged")
    assert segments.claimed() == 30


def test_files_that_are_no_segments_stay_as_they_are(place: Path) -> None:
    segments = Segments(place)
    segments.append(chain(5))
    for name in ("notes", "notes.zst", ".hidden"):
        (place / name).write_text("of the operator\n")
    assert segments.append(chain(7)[5:]) == 2
    assert names(place) == [".hidden", "000000000001.jsonl", "notes", "notes.zst"]


def test_a_damaged_last_line_is_not_written_past(place: Path) -> None:
    records, segments = chain(3), Segments(place)
    segments.append(records[:2])
    path = place / "000000000001.jsonl"
    content = path.read_bytes()
    path.write_bytes(content[:-40] + b"!" + content[-39:])
    for call in (segments.last, lambda: segments.append(records[2:]), lambda: list(segments.records())):
        with pytest.raises(SegmentUnsound):
            call()


def test_records_that_should_be_there_and_are_not_are_missed(place: Path) -> None:
    segments = Segments(place)
    with pytest.raises(SegmentUnsound, match="ends with commit 0"):
        list(segments.records(0, 1))
    segments.append(chain(3))
    with pytest.raises(SegmentUnsound, match="ends with commit 3, before commit 4"):
        list(segments.records(1, 4))


# a disk without room


@pytest.mark.usefixtures("small")
def test_when_the_disk_is_full_nothing_half_stays_and_the_same_records_can_be_added_later(place: Path) -> None:
    records, segments = chain(40, size=2000), Segments(place)
    segments.append(records[:12])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit_bytes in (5_000, 7_001, 12_345, 20_000):
        before = names(place), list(segments.records())
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
        try:
            with pytest.raises(OSError, match="File too large"):
                segments.append(records[len(before[1]) :])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert (names(place), list(segments.records())) == before
    segments.append(records[12:])
    assert list(segments.records()) == records
    assert len(names(place)) == 4


# readers beside a writer


@pytest.mark.usefixtures("small")
def test_a_reader_sees_a_first_part_of_the_ledger_at_each_moment_while_another_appends(place: Path) -> None:
    records, reader = chain(400, size=300), Segments(place)
    seen, end = list[int](), threading.Event()

    def write() -> None:
        segments = Segments(place)
        for first in range(0, 400, 3):
            segments.append(records[first : first + 3])
        end.set()

    writing = threading.Thread(target=write)
    writing.start()
    while not end.is_set():
        found = list(reader.records())
        assert found == records[: len(found)]
        seen.append(len(found))
    writing.join()
    assert seen == sorted(seen)
    assert len(set(seen)) > 3
    assert list(reader.records()) == records


@pytest.mark.usefixtures("small")
def test_the_end_of_a_segment_is_found_though_it_was_closed_since_it_was_seen(place: Path) -> None:
    records, segments = chain(11), Segments(place)
    segments.append(records[:10])
    (seen,) = segments.files()
    segments.append(records[10:])
    assert not seen.is_closed and not seen.path.exists()
    lines, _ = split(segment_files.end_of(seen))
    assert record_of(lines[-1]) == records[9]
