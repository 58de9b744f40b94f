"""Whether autoops is well, and whether this host is good for it."""
