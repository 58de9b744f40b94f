"""Runs the workloads: autoops beside its peers, in the same minutes, one JSON object a line.

bench/run.py [WORKLOAD ...] [--quick] [--files N] [--runs N] [--peers a,b] [--out FILE] [--scratch DIR] [--compare] [--record] ...
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from types import ModuleType

PROJECT = Path(__file__).resolve().parent.parent
if str(PROJECT) not in sys.path:
    sys.path.insert(0, str(PROJECT))  # started as a file, Python only knows this directory

from bench import (  # noqa: E402
    record,
    w1_describe,
    w1_register,
    w2_check,
    w3_queue,
    w4_watch,
    w5_backup,
    w6_idle,
    w7_registry,
    w8_catalog,
    w9_replica,
    w10_health,
    w11_detection,
    w12_live_edits,
    w13_soak,
    w14_growth,
)
from bench.measure import Lines  # noqa: E402
from bench.setting import Setting  # noqa: E402

WORKLOADS: dict[str, ModuleType] = {
    module.NAME: module
    for module in (
        w1_register,
        w1_describe,
        w2_check,
        w3_queue,
        w4_watch,
        w5_backup,
        w6_idle,
        w7_registry,
        w8_catalog,
        w9_replica,
        w10_health,
        w11_detection,
        w12_live_edits,
        w13_soak,
        w14_growth,
    )
}


def main() -> int:
    """Run what was asked for. Exit code 0 means measured, not that every target was met; with --compare 1: worse than on record."""
    given = _parser().parse_args()
    if given.record and (given.quick or given.peers or given.files):
        return _refuse("what is put on record is measured at full size, beside all peers: no --quick, --peers, --files")
    chosen = given.workloads or [name for name, module in WORKLOADS.items() if not getattr(module, "ALONE", False)]
    unknown = sorted(set(chosen) - set(WORKLOADS))
    if unknown:
        return _refuse(f"no workload {', '.join(unknown)}; there are {', '.join(WORKLOADS)}")
    known = {name for workload in chosen for name in WORKLOADS[workload].NEEDS}
    only = frozenset(given.peers.split(",")) if given.peers else None
    if only and (strange := sorted(only - known)):
        return _refuse(f"no peer {', '.join(strange)} there; these are: {', '.join(sorted(known))}")
    try:
        scratch = _scratch(given.scratch)
    except OSError as error:
        return _refuse(f"--scratch {given.scratch}: {error.strerror}")
    setting = Setting(
        lines=Lines(given.out),
        scratch=scratch,
        quick=given.quick,
        files=given.files,
        runs=given.runs,
        only=only,
        peers_python=given.peers_python or _peers_python(),
        quiet_s=(1.0 if given.quick else 10.0) if given.quiet_s is None else given.quiet_s,
    )
    for workload in chosen:
        WORKLOADS[workload].measure(setting)
    return _judge(setting, compare=given.compare, keep=given.record)


def _judge(setting: Setting, *, compare: bool, keep: bool) -> int:
    """Say what moved since it was put on record, and put on record what was measured now, as it was asked for."""
    lines = setting.lines.taken
    found = record.shifts([line for of_one in record.known().values() for line in of_one[1:]], lines) if compare else []
    if compare:
        print(record.comparison(found))
    if keep:
        record.keep(record.machine(setting.scratch), lines, list(WORKLOADS))
    return int(any(one.word == "worse" for one in found))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench/run.py", description="autoops beside its peers; README.md explains.")
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"{', '.join(WORKLOADS)} (default: all but W13 and W14)")
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that everything runs, proves nothing")
    parser.add_argument("--files", type=_positive, metavar="N", help="files in the tree (default: the workload's own)")
    parser.add_argument("--runs", type=_positive, metavar="N", help="rounds (default: the workload's own)")
    parser.add_argument("--peers", metavar="A,B", help="only these peers, and autoops")
    parser.add_argument("--out", type=Path, metavar="FILE", help="append the lines to this file too")
    parser.add_argument("--compare", action="store_true", help="say which ratios moved since RESULTS.md; 1: one is worse")
    parser.add_argument("--record", action="store_true", help="put what is measured into results/ and RESULTS.md")
    parser.add_argument("--scratch", type=Path, metavar="DIR", help="where trees (kept) and databases go")
    parser.add_argument("--quiet-s", type=float, metavar="S", help="wait so long for a quiet machine (default 10, 1 with --quick)")
    parser.add_argument("--peers-python", metavar="PROGRAM", help="Python that has the peers from PyPI (default: .venv-peers)")
    return parser


def _positive(word: str) -> int:
    if (number := int(word)) < 1:
        raise ValueError(word)
    return number


def _scratch(asked: Path | None) -> Path:
    """Return the scratch directory, made if need be. Others may pass through it (PostgreSQL has its own account), not look in.

    Raises OSError, PermissionError among them when the default one belongs to somebody else.
    """
    scratch = (asked or Path(tempfile.gettempdir()) / f"autoops-bench-{os.geteuid()}").absolute()
    scratch.mkdir(mode=0o711, parents=True, exist_ok=True)
    if asked is None and (scratch.is_symlink() or scratch.stat().st_uid != os.geteuid()):
        raise PermissionError(1, f"{scratch} belongs to somebody else; give --scratch DIR")
    return scratch


def _peers_python() -> str:
    """Return the interpreter that install-peers.sh made; without it ours, which may have some of the peers."""
    made = PROJECT / ".venv-peers" / "bin" / "python"
    return str(made) if made.exists() else sys.executable


def _refuse(message: str) -> int:
    print(f"bench: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
