"""The benchmarks' own arithmetic, their trees, and that small runs of them come to an end."""

from __future__ import annotations

import ast
import hashlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import record, w1_describe, w1_register, w3_queue, w4_watch, w6_idle, w7_registry
from bench.losses import Report, losses
from bench.measure import Case, Run, Target, case_ratio, quantile, ratio_by_round, rounded, run_cases
from bench.tree import directory_of, write_tree

RUN = Path(__file__).parents[2] / "bench" / "run.py"


def test_a_ratio_is_the_median_of_the_rounds_not_the_ratio_of_the_medians() -> None:
    assert ratio_by_round([1.0, 20.0, 3.0], [2.0, 10.0, 1.0]) == 2.0  # 0.5, 2, 3; the medians would say 3/2


def test_a_ratio_with_a_side_that_was_not_measured_is_none_and_meets_no_target() -> None:
    assert ratio_by_round([], [1.0]) is None
    for at_least in (False, True):
        assert Target("anything", None, 1.0, at_least).facts()["met"] is False


def test_a_ratio_to_a_peer_that_cost_nothing_is_infinite_unless_we_cost_nothing_either() -> None:
    assert ratio_by_round([1.0], [0.0]) == math.inf
    assert ratio_by_round([0.0], [0.0]) == 1.0


@pytest.mark.parametrize(
    ("ratio", "at_least", "met"), [(2.0, False, True), (2.1, False, False), (2.0, True, True), (1.9, True, False)]
)
def test_a_target_is_met_at_its_limit_and_on_the_right_side_of_it(ratio: float, at_least: bool, met: bool) -> None:
    assert Target("anything", ratio, 2.0, at_least).facts()["met"] is met


def test_a_tiny_ratio_keeps_its_digits() -> None:
    assert rounded(0.0000412345) == 0.00004123


def test_a_quantile_is_a_value_that_was_measured() -> None:
    values = [float(value) for value in range(1, 101)]
    assert [quantile(values, percent) for percent in (50, 99, 100)] == [50.0, 99.0, 100.0]
    assert quantile([7.0], 99) == 7.0


def test_a_command_that_fails_is_named_and_has_no_ratio() -> None:
    cases = [Case("good", ["true"]), Case("bad", ["sh", "-c", "echo broken >&2; exit 3"])]
    run_cases(cases, 1, 0.0, dict(os.environ))
    assert cases[0].walls() and not cases[1].walls()
    assert "exit code 3" in cases[1].fault and "broken" in cases[1].fault
    assert case_ratio(cases, "good", "bad") is None


def _tree_bytes(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_arguments_give_the_same_tree_and_another_seed_another(tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        write_tree(tmp_path / name, 250, "mixed", seed=seed)
    one, same, other = (_tree_bytes(tmp_path / name) for name in ("one", "same", "other"))
    assert len(one) == 250 and one == same and one != other
    assert len(set(one.values())) == 250, "two contents are equal"


def test_every_python_and_json_file_of_a_tree_is_valid(tmp_path: Path) -> None:
    write_tree(tmp_path, 200, "mixed")
    kinds = {path.suffix for path in tmp_path.rglob("*.*")}
    assert kinds == {".py", ".md", ".json", ".txt", ".bin"}
    for path in tmp_path.rglob("*.py"):
        ast.parse(path.read_bytes())
    for path in tmp_path.rglob("*.json"):
        json.loads(path.read_bytes())


def test_a_hundred_files_share_a_directory_and_no_directory_is_met_twice() -> None:
    met = [directory_of(serial) for serial in range(0, 100 * 1000, 100)]
    assert len(set(met)) == 1000
    assert directory_of(99) == directory_of(0) != directory_of(100)


ROOT = Path("/watched")
STATE = (1, 1, 1, 1_000)  # changed at 1,000 ns of the wall clock
LATER, EARLIER = 10**9, 500


def _lost(
    reports: list[Report], before: dict[str, tuple[int, int, int, int]], after: dict[str, tuple[int, int, int, int]]
) -> dict[str, int]:
    return losses(ROOT, before, after, reports, ended_ns=2_000, wall_offset_ns=0)


def test_a_file_that_nobody_named_is_missed() -> None:
    assert _lost([], {}, {"/watched/a/b": STATE})["missed"] == 1


def test_a_file_is_covered_by_a_scan_above_it_only_if_the_scan_came_after_its_last_change() -> None:
    for folder in ("/watched/a", "/watched"):
        covered = _lost([Report(LATER, "S", folder)], {}, {"/watched/a/b": STATE})
        assert (covered["by_scan"], covered["named"], covered["missed"]) == (1, 0, 0)
    for too_early in (Report(EARLIER, "S", "/watched/a"), Report(LATER, "S", "/watched/other")):
        assert _lost([too_early], {}, {"/watched/a/b": STATE})["missed"] == 1


def test_a_file_that_was_named_while_open_is_counted_apart() -> None:
    found = _lost([Report(EARLIER, "C", "/watched/a")], {}, {"/watched/a": STATE})
    assert (found["missed"], found["named"], found["named_while_open_only"]) == (0, 1, 1)


def test_a_deletion_is_reported_by_its_name_by_its_vanished_directory_or_by_a_scan_after_the_burst() -> None:
    before = {"/watched/gone/a": STATE}
    assert _lost([], before, {})["gone_missed"] == 1
    assert _lost([Report(1_500, "S", "/watched")], before, {})["gone_missed"] == 1, "the deletion may have come after that scan"
    for report in (Report(1_500, "D", "/watched/gone/a"), Report(1_500, "C", "/watched/gone"), Report(LATER, "S", "/watched")):
        assert _lost([report], before, {})["gone_missed"] == 0


def test_a_file_that_did_not_change_is_not_asked_for() -> None:
    assert _lost([], {"/watched/a": STATE}, {"/watched/a": STATE})["written"] == 0


def _timed(name: str, *walls: float) -> Case:
    return Case(name, [], runs=[Run(wall, 0.0, 0.0, 0) for wall in walls], peak_mib=walls[0] * 10)


def test_the_memory_of_a_first_registration_is_judged_at_a_million_files_only() -> None:
    cases = [_timed("cat", 1.0), _timed("aide-init", 10.0), _timed("autoops", 2.0)]
    assert [target.name for target in w1_register.targets(cases, 1000) if "memory" in target.name] == []
    memory = w1_register.targets(cases, 1_000_000)[-1]
    assert memory.ratio == pytest.approx(0.2)


def test_targets_put_us_over_the_peer() -> None:
    ratios = {target.name: target.ratio for target in w1_register.targets([_timed("autoops", 2.0), _timed("aide-init", 8.0)], 10)}
    assert ratios["wall time / aide-init"] == 0.25
    speed = {"autoops": [w3_queue.Throughput(300.0, 0, 0, 1)], "huey": [w3_queue.Throughput(10.0, 0, 0, 1)]}
    faster, later = w3_queue.targets(speed, {"autoops": [1.0], "procrastinate": [4.0]})
    assert (faster.ratio, later.ratio) == (30.0, 0.25)
    idle = w6_idle.targets(
        {"autoops": w6_idle.Cost(50, 1, 0.4), "watchman": w6_idle.Cost(100, 0, 0), "huey-consumer": w6_idle.Cost(1, 10, 0)}
    )
    assert [target.ratio for target in idle] == [0.5, 0.1, 0.4]
    taken = {("autoops", 10): [1.0], ("autoops", 100): [1.2], ("json-total", 100): [12000.0]}
    change, digest, flat = w7_registry.targets(taken, [10, 100])
    assert (change.ratio, digest.ratio, flat.ratio) == (pytest.approx(0.0001), None, 1.2)
    lossy = {"cpu_s": 1.0, "missed": 2, "gone_missed": 0, "blind_directories": 0}
    bursts = {"untar": {"autoops": [lossy, lossy], "watchman": [lossy | {"cpu_s": 2.0}] * 2}}
    found = {target.name: target.ratio for target in w4_watch.targets({}, bursts)}
    assert found["untar: missed"] == 4 and found["untar: processor time / watchman"] == 0.5


def test_a_count_is_found_wherever_it_stands_in_a_status() -> None:
    assert w1_describe.find_count({"worker": [{"described_total": 7}]}, "described_total") == 7
    assert w1_describe.find_count({"worker": []}, "described_total") is None


def _run(*words: str | Path) -> list[dict[str, object]]:
    command = [sys.executable, str(RUN), "--quick", "--quiet-s", "0", "--runs", "1", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_small_run_of_the_registry_workload_writes_every_peer_and_a_summary_to_both_places(tmp_path: Path) -> None:
    out = tmp_path / "lines.jsonl"
    lines = _run("W7", "--files", "300", "--scratch", tmp_path / "scratch", "--out", out)
    peers = {line.get("peer") for line in lines}
    assert {"json-total", "sqlite-full-1", "autoops", "flat-rehash", "merkle-autoops"} <= peers
    assert len(lines[-1]["targets"]) == 3  # type: ignore[arg-type]
    assert [json.loads(line) for line in out.read_text().splitlines()] == lines


def test_a_small_run_of_the_replica_workload_names_the_ten_in_every_way(tmp_path: Path) -> None:
    lines = _run("W9", "--files", "300", "--scratch", tmp_path)
    assert {line.get("peer") for line in lines} == {"diff-exports", "diff", "autoops", "autoops-pipe", "autoops-rows", None}
    assert lines[-1]["targets"][0]["met"]  # type: ignore[index]
    assert not [line for line in lines if "fault" in line]


def test_a_small_run_of_the_catalog_workload_builds_in_every_way(tmp_path: Path) -> None:
    lines = _run("W8", "--files", "300", "--scratch", tmp_path / "scratch")
    assert {"autoops-anew", "autoops-anew-1", "autoops-ten", "autoops-none"} <= {line.get("peer") for line in lines}
    assert not [line for line in lines if "fault" in line]
    assert len(lines[-1]["targets"]) == 3  # type: ignore[arg-type]


def test_a_small_run_of_the_health_workload_measures_a_run_and_one_that_validates(tmp_path: Path) -> None:
    lines = _run("W10", "--files", "300", "--scratch", tmp_path)
    assert {line.get("peer") for line in lines} == {"autoops-health", "python", None}
    assert sum("validating_processor_s" in line for line in lines) == 1 and len(lines[-1]["targets"]) == 1  # type: ignore[arg-type]
    assert not [line for line in lines if "fault" in line]


def test_a_small_run_of_the_queue_workload_loses_and_doubles_no_job(tmp_path: Path) -> None:
    lines = _run("W3", "--peers", "raw-full-100", "--scratch", tmp_path, "--peers-python", sys.executable)
    filled = [line for line in lines if "consumers" in line]
    assert {(line["peer"], line["consumers"]) for line in filled} == {
        (peer, consumers) for peer in ("raw-full-100", "autoops") for consumers in (1, 2)
    }
    assert all(line["exactly_once"] for line in filled)
    assert not [line for line in lines if "fault" in line]


def test_an_unknown_workload_or_peer_is_refused_with_the_known_ones() -> None:
    for words, known in ((["W99"], "W1-describe"), (["W1", "--peers", "nobody"], "aide-init")):
        done = subprocess.run([sys.executable, str(RUN), *words], capture_output=True, text=True)
        assert done.returncode == 2 and known in done.stderr and done.stdout == ""


def summary(workload: str, *targets: Target) -> dict[str, object]:
    return {"workload": workload, "targets": [target.facts() for target in targets]}


@pytest.mark.parametrize(
    ("before", "now", "at_least", "word"),
    [
        (1.0, 1.2, False, "as before"),
        (1.0, 1.3, False, "worse"),
        (1.3, 1.0, False, "better"),
        (1.0, 1.3, True, "better"),
        (1.3, 1.0, True, "worse"),
        (0.0, 0.0, False, "as before"),
        (0.0, 1.0, False, "worse"),
        (None, 1.0, False, "new"),
        (1.0, None, False, "not measured"),
    ],
)
def test_a_ratio_has_moved_when_it_differs_by_more_than_a_quarter(
    before: float | None, now: float | None, at_least: bool, word: str
) -> None:
    then, later = (summary("W1", Target("ours / theirs", ratio, 2.0, at_least)) for ratio in (before, now))
    (shift,) = record.shifts([then], [later])
    assert shift.word == word
    assert word in record.comparison([shift])


def test_a_ratio_is_compared_with_the_one_of_its_own_workload_and_a_missed_one_is_named() -> None:
    before = [summary("W1", Target("a / b", 1.0, 2.0)), summary("W2", Target("a / b", 5.0, 2.0))]
    (shift,) = record.shifts(before, [summary("W2", Target("a / b", 5.1, 2.0))])
    assert (shift.before, shift.word) == (5.0, "as before")
    assert record.comparison([shift]).splitlines()[1].endswith("  as before, missed")


def test_the_page_has_each_workload_its_machine_its_ratios_and_its_figures(tmp_path: Path) -> None:
    lines = [
        {"workload": "W1", "peer": "ours", "files": 100000, "wall_s": {"median": 1.5, "min": 1.25, "max": 2.0, "n": 3}},
        {"workload": "W1", "peer": "a|b", "files": 100000, "wall_s": {"median": 3.0, "min": 2.5, "max": 4.0, "n": 3}},
        {"workload": "W1", "missing": ["absent"]},
        summary("W1", Target("ours / theirs", 0.5, 2.0), Target("more", None, 1.0, at_least=True)),
    ]
    text = record.page({"W1": [{"machine": record.machine(tmp_path)}, *lines]}, ["W0", "W1"])
    assert "| ours / theirs | 0.5 | at most 2 | yes |\n| more | - | at least 1 | **no** |" in text
    assert "| peer | files | wall_s |\n|---|---|---|\n| ours | 100,000 | 1.5 (1.25-2) |\n| a/b | 100,000 | 3 (2.5-4) |" in text
    assert "Not installed: absent." in text and "## W0" not in text
    assert f"Linux {os.uname().release}" in text
