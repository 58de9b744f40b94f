"""The only SQL: the queue, what is operational, and the registry, each a small class over `Database`."""
