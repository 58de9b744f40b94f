"""What /proc/self/mountinfo says."""

from __future__ import annotations

import os

from autoops.files import mounts

LINES = rb"""22 1 0:20 / / rw,relatime shared:1 - overlay overlay rw
30 22 0:45 / /mnt/with\040space\134and\012line rw shared:5 master:2 - nfs4 server:/export rw,addr=10.0.0.1
31 22 8:1 /sub /mnt/disk ro - ext4 /dev/sda1 ro
32 22 8:2 / /mnt/disk rw - xfs /dev/sda2 rw
33 22 8:3 / /mnt/disk/below rw - fuse.sshfs host: rw
broken line
"""


def test_escapes_are_undone_and_optional_fields_passed_over() -> None:
    found = mounts.parse(LINES)
    assert [mount.kind for mount in found] == ["overlay", "nfs4", "ext4", "xfs", "fuse.sshfs"]
    assert found[1].mount_point == b"/mnt/with space\\and\nline"
    assert found[2].device == os.makedev(8, 1)
    assert found[2].id == 31


def test_the_deepest_and_latest_mount_holds_a_path() -> None:
    found = mounts.parse(LINES)
    assert mounts.holder(b"/mnt/disk/a", found) == "xfs"
    assert mounts.holder(b"/mnt/disk/below/x", found) == "fuse.sshfs"
    assert mounts.holder(b"/mnt/disk2", found) == "overlay"


def test_only_what_is_strictly_below_a_root_is_below_it() -> None:
    found = mounts.parse(LINES)
    assert [mount.mount_point for mount in mounts.below(b"/mnt/disk", found)] == [b"/mnt/disk/below"]
    assert len(mounts.below(b"/", found)) == 4


def test_this_machine_has_a_root_and_proc() -> None:
    assert mounts.kind_of(b"/proc/self") == "proc"
    assert any(mount.mount_point == b"/proc" for mount in mounts.mounts())
