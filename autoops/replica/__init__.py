"""Another registry (a file, a backup, an export, another host) compared with this one."""
