"""The ledger's key pair: where it is made, and when a second one is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from registry_files import opened

from autoops.cli import keys
from autoops.cli.context import default_state
from autoops.cli.ready import make_ready, pending_migrations
from autoops.core import signing
from autoops.errors import CannotTell, LedgerKeyChanged, LedgerKeyMissing
from autoops.state import State


@pytest.fixture
def state(tmp_path: Path) -> State:
    (tmp_path / "state").mkdir()
    return State(tmp_path / "state")


def test_a_key_is_made_where_it_is_wanted_and_its_public_half_in_the_state(state: State, tmp_path: Path) -> None:
    private = tmp_path / "etc.key"
    keys.make(state, private)
    assert private.stat().st_mode & 0o777 == 0o600
    assert state.public_key.stat().st_mode & 0o777 == 0o644
    assert state.public_key.read_text().strip() == signing.Signer(private.read_bytes()).public.hex()
    assert not state.private_key.exists()


def test_made_again_it_stays_the_same(state: State, tmp_path: Path) -> None:
    private = tmp_path / "etc.key"
    keys.make(state, private)
    before = private.read_bytes(), state.public_key.read_bytes()
    assert keys.make(state, private) == []
    assert (private.read_bytes(), state.public_key.read_bytes()) == before


def test_a_dry_run_makes_nothing(state: State, tmp_path: Path) -> None:
    private = tmp_path / "etc.key"
    assert keys.make(state, private, dry_run=True) == ["etc.key: would be made", "ledger.pub: would be made"]
    assert not private.exists() and not state.public_key.exists()


def test_a_lost_public_half_is_written_again(state: State, tmp_path: Path) -> None:
    private = tmp_path / "etc.key"
    keys.make(state, private)
    before = state.public_key.read_text()
    state.public_key.unlink()
    keys.make(state, private)
    assert state.public_key.read_text() == before


def test_a_lost_private_half_is_not_replaced(state: State, tmp_path: Path) -> None:
    private = tmp_path / "etc.key"
    keys.make(state, private)
    private.unlink()
    with pytest.raises(LedgerKeyMissing):
        keys.make(state, private)
    assert not private.exists()


def test_a_signed_registry_gets_no_second_key(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    make_ready(state)
    signer = signing.Signer(state.private_key.read_bytes())
    registry = opened(state.registry_db, signer)
    registry.require_key(signer.public.hex())  # what the worker does when it starts
    registry.close()
    state.private_key.unlink()
    known = keys.published(state)
    state.public_key.unlink()
    with pytest.raises(LedgerKeyMissing, match=str(known)):
        keys.make(state, tmp_path / "etc.key")
    (tmp_path / "etc.key").write_bytes(signing.new_key())
    with pytest.raises(LedgerKeyChanged, match=str(known)):
        keys.make(state, tmp_path / "etc.key")
    assert not state.public_key.exists()


def test_a_file_that_is_no_key_is_left_alone(state: State, tmp_path: Path) -> None:
    private = tmp_path / "etc.key"
    private.write_bytes(b"short")
    with pytest.raises(CannotTell, match=r"etc\.key"):
        keys.make(state, private)
    assert private.read_bytes() == b"short"


def test_databases_are_made_without_the_private_key_when_the_public_one_is_there(state: State, tmp_path: Path) -> None:
    keys.make(state, tmp_path / "etc.key")
    assert pending_migrations(state)[0].startswith("queue.db")
    make_ready(state)
    assert state.registry_db.exists() and not state.private_key.exists()
    assert pending_migrations(state) == ["nothing to do"]


def test_the_installed_state_is_found_when_there_is_none_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    installed = tmp_path / "installed"
    assert default_state(installed).name == "autoops" and default_state(installed) != installed
    installed.mkdir()
    assert default_state(installed) == installed
    (tmp_path / ".autoops").mkdir()
    assert default_state(installed) == tmp_path / ".autoops"
    if os.geteuid() == 0:
        os.chown(tmp_path / ".autoops", 65534, 65534)
        assert default_state(installed) == installed, "somebody else's, put in root's way"


def test_an_empty_file_in_the_place_of_the_registry_knows_no_key(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.registry_db.parent.mkdir()
    state.registry_db.touch()
    keys.make(state, tmp_path / "elsewhere.key")
    assert state.public_key.exists()
