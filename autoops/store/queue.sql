-- queue.db, version 1: what is to be done, and what is operational. Every executable writes it; nothing in it is the truth
-- about a file. Times ending in _ns are the queue's own clock (see clock below), times ending in _s seconds since 1970.

-- One row is one piece of work that is not done yet, found by what it is about: (kind, key). Enqueueing it again changes the row.
--   queued       to be claimed once due_ns has come
--   running      claimed by the process (owner_pid, owner_start) until lease_ns. `again`: it was enqueued once more meanwhile;
--                then due_ns and next_facts are those of the run after this one
--   failed       as queued, but waiting for a retry because of `reason`
--   dead_letter  given up because of `reason`; stays until it is enqueued again, retried or purged
-- A completed job has no row, only a count, so the table is as large as the work left. AUTOINCREMENT: an id is never used
-- twice, so a number tells for ever which jobs are older.
CREATE TABLE job (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    key BLOB NOT NULL,
    priority INTEGER NOT NULL, -- the least is the most urgent
    state TEXT NOT NULL,
    due_ns INTEGER NOT NULL,
    attempt INTEGER NOT NULL DEFAULT 0, -- the fence: one more with each claim, never less
    attempts INTEGER NOT NULL DEFAULT 0, -- claims that count against the limit: a release may give one back
    deaths INTEGER NOT NULL DEFAULT 0, -- how many of them ended with a lost lease
    again INTEGER NOT NULL DEFAULT 0,
    facts TEXT, -- a JSON object
    next_facts TEXT,
    reason TEXT,
    owner_pid INTEGER,
    owner_start INTEGER, -- clock ticks since boot: with the boot and the pid, one process for ever
    claimed_ns INTEGER,
    lease_ns INTEGER,
    UNIQUE (kind, key),
    -- One CHECK and the usual state first: as six of them they cost a third of an insert.
    CHECK (CASE state
        WHEN 'queued' THEN again = 0 AND next_facts IS NULL AND owner_pid IS NULL AND lease_ns IS NULL
        WHEN 'running' THEN owner_pid IS NOT NULL AND owner_start IS NOT NULL AND claimed_ns IS NOT NULL AND lease_ns IS NOT NULL
            AND again IN (0, 1) AND (again OR next_facts IS NULL) AND attempts BETWEEN 1 AND attempt
        WHEN 'failed' THEN reason IS NOT NULL AND again = 0 AND next_facts IS NULL AND owner_pid IS NULL AND lease_ns IS NULL
        WHEN 'dead_letter' THEN reason IS NOT NULL AND again = 0 AND next_facts IS NULL AND owner_pid IS NULL AND lease_ns IS NULL
        ELSE 0 END)
) STRICT;

-- The claim looks into each (priority, kind) at its own first due job, so neither a backlog nor what is not yet due is passed.
CREATE INDEX job_ready ON job (priority, kind, due_ns) WHERE state IN ('queued', 'failed');

-- What says under which names a file went before: few at any time.
CREATE INDEX job_renamed ON job (kind) WHERE instr(facts, '"moved_from":[') OR instr(next_facts, '"moved_from":[');

-- Everything but the backlog: what rescue looks at, and what counts are made of.
CREATE INDEX job_unqueued ON job (state, lease_ns) WHERE state <> 'queued';

-- Sums of what has no rows any more.
CREATE TABLE counter (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO counter VALUES ('completed', 0);

-- The queue's clock is CLOCK_BOOTTIME of boot_id plus offset_ns. A new boot starts at 0; its offset is chosen so that the clock
-- goes on from the latest due time, and so that everything that waited is due, without touching a million rows.
CREATE TABLE clock (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    boot_id TEXT NOT NULL,
    offset_ns INTEGER NOT NULL
) STRICT;

-- The last sign of life of each kind of process, by name.
CREATE TABLE heartbeat (
    process TEXT PRIMARY KEY,
    pid INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    start INTEGER NOT NULL, -- of the process, clock ticks since boot
    boottime_ns INTEGER NOT NULL, -- CLOCK_BOOTTIME of boot_id
    at_s INTEGER NOT NULL,
    state TEXT NOT NULL,
    status TEXT NOT NULL,
    facts TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One span of time in which a part of a root was not watched; until_s NULL: it still is not.
CREATE TABLE gap (
    id INTEGER PRIMARY KEY,
    root TEXT NOT NULL,
    path BLOB NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    since_s INTEGER NOT NULL,
    until_s INTEGER
) STRICT;
CREATE UNIQUE INDEX gap_open ON gap (root, path, reason) WHERE until_s IS NULL;

-- One disagreement or trouble about one subject; closed_s NULL: it still stands. Found again after it was closed, it opens again.
-- `run`: the run of the reconciler that saw it last, 0 for what somebody else found. acknowledged_s: a person knows of it. released_s:
-- a person lets be done what is held back because of it. `repair`: what was enqueued last to mend it, `repairs`: how often that was.
CREATE TABLE finding (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    subject BLOB NOT NULL,
    detail TEXT NOT NULL,
    first_seen_s INTEGER NOT NULL,
    last_seen_s INTEGER NOT NULL,
    times INTEGER NOT NULL DEFAULT 1,
    closed_s INTEGER,
    closed_by TEXT NOT NULL DEFAULT '',
    run INTEGER NOT NULL DEFAULT 0,
    acknowledged_s INTEGER,
    acknowledged_by TEXT,
    released_s INTEGER,
    released_by TEXT,
    repair TEXT,
    repairs INTEGER NOT NULL DEFAULT 0,
    UNIQUE (kind, subject)
) STRICT;
CREATE INDEX finding_closed ON finding (closed_s) WHERE closed_s IS NOT NULL;
CREATE INDEX finding_open ON finding (kind) WHERE closed_s IS NULL;

-- What became of a finding, whoever did it: the triggers see to that.
CREATE TABLE finding_event (
    id INTEGER PRIMARY KEY,
    finding INTEGER NOT NULL REFERENCES finding (id) ON DELETE CASCADE,
    at_s INTEGER NOT NULL,
    what TEXT NOT NULL CHECK (what IN ('opened', 'acknowledged', 'released', 'repaired', 'closed')),
    who TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX finding_event_of ON finding_event (finding);
CREATE TRIGGER finding_opened AFTER INSERT ON finding BEGIN
    INSERT INTO finding_event (finding, at_s, what) VALUES (NEW.id, NEW.first_seen_s, 'opened');
END;
CREATE TRIGGER finding_reopened AFTER UPDATE OF closed_s ON finding WHEN OLD.closed_s IS NOT NULL AND NEW.closed_s IS NULL BEGIN
    INSERT INTO finding_event (finding, at_s, what) VALUES (NEW.id, NEW.first_seen_s, 'opened');
END;
CREATE TRIGGER finding_ended AFTER UPDATE OF closed_s ON finding WHEN OLD.closed_s IS NULL AND NEW.closed_s IS NOT NULL BEGIN
    INSERT INTO finding_event (finding, at_s, what, who) VALUES (NEW.id, NEW.closed_s, 'closed', NEW.closed_by);
END;
CREATE TRIGGER finding_acknowledged AFTER UPDATE OF acknowledged_s ON finding WHEN NEW.acknowledged_s IS NOT NULL BEGIN
    INSERT INTO finding_event (finding, at_s, what, who) VALUES (NEW.id, NEW.acknowledged_s, 'acknowledged', NEW.acknowledged_by);
END;
CREATE TRIGGER finding_released AFTER UPDATE OF released_s ON finding WHEN NEW.released_s IS NOT NULL BEGIN
    INSERT INTO finding_event (finding, at_s, what, who) VALUES (NEW.id, NEW.released_s, 'released', NEW.released_by);
END;
CREATE TRIGGER finding_repaired AFTER UPDATE OF repairs ON finding WHEN NEW.repairs > OLD.repairs OR NEW.repair IS NOT OLD.repair BEGIN
    INSERT INTO finding_event (finding, at_s, what, who) VALUES (NEW.id, NEW.last_seen_s, 'repaired', NEW.repair);
END;

-- One measured value: how long a detection took, say. Bounded: the newest of each name stay.
CREATE TABLE sample (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    at_s INTEGER NOT NULL,
    value REAL NOT NULL
) STRICT;
CREATE INDEX sample_of ON sample (name, id);

-- What was measured in one hour (since 1970), as a histogram: how many values fell into which bucket (core/histogram.py), their sum,
-- and the greatest. Bounded: five weeks.
CREATE TABLE measured (
    hour INTEGER NOT NULL,
    name TEXT NOT NULL,
    bucket INTEGER NOT NULL,
    times INTEGER NOT NULL,
    total REAL NOT NULL,
    most REAL NOT NULL,
    PRIMARY KEY (hour, name, bucket)
) STRICT, WITHOUT ROWID;

-- How large something was on one day (since 1970, UTC): a root, a database, what is kept of the ledger, a disk. Bounded: three years.
CREATE TABLE extent (
    what TEXT NOT NULL,
    subject TEXT NOT NULL,
    day INTEGER NOT NULL,
    at_s INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    files INTEGER,
    limit_bytes INTEGER,
    PRIMARY KEY (what, subject, day)
) STRICT, WITHOUT ROWID;

-- One attempt at a job that failed, or was lost with who made it: a job that is done later has no row any more. Bounded: the newest.
CREATE TABLE failure (
    id INTEGER PRIMARY KEY,
    at_s INTEGER NOT NULL,
    kind TEXT NOT NULL,
    key BLOB NOT NULL,
    state TEXT NOT NULL, -- of the job after it
    reason TEXT NOT NULL
) STRICT;

-- A mark that came back through the event stream of `source`: everything before it was seen.
CREATE TABLE cookie (
    source TEXT NOT NULL,
    name TEXT NOT NULL,
    at_s INTEGER NOT NULL,
    PRIMARY KEY (source, name)
) STRICT, WITHOUT ROWID;

-- What would be written in a root whose policy is to observe.
CREATE TABLE dry_run (
    root TEXT NOT NULL,
    path BLOB NOT NULL,
    action TEXT NOT NULL,
    detail TEXT NOT NULL,
    first_seen_s INTEGER NOT NULL,
    last_seen_s INTEGER NOT NULL,
    times INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (root, path, action)
) STRICT, WITHOUT ROWID;

-- One trouble that somebody is to hear of, whoever found it; the fingerprint is that of (source, name, subject), and one row is one
-- episode of it: when it comes back, it begins anew.
--   pending   seen, but in too few of the last evaluations: `seen` has a bit for each of them, the lowest for the last
--   firing    it stands. To be told (again) at due_s; `told`: the channels that were, a JSON array
--   resolved  it stands no more. due_s: when those who were told hear of that, NULL: they have, or nobody was told
-- `reason`: why it was last told, or not.
CREATE TABLE alert (
    fingerprint TEXT PRIMARY KEY,
    source TEXT NOT NULL,
    name TEXT NOT NULL,
    subject TEXT NOT NULL,
    severity TEXT NOT NULL CHECK (severity IN ('critical', 'warning', 'info')),
    summary TEXT NOT NULL,
    evidence TEXT NOT NULL, -- a JSON object
    runbook TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'firing', 'resolved')),
    seen INTEGER NOT NULL,
    since_s INTEGER NOT NULL,
    fired_s INTEGER,
    resolved_s INTEGER,
    due_s INTEGER,
    first_told_s INTEGER,
    told TEXT NOT NULL DEFAULT '[]',
    escalated_s INTEGER,
    acked_s INTEGER,
    acked_by TEXT NOT NULL DEFAULT '',
    acked_severity TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL,
    decided_s INTEGER NOT NULL,
    CHECK (CASE state
        WHEN 'pending' THEN fired_s IS NULL AND resolved_s IS NULL
        WHEN 'firing' THEN fired_s IS NOT NULL AND resolved_s IS NULL AND due_s IS NOT NULL
        ELSE resolved_s IS NOT NULL END)
) STRICT, WITHOUT ROWID;
CREATE INDEX alert_standing ON alert (state) WHERE state <> 'resolved';
CREATE INDEX alert_resolved ON alert (resolved_s) WHERE state = 'resolved';

-- What a person wants to hear nothing of for a while.
CREATE TABLE silence (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    pattern TEXT NOT NULL, -- a fingerprint, or a glob of source:name:subject
    since_s INTEGER NOT NULL,
    until_s INTEGER NOT NULL,
    who TEXT NOT NULL,
    why TEXT NOT NULL
) STRICT;

-- One message to one channel: what it tells are its items, so that what comes while it waits joins it.
--   queued   to be claimed once due_s has come; one for each (channel, severity)
--   sending  claimed by a process until lease_ns (CLOCK_BOOTTIME of owner_boot)
--   sent     it was taken
--   dead     given up because of `error`
-- Removed is a message that failed while another one was queued: its items are that one's.
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    channel TEXT NOT NULL,
    severity TEXT NOT NULL CHECK (severity IN ('critical', 'warning', 'info')),
    state TEXT NOT NULL CHECK (state IN ('queued', 'sending', 'sent', 'dead')),
    made_s INTEGER NOT NULL, -- of its newest item
    due_s INTEGER NOT NULL,
    attempt INTEGER NOT NULL DEFAULT 0, -- the fence: one more with each claim
    owner_boot TEXT,
    owner_pid INTEGER,
    owner_start INTEGER,
    claimed_ns INTEGER,
    lease_ns INTEGER,
    error TEXT NOT NULL DEFAULT '',
    CHECK ((state = 'sending') = (lease_ns IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX outbox_queued ON outbox (channel, severity) WHERE state = 'queued';
CREATE INDEX outbox_state ON outbox (state);

CREATE TABLE outbox_item (
    outbox INTEGER NOT NULL REFERENCES outbox (id) ON DELETE CASCADE,
    fingerprint TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('firing', 'resolved')),
    PRIMARY KEY (outbox, fingerprint)
) STRICT, WITHOUT ROWID;
CREATE INDEX outbox_item_of ON outbox_item (fingerprint);

-- One attempt at one message. `lost`: whoever made it died; it may have been delivered.
CREATE TABLE receipt (
    id INTEGER PRIMARY KEY,
    outbox INTEGER NOT NULL, -- no reference: the message may be gone
    channel TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    at_s INTEGER NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('sent', 'failed', 'lost')),
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX receipt_of ON receipt (channel, id);
CREATE INDEX receipt_by ON receipt (outbox);

-- One playbook that was held once. held_s: since when it is, because of `why`; NULL: it is not. Its runs up to released_run count no more.
CREATE TABLE playbook (
    name TEXT PRIMARY KEY,
    held_s INTEGER,
    why TEXT NOT NULL DEFAULT '',
    released_s INTEGER,
    released_by TEXT NOT NULL DEFAULT '',
    released_run INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- One run of a playbook, because of `cause`. Written before anything is done: running, although nobody runs it, is one whose runner died.
CREATE TABLE playbook_run (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    playbook TEXT NOT NULL,
    remedy TEXT NOT NULL,
    cause TEXT NOT NULL,
    began_s INTEGER NOT NULL,
    ended_s INTEGER,
    outcome TEXT NOT NULL CHECK (outcome IN ('running', 'good', 'failed')),
    detail TEXT NOT NULL DEFAULT '', -- what went wrong
    CHECK ((outcome = 'running') = (ended_s IS NULL))
) STRICT;
CREATE INDEX playbook_run_of ON playbook_run (playbook, id);
CREATE INDEX playbook_run_began ON playbook_run (began_s);
