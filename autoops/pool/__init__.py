"""Child processes that touch the watched files, for every room that needs files read."""
