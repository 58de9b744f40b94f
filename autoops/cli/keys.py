"""The ledger's key pair: made once, and never a second one for a ledger that is signed.

The private half may be kept anywhere (a package keeps it where its services cannot read it); the public half is `ledger.pub` of the
state directory. Reads both and the registry; writes both.
"""

from __future__ import annotations

from pathlib import Path

from autoops.core import signing
from autoops.errors import CannotTell, LedgerKeyChanged, LedgerKeyMissing, StorageMissing
from autoops.files import durable
from autoops.state import State
from autoops.store.registry import Registry


def published(state: State) -> str | None:
    """Return what `ledger.pub` says, None when there is none. Raises CannotTell when it cannot be read."""
    try:
        return state.public_key.read_text().strip()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        remedy = "put the file back, or look at its permissions"
        raise CannotTell(detail=f"the public key {state.public_key} cannot be read ({error})", remedy=remedy) from None


def make(state: State, private: Path, *, dry_run: bool = False) -> list[str]:
    """Make the private key if there is none (mode 0600, of the calling user), and write `ledger.pub`. Return what is done.

    Raises LedgerKeyMissing and LedgerKeyChanged rather than begin a second key, CannotTell for a file that is no key.
    """
    public = public_half(private)
    if public is not None and public == published(state):
        return []
    known = _signed_by(state) or (published(state) if public is None else None)
    if known is not None and public is None:
        raise LedgerKeyMissing(path=private, known=known)
    if known is not None and public != known:
        raise LedgerKeyChanged(database=state.registry_db, known=known, given=public)
    if dry_run:
        return [f"{name}: would be made" for name in (*(() if public else (private.name,)), state.public_key.name)]
    done = []
    if public is None:
        key = signing.new_key()
        durable.write(private, key)
        public = signing.Signer(key).public.hex()
        done.append(f"{private.name}: made")
    durable.write(state.public_key, f"{public}\n".encode(), mode=0o644)
    return [*done, f"{state.public_key.name}: {public}"]


def public_half(private: Path) -> str | None:
    """Return the public half of a private key, None when there is none. Raises CannotTell for what is no key, or unreadable."""
    try:
        return signing.Signer(private.read_bytes()).public.hex()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        remedy = "put the right file back: 32 bytes, readable by who runs this"
        raise CannotTell(detail=f"the ledger key {private} cannot be read ({error})", remedy=remedy) from None


def _signed_by(state: State) -> str | None:
    """Return the public key that the registry knows, None when there is no registry, or an empty file."""
    try:
        registry = Registry.open(state.registry_db)
    except StorageMissing:
        return None
    try:
        known: str | None = registry.meta("public_key")
        return known
    finally:
        registry.close()
