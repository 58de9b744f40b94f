"""What every command begins with: the state directory, the configuration, the keys, and the databases."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from autoops import config as configuration
from autoops import log, names
from autoops.backup.place import Place
from autoops.cli import keys
from autoops.config import Config
from autoops.errors import (
    CannotTell,
    ConfigError,
    LedgerKeyMissing,
    Paused,
    RootAbsent,
    RootRefused,
    RootUnknown,
    UsageError,
)
from autoops.files import opening
from autoops.runtime import maintenance
from autoops.runtime.wake import Waker
from autoops.state import SYSTEM_KEY, SYSTEM_STATE, State
from autoops.store.database import Database
from autoops.store.missing import missing
from autoops.store.queue import SCHEMA as QUEUE
from autoops.store.queue import Queue
from autoops.store.registry import Registry

_STATES = "$STATE_DIRECTORY, ./.autoops, /var/lib/autoops, ~/.local/state/autoops"
STATE_HELP = f"The state directory. Default: the first that there is of {_STATES}."
_FILE_HELP = "The configuration. Default: /etc/autoops/autoops.toml if it exists, else"
CONFIG_HELP = f"{_FILE_HELP} what the worker of this state ran with last."
OWN_CONFIG_HELP = f"{_FILE_HELP} each key's own default."

_CREDENTIAL = "ledger-key"
_MOST_WORKERS = 256


class Context(NamedTuple):
    """The options that every command takes."""

    state: State
    config_file: Path | None
    roots: tuple[Path, ...] = ()

    @classmethod
    def of(cls, state: Path | None, config: Path | None = None, roots: Iterable[Path] = ()) -> Context:
        """Return the context that options ask for, right also when the working directory changes."""
        file = config.absolute() if config else None
        return cls(State((state or default_state()).absolute()), file, tuple(root.absolute() for root in roots))

    def config(self) -> Config:
        """Load the configuration. Raises ConfigError."""
        return configuration.load(self.config_file, self.roots)

    @property
    def file(self) -> Path:
        """The configuration file that was named, or the host's."""
        return self.config_file or configuration.DEFAULT_FILE

    def running_config(self) -> Config:
        """Load the configuration; when none is given, the one that the worker of this state ran with last. Raises ConfigError."""
        if self.config_file or self.roots or configuration.DEFAULT_FILE.exists() or not self.state.running_config.exists():
            return self.config()
        return configuration.load(self.state.running_config)

    def backup_directory(self) -> str:
        """Return `[backup] directory`, as far as it is known: "" where a fault in the configuration hides it."""
        try:
            return self.running_config().backup.directory
        except ConfigError:
            return ""

    def backups(self) -> Place:
        """Return the backup directory in force. Raises ConfigError."""
        return Place.of(self.state, self.running_config().backup.directory)

    def checked_config(self) -> Config:
        """Load the configuration and look at its roots on the disk. Raises ConfigError, RootRefused."""
        config = _with_roots(self.config())
        _refuse(configuration.check_roots(config, self.state.directory))
        return config

    def service_config(self) -> Config:
        """Load the configuration for a service, which goes on without a root that is not there now, and waits for the first one.

        With roots from the command line all must be there: that was typed now. Raises ConfigError, RootRefused.
        """
        config = self.config()
        if self.roots or not (self.config_file or configuration.DEFAULT_FILE.exists()):
            return self.checked_config()
        faults = configuration.check_roots(config, self.state.directory)
        _refuse([fault for fault in faults if not isinstance(fault, RootAbsent)])
        for fault in faults:
            log.emit("root_absent", detail=str(fault), hint=fault.advice)
        return config

    def config_with_roots(self) -> Config:
        """Load the configuration that the worker runs with. Raises ConfigError, UsageError when it names no root."""
        return _with_roots(self.running_config())

    def places(self, config: Config, path: Path | None) -> list[tuple[str, bytes]]:
        """Return (root name, directory below it) of every root, or of one directory.

        Raises UsageError: it lies in no root, or there is no such directory, neither on the disk nor in the registry.
        """
        if path is None:
            return [(root.name, b"") for root in config.roots]
        found = config.locate(os.fsencode(os.path.abspath(path)))
        shown = names.show(os.fsencode(path))
        if found is None:
            raise UsageError(detail=f"{shown} lies in no root")
        top = {root.name: root.path for root in config.roots}[found[0]]
        if found[1] and opening.is_absent(top, found[1]) and not self._is_known(*found):
            wanted = f"give a directory below {names.show(top)}"
            raise UsageError(detail=f"{shown} is no directory, and none is registered there; {wanted}")
        return [found]

    def require_root(self, name: str | None, seen: Iterable[str] = ()) -> None:
        """See that a root is configured, or was (`seen`: somewhere else than in the registry). Raises RootUnknown, StorageError."""
        if name is None:
            return
        with contextlib.closing(self.registry()) as registry:
            known = {*seen, *registry.roots()}
        with contextlib.suppress(ConfigError):
            known |= {root.name for root in self.running_config().roots}
        if name not in known:
            raise RootUnknown(what=names.show(name), known=", ".join(map(names.show, sorted(known))) or "none")

    def _is_known(self, root: str, path: bytes) -> bool:
        with contextlib.closing(self.registry()) as registry:
            return registry.knows_directory(root, path)

    def refuse_window(self) -> None:
        """See that no maintenance window is open. Raises Paused, with what its flag says."""
        window = maintenance.read(self.state.flag)
        if window is not None:
            raise Paused(flag=self.state.flag, why=f" ({window})" if str(window) else "")

    def wake_worker(self) -> None:
        """Ring the worker's bell, if there is one."""
        Waker(self.state.worker_socket).wake()

    def load_key(self) -> bytes:
        """Return the private ledger key: systemd's credential, else the state directory's, else the package's.

        Raises LedgerKeyMissing, CannotTell.
        """
        credentials = os.environ.get("CREDENTIALS_DIRECTORY")
        path = Path(credentials, _CREDENTIAL) if credentials else self.state.private_key
        if not credentials and self.state.directory == SYSTEM_STATE and not path.exists():
            path = SYSTEM_KEY
        try:
            return path.read_bytes()
        except OSError as error:
            if isinstance(error, FileNotFoundError) and (known := keys.published(self.state)):
                raise LedgerKeyMissing(path=path, known=known) from None
            remedy = "run: autoops migrate (it makes one if there is none)"
            raise CannotTell(detail=f"the ledger key {path} cannot be read ({error.strerror})", remedy=remedy) from None

    def public_key(self) -> bytes:
        """Return the public ledger key. Raises CannotTell."""
        try:
            return bytes.fromhex(self.state.public_key.read_text().strip())
        except (OSError, ValueError) as error:
            remedy = "put the file back; where the private key is at hand, autoops migrate writes it again"
            raise CannotTell(detail=f"the public key {self.state.public_key} cannot be read ({error})", remedy=remedy) from None

    def queue_db(self, *, writable: bool = True) -> Database:
        """Open queue.db; acknowledged writes survive a power cut. Raises StorageError."""
        if not writable:
            return Database.open(self.state.queue_db, QUEUE, mode="ro")
        return Database.open(self.state.queue_db, QUEUE, synchronous="FULL", guard=True)

    def queue(self) -> Queue:
        """Open the queue for writing. Raises StorageError."""
        settings = self.running_config().queue
        return Queue(
            self.queue_db(),
            max_attempts=settings.max_attempts,
            backoff_first_s=settings.backoff_first_s,
            backoff_max_s=settings.backoff_max_s,
        )

    def registry(self) -> Registry:
        """Open the registry for reading. Raises StorageError."""
        return Registry.open(self.state.registry_db)


def _with_roots(config: Config) -> Config:
    if not config.roots:
        raise UsageError(detail="no root is configured: give --root DIR, or write a [[root]] table into the configuration")
    return config


def _refuse(faults: Sequence[RootRefused]) -> None:
    if len(faults) == 1:
        raise faults[0]
    if faults:
        raise ConfigError(count=len(faults), faults="\n".join(_sentence(fault) for fault in faults))


def _sentence(error: RootRefused) -> str:
    return f"{error}; {error.advice}" if error.advice else str(error)


def default_state(system: Path = SYSTEM_STATE) -> Path:
    """Return the state directory when none is given.

    That is systemd's, else `.autoops` here if there is one (for root: one of his own, not one that was put in his way), else the
    installed service's if we may enter it, else the user's own.
    """
    given = os.environ.get("STATE_DIRECTORY")
    if given:
        return Path(given.split(":")[0])
    here = Path(".autoops").absolute()
    if here.is_dir() and (os.geteuid() != 0 or here.lstat().st_uid == 0):
        return here
    if os.access(system, os.R_OK | os.X_OK):
        return system
    return Path.home() / ".local" / "state" / "autoops"


def require_state(state: State) -> None:
    """Raise StorageMissing unless the state directory was made."""
    if not state.queue_db.exists():
        raise missing(state.queue_db)


def configure_log(config: Config, program: str) -> None:
    """Set up the log of a long-lived program."""
    log.configure(config.log.level, config.log.format, program)


def workers_of(text: str) -> int:
    """Return how many processes --workers asks for; auto: one for each core that we may use. Raises UsageError."""
    if text == "auto":
        return len(os.sched_getaffinity(0))
    if not text.isdecimal() or not 1 <= int(text[:4]) <= _MOST_WORKERS:
        raise UsageError(detail=f"--workers {names.show(text)} is neither auto nor a number from 1 to {_MOST_WORKERS}")
    return int(text)


def is_terminal() -> bool:
    """Tell whether a person looks at standard output."""
    return sys.stdout.isatty()
