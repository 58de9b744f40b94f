"""Limits that are nobody's choice, with the reason for each; those that are, are in the configuration ([health])."""

from __future__ import annotations

# A short heartbeat must not make a busy second an alarm.
SILENT_LEAST_S = 90.0

# Whether files are overdue is counted hourly, and oftener while there are some, so that their end is seen: what takes 50 ms is
# done again after 50 s.
COUNT_REST = 1000.0
COUNT_LONGEST_S = 3600.0

# Share of fs.inotify.max_user_watches that one watcher may use before somebody should raise it, percent.
WATCHES_WARNING = 80.0
