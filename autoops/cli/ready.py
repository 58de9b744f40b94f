"""The state directory made ready: databases made or upgraded, the ledger's key; no empty registry in the place of a lost one."""

from __future__ import annotations

import contextlib
import os

from autoops.acting import as_owner_of
from autoops.backup.place import Place
from autoops.cli import keys
from autoops.core.signing import Verifier
from autoops.errors import RegistryLost, StorageError, StorageMissing, StorageOutdated
from autoops.state import State
from autoops.store.database import Database, migrate
from autoops.store.queue import SCHEMA as QUEUE
from autoops.store.registry import SCHEMA as REGISTRY


def make_ready(state: State, configured: str = "") -> list[str]:
    """Make or upgrade the state directory: databases, ledger key. Return what was done.

    configured: where the configuration has the backups. Raises RegistryLost where an empty one would hide a lost one, StorageError.
    """
    done = []
    state.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path, schema in ((state.queue_db, QUEUE), (state.registry_db, REGISTRY)):
        if path == state.registry_db:
            _refuse_lost(state, configured)
        before = migrate(path, schema)
        if before != schema.version:
            done.append(
                f"{path.name}: version {before} -> {schema.version}" if before else f"{path.name}: made, version {schema.version}"
            )
    with as_owner_of(state.cookies.parent):
        state.cookies.mkdir(mode=0o700, exist_ok=True)
    if not _key_is_elsewhere(state):
        done += keys.make(state, state.private_key)
    return done


def _key_is_elsewhere(state: State) -> bool:
    """Tell whether the private key was made in another place (`autoops keys make --key FILE`), maybe out of our sight."""
    if os.environ.get("CREDENTIALS_DIRECTORY"):
        return True
    return state.public_key.exists() and not state.private_key.exists()


def _refuse_lost(state: State, configured: str) -> None:
    """See that a registry that is not there never was. Raises RegistryLost, when anything tells of a commit that our key signed."""
    try:
        Database.open(state.registry_db, REGISTRY, mode="ro").close()
        return
    except StorageMissing as error:
        how, known = error.facts["how"], keys.published(state)
    except StorageError:
        return  # it is there: to be upgraded, or not ours to touch
    if known is None:
        return
    from autoops.backup.lost import traces

    with contextlib.suppress(ValueError):  # what is no key signed nothing
        verifier = Verifier(bytes.fromhex(known))
        for trace in traces(state.checkpoints, Place.of(state, configured), verifier):
            raise RegistryLost(database=state.registry_db, how=how, trace=trace, state=state.directory)


def pending_migrations(state: State, configured: str = "") -> list[str]:
    """Return what `make_ready` would do, without doing it. Raises what it raises."""
    _refuse_lost(state, configured)
    lines = []
    for path, schema in ((state.queue_db, QUEUE), (state.registry_db, REGISTRY)):
        try:
            Database.open(path, schema, mode="ro").close()
        except StorageMissing as error:
            lines.append(f"{path.name}: it {error.facts['how']}; would be made, version {schema.version}")
        except StorageOutdated as error:
            lines.append(f"{path.name}: version {error.facts['found']} -> {schema.version}, would be upgraded")
    if not _key_is_elsewhere(state):
        lines += keys.make(state, state.private_key, dry_run=True)
    return lines or ["nothing to do"]
