#!/usr/bin/env python3
"""Check an autoops registry from outside: without autoops, from its exports and its public key alone.

    autoops export --format jsonl > entries.jsonl
    autoops export --format ledger > ledger.jsonl
    python verify_export.py entries.jsonl ledger.jsonl ledger.pub        (or the key's 64 hexadecimal digits)

It recomputes the hash chain of the ledger and every signature, and the Merkle digest of the entries, and compares that digest with
the one which the last record claims. Take both exports while nothing is written, or they are of two different moments.
Needs Python 3.11 and the package `cryptography`; shares no code with autoops. Formats: formats.md, beside this file.
Prints one line; exit code 0: all agree, 1: something does not, 2: usage. Reads its arguments, writes nothing.
"""

import json
import sys
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def sha(*parts: bytes) -> bytes:
    return sha256(b"".join(parts)).digest()


def entries_digest(lines) -> tuple[int, str]:
    """Return how many entries there are, and their Merkle root."""
    members, last, count = {}, "", 0
    for line in lines:
        entry_id = json.loads(line)["id"]
        if not last < entry_id:
            raise ValueError(f"entry {entry_id!r} stands behind {last!r}")
        pair = entry_id.encode() + sha(b"\0", line.removesuffix(b"\n"))
        members.setdefault(sha(entry_id[:-1].encode())[:2], []).append(pair)
        last, count = entry_id, count + 1
    buckets = (members.get(number.to_bytes(2, "big")) for number in range(65536))
    hashes = [sha(b"\1", *pairs) if pairs else bytes(32) for pairs in buckets]
    return count, sha(b"\3", *(sha(b"\2", *hashes[at : at + 256]) for at in range(0, 65536, 256))).hex()


def ledger_digest(lines, key: Ed25519PublicKey) -> tuple[int, str]:
    """Return how many records there are, and the digest that the last one claims."""
    previous, number, digest = bytes(32), 0, entries_digest([])[1]
    for number, line in enumerate(lines, 1):
        value = json.loads(line)
        text, signature = value["record"], bytes.fromhex(value["signature"])
        record, previous = json.loads(text), sha(previous, text.encode())
        if previous.hex() != value["hash"] or (record["sequence"], record["digest_before"]) != (number, digest):
            raise ValueError(f"record {number} does not follow from the one before it")
        try:
            key.verify(signature, b"autoops-ledger-v1" + number.to_bytes(8, "big") + previous)
        except InvalidSignature:
            raise ValueError(f"record {number} is not signed by this key") from None
        digest = record["digest_after"]
    return number, digest


def main(entries: str, ledger: str, key: str) -> str:
    digits = key if len(key) == 64 and not Path(key).exists() else Path(key).read_text()
    with Path(entries).open("rb") as entry_lines, Path(ledger).open("rb") as ledger_lines:
        records, claimed = ledger_digest(ledger_lines, Ed25519PublicKey.from_public_bytes(bytes.fromhex(digits.strip())))
        count, found = entries_digest(entry_lines)
    if found != claimed:
        raise ValueError(f"the {count} entries have the digest {found}, the ledger says {claimed}")
    return f"agrees: {count} entries, {records} records, digest {found}"


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(print(__doc__, file=sys.stderr) or 2)
    try:
        print(main(*sys.argv[1:]))
    except (ValueError, KeyError, TypeError, OSError, RecursionError) as error:
        sys.exit(print(f"DISAGREES: {error or type(error).__name__}") or 1)
