"""Where well ends: every limit of the checks, with its unit and reason."""

from __future__ import annotations

# Signs of life come each `service.heartbeat_s`. Three of them missed: something is slow. Ten: it hangs.
SILENT_BEATS_WARNING = 3
SILENT_BEATS_CRITICAL = 10
SILENT_LEAST_S = 90.0  # a short heartbeat must not make a busy second an alarm

# A dead letter waits for a person. A hundred are not single files any more.
DEAD_LETTERS_WARNING = 1
DEAD_LETTERS_CRITICAL = 100
# A due job is taken within seconds; five minutes is a backlog, an hour a worker that does not work.
OLDEST_DUE_S_WARNING = 300.0
OLDEST_DUE_S_CRITICAL = 3600.0
# A checkout makes 20,000 jobs in a second and is done in a minute; ten times that is not daily work.
DEPTH_WARNING = 200_000
DEPTH_CRITICAL = 2_000_000

# Percent of the state directory's file system, as df counts.
DISK_WARNING = 80.0
DISK_CRITICAL = 95.0

# A commit is shipped within two seconds. A minute is a shipper that does not ship; an hour is what a lost disk would cost.
BEHIND_S_WARNING = 60.0
BEHIND_S_CRITICAL = 3600.0

# Validation reads every entry. What takes 50 ms is done again after 50 s, what takes four seconds or more each hour.
VALIDATION_REST = 1000.0
VALIDATION_LONGEST_S = 3600.0

# Share of fs.inotify.max_user_watches that one watcher may use before somebody should raise it, percent.
WATCHES_WARNING = 80.0

# Snapshots are taken hourly by the timer, or once a day by whoever has no systemd. Two of those missed: somebody should look.
SNAPSHOT_S_WARNING = 26 * 3600.0
SNAPSHOT_S_CRITICAL = 50 * 3600.0

# The archive is made daily: two days are one that failed and its next chance, a week without one is nobody looking.
ARCHIVE_S_WARNING = 2 * 86400.0
ARCHIVE_S_CRITICAL = 8 * 86400.0
