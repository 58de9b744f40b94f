"""What can be wrong with playbooks, beyond what the configuration is refused for."""

from __future__ import annotations

from autoops.errors import Refused, UsageError


class PlaybookUnknown(UsageError):
    """No playbook is called {name}."""

    hint = "the playbooks that are configured: {known}; a [[playbook]] table of the configuration makes one"


class PlaybooksOff(Refused):
    """Refused: playbooks are turned off."""

    hint = "autoops playbooks run --dry-run shows what would be done; enabled = true in [playbooks] turns them on"


class NotCarriedOut(Refused):
    """Refused: {name} is not carried out: {reason}."""

    hint = "autoops playbooks show {name}; RUNBOOK, 'Playbooks'"


class NotHeld(Refused):
    """Refused: {name} is not held, so there is nothing to release."""

    hint = "autoops playbooks list shows which are"


class AnotherRunner(Refused):
    """Refused: another process (pid {pid}) carries out playbooks."""

    transient = True
    hint = "wait for its end: autoops playbooks list; or look at it: ps -o pid,etime,cmd -p {pid}"
