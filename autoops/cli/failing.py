"""The only place where an error becomes a message, a hint and an exit code."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from autoops import names
from autoops.cli.output import warn
from autoops.errors import AutoopsError, unwritten

_DISK = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # no bug of ours looks like this


def run(program: Callable[[], object]) -> None:
    """Run a program to its end; exit with the code of the error that ended it."""
    try:
        program()
    except AutoopsError as error:
        _exit(error)
    except BrokenPipeError:  # `autoops list | head`: nobody reads any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        if error.errno not in _DISK:
            raise
        _exit(unwritten(names.show(os.fsencode(error.filename2 or error.filename or "a file")), error))


def _exit(error: AutoopsError) -> NoReturn:
    for line in f"autoops: {error}".splitlines():
        warn(line)
    if error.advice:
        warn(f"  hint: {error.advice}")
    sys.exit(error.exit_code)
