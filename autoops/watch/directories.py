"""Which directory each watch descriptor stands for now. Pure bookkeeping: the kernel knows inodes, we know paths."""

from __future__ import annotations


class Directories:
    """Watch descriptors and paths below the root, one to one."""

    def __init__(self) -> None:
        self.path_of: dict[int, bytes] = {}
        self.wd_of: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self.path_of)

    def add(self, wd: int, path: bytes) -> int | None:
        """Note a watch; return the descriptor that stood for this path before, which stands for nothing any more."""
        before = self.wd_of.get(path)
        if before == wd:
            return None
        if before is not None:
            del self.path_of[before]
        self.path_of[wd] = path
        self.wd_of[path] = wd
        return before

    def forget(self, wd: int) -> bytes | None:
        """Take one descriptor out; return its path, None when it was not known."""
        path = self.path_of.pop(wd, None)
        if path is not None:
            del self.wd_of[path]
        return path

    def below(self, directory: bytes) -> list[bytes]:
        """Return this directory, if watched, and every watched one below it. Looks at all paths, so not for each deletion."""
        if not directory:
            return list(self.wd_of)
        start = directory + b"/"
        return [path for path in self.wd_of if path == directory or path.startswith(start)]

    def drop(self, directory: bytes) -> list[int]:
        """Take a directory and all below it out; return their descriptors."""
        wds = [self.wd_of.pop(path) for path in self.below(directory)]
        for wd in wds:
            del self.path_of[wd]
        return wds

    def move(self, before: bytes, after: bytes) -> list[int]:
        """Let a directory and all below it stand under a new path; return the descriptors of what stood there."""
        moving = [(self.wd_of[path], after + path[len(before) :]) for path in self.below(before)]
        if not moving:
            return []
        self.drop(before)
        lost = self.drop(after)
        for wd, path in moving:
            self.add(wd, path)
        return lost
