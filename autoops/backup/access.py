"""How one gets into the archive: location, password and keys, from the configuration and from what only a few may read.

A secret is a systemd credential (`archive-password`, `archive-environment`) or, by hand, a file beside the configuration
(`archive.password`, `archive.environment`); the password may also be in the file that `password_file` names. No message has any of
it. Reads these files; writes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from autoops.backup.restic import Repository, deadline
from autoops.backup.trouble import ArchiveSecret, ArchiveUnconfigured
from autoops.config import ArchiveConfig

PASSWORD, ENVIRONMENT = "password", "environment"


def repository(config: ArchiveConfig, beside: Path, credentials: str) -> Repository:
    """Return the configured repository; its time begins now.

    beside: the configuration's directory; credentials: systemd's ("": none). Raises ArchiveUnconfigured, ArchiveSecret.
    """
    if not config.repository:
        raise ArchiveUnconfigured()
    password, source = _password(config, beside, credentials)
    return Repository(
        config.repository,
        password,
        source,
        config.options,
        _environment(beside, credentials),
        deadline(config.timeout_s),
        config.timeout_s,
    )


def _place(name: str, beside: Path, credentials: str) -> Path:
    return Path(credentials, f"archive-{name}") if credentials else beside / f"archive.{name}"


def _password(config: ArchiveConfig, beside: Path, credentials: str) -> tuple[bytes, str]:
    """Return the password without the newline behind it, and where it came from."""
    places = [_place(PASSWORD, beside, credentials), *([Path(config.password_file)] if config.password_file else [])]
    for path in places:
        password = _read(path).split(b"\n")[0].removesuffix(b"\r")
        if password:
            return password, str(path)
    said = " nor ".join(str(path) for path in places)
    raise ArchiveSecret(what=f"the archive's password is neither in {said}" if len(places) > 1 else f"no password is in {said}")


def _environment(beside: Path, credentials: str) -> Mapping[str, str]:
    """Return the variables that a file of lines KEY=VALUE has; a value may stand in quotes."""
    found: dict[str, str] = {}
    path = _place(ENVIRONMENT, beside, credentials)
    for number, line in enumerate(_read(path).decode(errors="surrogateescape").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.strip().partition("=")
        if not equals or not name.isidentifier():
            raise ArchiveSecret(what=f"{path}:{number} is not a line KEY=VALUE")
        quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'"
        found[name] = value[1:-1] if quoted else value
    return found


def _read(path: Path) -> bytes:
    """Return what is in a file, b"" when there is none. Raises ArchiveSecret when it may not be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise ArchiveSecret(what=f"{path} cannot be read by user {os.geteuid()} ({error.strerror})") from None
