"""What somebody would try who broke into this process: run as a unit's program, in its sandbox, it writes down what worked.

Prints one JSON object: attempt -> "possible", or the name of the error it was refused with. Standard library only; it undoes what
it managed to do. An error that says that the kernel looked at the arguments (EFAULT, EINVAL, ...) counts as possible.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

STATE = Path("/var/lib/autoops")
REFUSALS = {errno.EPERM, errno.EACCES, errno.EROFS, errno.ENOENT, errno.EAFNOSUPPORT, errno.ENOSYS, errno.ESRCH}
NUMBERS = {  # system calls that the C library has no function for
    "x86_64": {"bpf": 321, "io_uring_setup": 425, "keyctl": 250, "perf_event_open": 298, "userfaultfd": 323},
    "aarch64": {"bpf": 280, "io_uring_setup": 425, "keyctl": 219, "perf_event_open": 241, "userfaultfd": 282},
}
DIRECTORIES = (
    *(
        "/etc",
        "/etc/autoops",
        "/etc/systemd/system",
        "/usr/bin",
        "/usr/lib/python3/dist-packages/autoops",
        "/srv/docs",
        "/var/spool/cron",
    ),
    *("/run", "/root", "/home", "/var/tmp", "/dev/shm"),
    *(STATE, STATE / "queue", STATE / "registry", STATE / "catalogs", STATE / "backups"),
)
SOCKETS = {
    socket.AF_INET: socket.SOCK_STREAM,
    socket.AF_INET6: socket.SOCK_STREAM,
    socket.AF_NETLINK: socket.SOCK_RAW,
    socket.AF_PACKET: socket.SOCK_RAW,
}
PTRACE_SEIZE = 0x4206  # attaches without stopping: the control run may
libc = ctypes.CDLL(None, use_errno=True)
Attempt = Callable[[], object]


def call(function: str, *arguments: int | bytes | None) -> None:
    """Call a function of the C library; raise the error it sets."""
    ctypes.set_errno(0)
    if getattr(libc, function)(*arguments) in (-1, ctypes.c_uint32(-1).value):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def system_call(name: str, *arguments: int | None) -> None:
    """Make a system call by its number."""
    call("syscall", NUMBERS[platform.machine()][name], *arguments)


def make_file(directory: str | Path) -> None:
    path = Path(directory) / ".autoops-probe"
    path.touch()
    path.unlink()


def write_settings(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY))


def run_a_copied_program(directory: str | Path) -> None:
    program = Path(directory) / ".autoops-probe-program"
    program.write_bytes(Path("/bin/true").read_bytes())
    program.chmod(0o755)
    try:
        subprocess.run([program], check=True)
    finally:
        program.unlink()


def open_socket(family: int, kind: int) -> None:
    socket.socket(family, kind).close()


def connect(address: str) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(address)


def make_setuid_program() -> None:
    path = Path("/tmp/probe-setuid")
    path.touch()
    try:
        path.chmod(0o4755)
    finally:
        path.unlink()


def writable_code() -> None:
    libc.mmap.restype = ctypes.c_void_p
    address = libc.mmap(None, ctypes.c_size_t(4096), 7, 0x22, -1, ctypes.c_long(0))  # rwx, private and anonymous
    if address in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), "mmap")


def raise_a_limit() -> None:
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, resource.RLIM_INFINITY))
    except ValueError as error:  # what Python makes of EPERM here
        raise PermissionError(errno.EPERM, str(error)) from None


def another_process_memory() -> None:
    buffer = ctypes.create_string_buffer(8)
    vector = (ctypes.c_void_p * 2)(ctypes.cast(buffer, ctypes.c_void_p), 8)
    call("process_vm_readv", os.getppid() or 1, ctypes.addressof(vector), 1, ctypes.addressof(vector), 1, 0)


def something(found: bytes | list[str]) -> None:
    """Raise when there is nothing: what is inaccessible is hidden behind something empty, which who may read all can open."""
    if not found:
        raise PermissionError(errno.EACCES, "what is there is empty")


def attempts() -> Iterator[tuple[str, Attempt]]:
    for directory in DIRECTORIES:
        yield f"write {directory}", lambda directory=directory: make_file(directory)
    for path in ("/etc/shadow", "/etc/autoops/ledger.key", "/proc/1/environ"):
        yield f"read {path}", lambda path=path: something(Path(path).read_bytes())
    for directory in ("/root", "/proc/1", STATE / "backups"):
        yield f"list {directory}", lambda directory=directory: something(os.listdir(directory))
    yield "set the maintenance flag", (STATE / ".maintenance-probe").touch
    yield "run /bin/sh", lambda: subprocess.run(["/bin/sh", "-c", ":"], check=True)
    for directory in ("/tmp", STATE / "queue", "/dev/shm"):
        yield f"run a program copied to {directory}", lambda directory=directory: run_a_copied_program(directory)
    for family, kind in SOCKETS.items():
        yield f"open a socket of {family.name}", lambda family=family, kind=kind: open_socket(family, kind)
    for address in ("/run/dbus/system_bus_socket", "/run/systemd/private"):
        yield f"talk to {address}", lambda address=address: connect(address)
    yield "ptrace", lambda: call("ptrace", PTRACE_SEIZE, 1, None, None)
    yield "read another process's memory", another_process_memory
    yield "signal pid 1", lambda: os.kill(1, 0)
    yield "become root", lambda: os.setuid(0)
    yield "take groups", lambda: os.setgroups([0])
    yield "make a setuid program", make_setuid_program
    yield "make a device", lambda: os.mknod("/tmp/probe-device", 0o60600, os.makedev(7, 0))
    yield "open /dev/mem", lambda: os.close(os.open("/dev/mem", os.O_RDONLY))
    yield "open /dev/kmsg", lambda: os.close(os.open("/dev/kmsg", os.O_WRONLY))
    yield "make writable code", writable_code
    for name, flag in (("user", 0x10000000), ("mount", 0x20000), ("network", 0x40000000), ("pid", 0x20000000)):
        yield f"make a {name} namespace", lambda flag=flag: call("unshare", flag)
    yield "mount", lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, None)
    yield "chroot", lambda: os.chroot("/tmp")
    yield "change the personality", lambda: call("personality", 0x0040000)
    yield "take realtime priority", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    yield "take priority", lambda: os.nice(-5)
    yield "raise a limit", raise_a_limit
    yield "set the clock", lambda: time.clock_settime(time.CLOCK_REALTIME, time.time())
    yield "set the host's name", lambda: socket.sethostname(socket.gethostname())
    yield "set a kernel parameter", lambda: write_settings("/proc/sys/kernel/core_pattern")
    yield "write a control group", lambda: write_settings("/sys/fs/cgroup/system.slice/cgroup.procs")
    yield "read the kernel's log", lambda: call("klogctl", 3, None, 0)
    yield "swap", lambda: call("swapon", b"/tmp", 0)
    yield "reboot", lambda: call("reboot", 0)  # not one of its commands: it does nothing even if it may
    for name in NUMBERS[platform.machine()]:
        yield name, lambda name=name: system_call(name, 0, 0, 0, 0, 0)


def outcome(attempt: Attempt) -> str:
    """Try one thing."""
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, "?") if error.errno in REFUSALS else "possible"
    return "possible"


if __name__ == "__main__":
    json.dump({name: outcome(attempt) for name, attempt in attempts()}, sys.stdout)
