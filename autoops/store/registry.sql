-- The truth. Only the worker writes it, through one connection; everybody else reads.

-- One value per key: "last_id", the greatest document ID ever given (IDs are never used again, not even after a rollback);
-- "given_id", the greatest one that was given in a history that was left when an older state was put back; "public_key", the key
-- that signs this ledger.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- A watched tree. `identity` is what its top directory was when it was last scanned (inode and file system, JSON): if a disk is
-- not mounted, another directory stands in its place, and nothing below it may be taken for deleted. NULL: never scanned.
-- `path` is where it was configured to be when a worker last opened this registry; NULL: the root is no longer configured.
CREATE TABLE root (
    id       INTEGER PRIMARY KEY,
    name     TEXT NOT NULL UNIQUE,
    identity TEXT,
    path     BLOB
) STRICT;

-- A directory that holds, or held, entries. `key` is its path below the root with NUL for /, so that keys sort as a walk in order
-- meets the directories; the root itself is the empty key.
CREATE TABLE directory (
    id   INTEGER PRIMARY KEY,
    root INTEGER NOT NULL REFERENCES root (id),
    key  BLOB NOT NULL,
    UNIQUE (root, key)
) STRICT;

-- A document: what the ledger, replayed, says about it now. `described` is the stage-two part, canonical JSON, NULL before.
-- Not part of the entry, and so not of digest and ledger: `sequence`, the commit that made this revision; `ctime_ns`, the change
-- time of the inode when its content was last hashed, negative when that was so soon after that it proves nothing; `verified_s`,
-- when that was; `pending`, whether stage two has work (1), gave up on this content (2), or could not get at it and waits for the
-- next scan of the root (3).
CREATE TABLE entry (
    id         INTEGER PRIMARY KEY,
    rev        INTEGER NOT NULL CHECK (rev >= 1),
    sequence   INTEGER NOT NULL,
    directory  INTEGER NOT NULL REFERENCES directory (id),
    name       BLOB NOT NULL,
    status     TEXT NOT NULL CHECK (status = 'active' OR status IN ('missing', 'retired')), -- IN alone: 3 µs more
    since_s    INTEGER NOT NULL,
    kind       TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    mtime_ns   INTEGER NOT NULL,
    inode      INTEGER NOT NULL,
    birth_ns   INTEGER NOT NULL,
    sha256     BLOB,
    mime       TEXT NOT NULL,
    described  TEXT,
    ctime_ns   INTEGER NOT NULL,
    verified_s INTEGER NOT NULL,
    pending    INTEGER NOT NULL CHECK (pending BETWEEN 0 AND 3)
) STRICT;

-- A path has one document. A retired one no longer lives at its path.
CREATE UNIQUE INDEX entry_path ON entry (directory, name) WHERE status <> 'retired';
CREATE INDEX entry_inode ON entry (inode);
CREATE INDEX entry_gone ON entry (sha256) WHERE status = 'missing';
CREATE INDEX entry_content ON entry (sha256, mime) WHERE described IS NOT NULL;
CREATE INDEX entry_missing ON entry (since_s) WHERE status = 'missing';
CREATE INDEX entry_pending ON entry (id) WHERE pending = 1;
CREATE INDEX entry_put_off ON entry (id) WHERE pending = 3;

-- Which commit made which revision of an entry, those before the present one.
CREATE TABLE history (
    entry    INTEGER NOT NULL,
    rev      INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (entry, rev)
) STRICT, WITHOUT ROWID;

-- One commit. `record` is its canonical text, `hash` chains it onto the one before, `signature` is over sequence and hash.
-- `submission` is the key of the job that carried a person's patch, or a note: it makes doing one twice impossible.
CREATE TABLE ledger (
    sequence   INTEGER PRIMARY KEY CHECK (sequence >= 1),
    submission TEXT UNIQUE,
    record     TEXT NOT NULL,
    hash       BLOB NOT NULL CHECK (length(hash) = 32),
    signature  BLOB NOT NULL CHECK (length(signature) = 64)
) STRICT;

-- The leaves of the Merkle tree: for each bucket, (ID, leaf) of its entries by ID, 48 bytes each. See core/digest.py.
CREATE TABLE bucket (
    number  INTEGER PRIMARY KEY CHECK (number BETWEEN 0 AND 65535),
    members BLOB NOT NULL CHECK (length(members) % 48 = 0)
) STRICT;

-- The level above the buckets: the hash of each mid, so that a comparison reads the leaves only below those that differ. Written
-- with the buckets. No row: its 256 buckets are empty.
CREATE TABLE mid (
    number INTEGER PRIMARY KEY CHECK (number BETWEEN 0 AND 255),
    hash   BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;

-- A rename that policy `rename` is about to do, or was doing when its worker died: written before, removed after.
CREATE TABLE intent (
    entry  INTEGER PRIMARY KEY REFERENCES entry (id),
    target BLOB NOT NULL
) STRICT;
