"""What a snapshot says of itself: one signed line of canonical JSON. Pure.

signed = "autoops-manifest-v1" | canonical(the manifest without its signature)                    (Ed25519, the ledger key)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from autoops.backup.errors import BackupForeign, BackupNewer, BackupUnsound
from autoops.core.canonical import canonical, parse
from autoops.core.ledger import Head
from autoops.core.signing import Verifier
from autoops.model import JSON

FORMAT = 1
_PREFIX = b"autoops-manifest-v1"
Kind = Literal["full", "incremental"]


class Packed(NamedTuple):
    """One file of a snapshot, compressed, and what it was before that."""

    size_bytes: int
    sha256: str
    plain_bytes: int
    plain_sha256: str


class Manifest(NamedTuple):
    """One snapshot. `head`: the ledger's, and so the registry's state; `entries`: how many there were."""

    name: str
    at: str  # when the copy was begun, RFC 3339
    kind: Kind
    base: str  # the full snapshot that the ledger segments are played onto; its own name in a full one
    head: Head
    entries: int
    files: Mapping[str, Packed]
    schemas: Mapping[str, int]  # of registry and queue
    version: str  # of the program
    host: str
    public_key: str

    @property
    def size_bytes(self) -> int:
        """How much it takes, without ledger segments."""
        return sum(packed.size_bytes for packed in self.files.values())


def text(manifest: Manifest, signature: bytes | None = None) -> str:
    """Return canonical(manifest); without a signature it is what is signed."""
    facts: JSON = {
        **manifest._asdict(),
        "files": {name: packed._asdict() for name, packed in manifest.files.items()},
        "format": FORMAT,
        "head": {"digest": manifest.head.digest.hex(), "hash": manifest.head.hash.hex(), "sequence": manifest.head.sequence},
        "schemas": dict(manifest.schemas),
    }
    return canonical(facts | {"signature": signature.hex()} if signature else facts)


def signed_bytes(manifest: Manifest) -> bytes:
    """Return what the ledger key signs."""
    return _PREFIX + text(manifest).encode()


def read(raw: bytes, name: str, verifier: Verifier, known_schemas: Mapping[str, int]) -> Manifest:
    """Return the manifest of a snapshot of this name.

    Raises BackupForeign when another key signed it, BackupNewer when a later program wrote it, BackupUnsound for anything else that
    is not what was signed.
    """
    try:
        facts: JSON = parse(raw)
        signature = bytes.fromhex(facts.pop("signature"))
        found_format, public_key = facts.pop("format"), str(facts["public_key"])
        newer = [key for key, version in facts["schemas"].items() if version > known_schemas.get(key, 0)]
        signed = _PREFIX + canonical(facts | {"format": found_format}).encode()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BackupUnsound(name=name, detail="its manifest cannot be read") from error
    if public_key != verifier.public.hex():
        raise BackupForeign(name=name, found=public_key[:16], wanted=verifier.public.hex()[:16])
    if not verifier.verify(signature, signed):
        raise BackupUnsound(name=name, detail="its manifest is not what was signed")
    if found_format != FORMAT or newer:
        raise BackupNewer(name=name, version=str(facts.get("version")))
    if facts["name"] != name:
        raise BackupUnsound(name=name, detail=f"its manifest is that of {facts['name']}")
    head = facts["head"]
    return Manifest(
        **{
            **facts,
            "files": {file: Packed(**packed) for file, packed in facts["files"].items()},
            "head": Head(head["sequence"], bytes.fromhex(head["hash"]), bytes.fromhex(head["digest"])),
        }
    )
