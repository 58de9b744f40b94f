"""Which file system a path is on, and whether SQLite's WAL mode is safe there.

WAL needs memory shared between every process that uses the database, so it "does not work over a network filesystem"
(sqlite.org/wal.html). Reads /proc/self/mountinfo; writes nothing.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from autoops.errors import StorageRemote

_REMOTE = """
    nfs nfs4 cifs smb2 smb3 smbfs ncpfs 9p afs auristorfs coda ceph gfs gfs2 ocfs2 lustre gpfs glusterfs beegfs orangefs pvfs2
    davfs vboxsf vmhgfs prl_fs fuse.sshfs fuse.s3fs fuse.rclone fuse.goofys fuse.gcsfuse fuse.glusterfs fuse.ceph
    fuse.ceph-fuse fuse.davfs fuse.davfs2 fuse.curlftpfs fuse.juicefs fuse.mfs fuse.moosefs fuse.lizardfs fuse.seaweedfs
    fuse.smbnetfs fuse.beegfs fuse.hdfs fuse.mount-s3 fuse.blobfuse fuse.blobfuse2 fuse.vmhgfs-fuse fuse.gvfsd-fuse
    fuse.google-drive-ocamlfuse fuse.onedriver
"""
REMOTE = frozenset(_REMOTE.split())


def is_remote(kind: str) -> bool:
    """Tell whether a file-system type, as /proc/self/mountinfo names it, is shared over a network."""
    return kind in REMOTE or kind.startswith(("nfs", "smb"))


def mount_kind(path: Path) -> str:
    """Return the type of the file system an existing path is on, "" when the kernel does not list its mount.

    Asked by mount id (proc_pid_fdinfo(5)): st_dev is not unique on btrfs, and the longest matching path is wrong when a mount
    hides another.
    """
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        info = Path(f"/proc/self/fdinfo/{fd}").read_text()
    finally:
        os.close(fd)
    found = re.search(r"^mnt_id:\s*(\d+)$", info, re.MULTILINE)
    mount_id = found[1] if found else ""
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
        before, _, after = line.partition(b" - ")
        if before.split(b" ", 1)[0].decode() == mount_id:
            return after.split(b" ", 1)[0].decode("ascii", "replace")
    return ""


def refuse_remote(database: Path, kind: str) -> None:
    """Raise StorageRemote when `database` lies on a file system of a networked `kind`."""
    if is_remote(kind):
        raise StorageRemote(database=database, kind=kind)
