"""The watcher's room: what happens on the disk becomes jobs in the queue."""
