"""W1: the first registration of a tree, from nothing to durable."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from shlex import quote

from bench import peers
from bench.measure import Case, Target, case_ratio, run_cases, summarize, write_cases
from bench.setting import Setting, autoops
from bench.tree import cached_tree, empty

NAME = "W1"
NEEDS = {
    "cat": "",
    "sha256sum-xargs": "",
    "python-hash": "",
    "python-register": "",
    "aide-init": "program aide",
    "git-add": "program git",
    "hashdeep": "program hashdeep",
    "restic": "program restic",
    "autoops": "autoops",
}
MEMORY_FILES = 1_000_000


def measure(setting: Setting) -> None:
    """Register the same tree with everybody, in turn."""
    files = setting.size(100_000, 2_000)
    tree = cached_tree(setting.scratch, files, "mixed")
    names = setting.taking_part(NAME, NEEDS)
    cases = [case for case in _cases(tree, setting.folder("w1"), setting.environment()) if case.name in names]
    if not cases:
        return
    run_cases(cases, setting.rounds(5), setting.quiet_s, setting.environment())
    write_cases(setting.lines, NAME, cases, "cat", files=files)
    summarize(setting.lines, NAME, targets(cases, files), files=files)


def targets(cases: list[Case], files: int) -> list[Target]:
    """Return what is promised about a first registration; the memory of a million files is judged at a million files."""
    promised = [("aide-init", 0.40), ("sha256sum-xargs", 0.75), ("cat", 1.4)]
    judged = [Target(f"wall time / {peer}", case_ratio(cases, "autoops", peer), limit) for peer, limit in promised]
    if files >= MEMORY_FILES:
        peak = {case.name: case.peak_mib for case in cases if case.peak_mib and not case.fault}
        both = "autoops" in peak and "aide-init" in peak
        ratio = peak["autoops"] / peak["aide-init"] if both else None
        judged.append(Target("peak memory / aide-init", ratio, 0.5))
    return judged


def _cases(tree: Path, work: Path, environment: dict[str, str]) -> list[Case]:
    def fresh(then: Callable[[], object] = lambda: None) -> Callable[[], object]:
        def prepare() -> None:
            empty(work)
            then()

        return prepare

    git, restic, sums = peers.git(tree, work), peers.restic(work), quote(str(work / "sums"))
    aide_rules = fresh(lambda: peers.write_aide_rules(tree, work))
    git_init = fresh(lambda: peers.run(f"{git} init", environment))
    restic_init = fresh(lambda: peers.run(f"{restic} init", environment))
    own = autoops("up", "--once", "--register-only", "--root", tree, "--state", work / "state")
    return [
        Case("cat", peers.shell(peers.each_file(tree, "cat")), fresh()),
        Case("sha256sum-xargs", peers.shell(f"{peers.each_file(tree, 'sha256sum')} > {sums}"), fresh()),
        Case("python-hash", peers.floor("hash", tree), fresh()),
        Case("python-register", peers.floor("register", tree, work / "db"), fresh()),
        Case("aide-init", peers.shell(peers.aide(work, "init")), aide_rules),
        Case("git-add", peers.shell(f"{git} add -A && {git} write-tree"), git_init),
        Case("hashdeep", peers.shell(f"{peers.hashdeep(tree)} > {sums}"), fresh()),
        Case("restic", peers.shell(f"{restic} backup {quote(str(tree))}"), restic_init),
        Case("autoops", own, fresh()),
    ]
