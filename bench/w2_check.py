"""W2: a look at a registered tree in which nothing changed, by status alone and by hashing everything again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from shlex import quote

from bench import peers
from bench.measure import Case, Target, case_ratio, run_cases, summarize, write_cases
from bench.setting import Setting, autoops, own_reconciler
from bench.tree import cached_tree

NAME = "W2"
NEEDS = {
    "find": "",
    "python-walk": "",
    "python-compare": "",
    "git-status": "program git",
    "rsync-an": "program rsync",
    "autoops-stat": "autoops",
    "python-hash": "",
    "aide-check": "program aide",
    "hashdeep-audit": "program hashdeep",
    "restic-again": "program restic",
    "autoops-hash": "autoops",
}
PROMISED = [
    ("autoops-stat", "rsync-an", 0.6),
    ("autoops-stat", "git-status", 2.0),
    ("autoops-hash", "aide-check", 0.12),
    ("autoops-hash", "hashdeep-audit", 0.4),
]


def measure(setting: Setting) -> None:
    """Check the same unchanged tree with everybody, in turn; each registered it once before, untimed."""
    files = setting.size(100_000, 2_000)
    tree = cached_tree(setting.scratch, files, "mixed")
    names = setting.taking_part(NAME, NEEDS)
    cases = [case for case in _cases(tree, setting.folder("w2"), setting.environment()) if case.name in names]
    if not cases:
        return
    run_cases(cases, setting.rounds(5), setting.quiet_s, setting.environment())
    write_cases(setting.lines, NAME, cases, "find", files=files)
    judged = [Target(f"{own} / {peer}", case_ratio(cases, own, peer), limit) for own, peer, limit in PROMISED]
    summarize(setting.lines, NAME, judged, files=files)


def _cases(tree: Path, work: Path, environment: dict[str, str]) -> list[Case]:
    def once(command: str) -> Callable[[], object]:
        return lambda: peers.run(command, environment)

    def register(name: str) -> Callable[[], object]:
        words = autoops("up", "--once", "--register-only", "--root", tree, "--state", work / name)
        return once(" ".join(map(quote, words)))

    def aide_init() -> None:
        peers.write_aide_rules(tree, work)
        peers.run(f"{peers.aide(work, 'init')} && mv {place}/aide.new {place}/aide.db", environment)

    place, of_tree = quote(str(work)), quote(str(tree))
    git, restic, deep = peers.git(tree, work), peers.restic(work), peers.hashdeep(tree)
    floor_rows = " ".join(map(quote, peers.floor("register", tree, work / "db")))
    backup = f"{restic} backup {of_tree}"
    looks = [*own_reconciler(), "--report", "--only", "files"]
    audit = f"hashdeep -r -c sha256 -k {place}/sums -a {of_tree}"
    return [
        Case("find", peers.shell(f"find {of_tree} -printf '%p %s %T@ %i\\n'")),
        Case("python-walk", peers.floor("walk", tree)),
        Case("python-compare", peers.floor("compare", tree, work / "db"), once=once(floor_rows)),
        Case("git-status", peers.shell(f"{git} status --porcelain"), once=once(f"{git} init && {git} add -A && {git} status")),
        Case(
            "rsync-an",
            peers.shell(f"rsync -an --delete {of_tree}/ {place}/copy/"),
            once=once(f"rsync -a {of_tree}/ {place}/copy/"),
        ),
        Case("autoops-stat", [*looks, "--state", str(work / "stat")], once=register("stat")),
        Case("python-hash", peers.floor("hash", tree)),
        Case("aide-check", peers.shell(peers.aide(work, "check")), once=aide_init),
        Case("hashdeep-audit", peers.shell(audit), once=once(f"{deep} > {place}/sums")),
        Case("restic-again", peers.shell(backup), once=once(f"{restic} init && {backup}")),
        Case(
            "autoops-hash",
            [*looks, "--hash", "--state", str(work / "hash")],
            once=register("hash"),
        ),
    ]
