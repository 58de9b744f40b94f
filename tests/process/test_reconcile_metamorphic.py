"""Whatever was done to a tree while nobody looked: reconciled, the registry is what a fresh registration of it would be."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as some

from autoops.cli.context import Context
from autoops.cli.once import bring_up_to_date
from autoops.cli.ready import make_ready
from autoops.cli.reconciling import act, find_out
from autoops.model import Observation
from autoops.state import State
from autoops.work.worker import Worker

NAMES = [b"a", b"b", b"c\xff", b"d1/a", b"d1/b", b"d1/d2/a", b"d1/d2/\xe9"]
CONTENTS = [b"", b"one", b"two", b"a longer one"]


def write(path: bytes, content: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.islink(path):
        os.unlink(path)
    with open(path, "wb") as out:  # noqa: PTH123 - bytes
        out.write(content)


def remove(path: bytes) -> None:
    if os.path.lexists(path):
        os.unlink(path)


def move(old: bytes, new: bytes) -> None:
    if os.path.lexists(old):
        os.makedirs(os.path.dirname(new), exist_ok=True)
        os.rename(old, new)


def link(old: bytes, new: bytes) -> None:
    if os.path.lexists(old) and not os.path.lexists(new):
        os.makedirs(os.path.dirname(new), exist_ok=True)
        os.link(old, new, follow_symlinks=False)


def swap(one: bytes, other: bytes) -> None:
    if os.path.lexists(one) and os.path.lexists(other) and one != other:
        os.rename(one, one + b".tmp")
        os.rename(other, one)
        os.rename(one + b".tmp", other)


def symlink(path: bytes) -> None:
    remove(path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.symlink(b"a", path)


def move_directory(old: bytes, new: bytes) -> None:
    if os.path.isdir(old) and not os.path.lexists(new):
        os.rename(old, new)


name = some.sampled_from(NAMES)
Step = tuple[Callable[..., None], tuple[bytes, ...]]
steps = some.lists(
    some.one_of(
        some.tuples(some.just(write), some.tuples(name, some.sampled_from(CONTENTS))),
        some.tuples(some.just(remove), some.tuples(name)),
        some.tuples(some.just(move), some.tuples(name, name)),
        some.tuples(some.just(link), some.tuples(name, name)),
        some.tuples(some.just(swap), some.tuples(name, name)),
        some.tuples(some.just(symlink), some.tuples(name)),
        some.tuples(some.just(move_directory), some.tuples(some.just(b"d1"), some.just(b"e1"))),
        some.tuples(some.just(move_directory), some.tuples(some.just(b"e1"), some.just(b"d1"))),
    ),
    max_size=12,
)


def perform(root: bytes, todo: list[Step]) -> None:
    for action, arguments in todo:
        paths = arguments[:1] if action is write else arguments
        action(*(os.path.join(root, path) for path in paths), *arguments[len(paths) :])


def context_of(base: Path, name: str) -> Context:
    config = base / "autoops.toml"
    tables = "[watch]\nsettle_s = 0\n[describe]\nenabled = false\n[worker]\npool_size = 1\n"
    config.write_text(f'[[root]]\npath = "{base}/tree"\nname = "tree"\n{tables}')
    state = State(base / name)
    make_ready(state)
    return Context(state, config)


def work(context: Context) -> None:
    """Do what is in the queue, and no more."""
    worker = Worker(context.checked_config, context.state, context.load_key, with_stage_two=False)
    worker.open()
    try:
        worker.resume(lambda: None, None)
        while not worker.is_done(5.0):
            time.sleep(min(worker.step(time.monotonic()), 0.05))
    finally:
        worker.close()


def active(context: Context) -> dict[bytes, Observation]:
    registry = context.registry()
    try:
        return {entry.path: entry.observation for entry in registry.entries(status="active")}
    finally:
        registry.close()


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(before=steps, after=steps)
@example(  # a document comes to where another one was deleted: the decision is put off, and must not be forgotten
    before=[(write, (b"a", b"")), (symlink, (b"d1/a",))], after=[(remove, (b"a",)), (move, (b"d1/a", b"a"))]
)
@example(before=[(write, (b"a", b"one")), (write, (b"d1/a", b"two"))], after=[(swap, (b"a", b"d1/a"))])
def test_reconciled_it_is_what_a_fresh_registration_would_be(before: list[Step], after: list[Step]) -> None:
    base = Path(tempfile.mkdtemp(prefix="autoops-metamorphic-"))
    try:
        root = os.fsencode(base / "tree")
        os.mkdir(root)
        perform(root, before)
        lived = context_of(base, "lived")
        bring_up_to_date(lived, stage_two=False, tell=lambda _: None)
        perform(root, after)
        config = lived.checked_config()
        found = find_out(lived, config, None, hashes=False, parts=("files",))
        act(lived, found, hashes=False, mend=True)
        work(lived)
        again = find_out(lived, config, None, hashes=False, parts=("files",))
        assert [one for area in again.areas for one in area.told] == []
        fresh = context_of(base, "fresh")
        bring_up_to_date(fresh, stage_two=False, tell=lambda _: None)
        assert active(lived) == active(fresh)
    finally:
        shutil.rmtree(base)
