"""Remove keeps what is the operator's, purge removes what README.Debian says, and neither touches a watched tree."""

from __future__ import annotations

import pytest
from machine import Machine
from running import disk

DROP_IN = "/etc/systemd/system/autoops-watcher.service.d/root-docs.conf"

OTHERS = ("/root/debs/", "/var/lib/dpkg/", "/var/cache/apt/", "/var/cache/man/")  # what dpkg, apt and man remember


def left(machine: Machine) -> list[str]:
    """Return everything in the machine that is called after autoops, outside the watched tree and the journal."""
    trees = "-not -name .autoops-canary -not -path '/srv/*'"
    out = machine.sh(f"find / -xdev -name '*autoops*' {trees} -not -path '/proc/*' -not -path '/var/log/journal/*'").out
    return sorted(out.splitlines())


@pytest.mark.parametrize("verb", ["remove", "purge"])
def test_the_package_goes(machine: Machine, verb: str) -> None:
    docs = machine.path("/srv/docs")
    tree = disk(docs)
    if verb == "remove":
        machine.path(DROP_IN).parent.mkdir(exist_ok=True)
        machine.path(DROP_IN).write_text("[Service]\n")
    machine.run("apt-get", verb, "-y", "-q", "autoops")
    assert machine.run("systemctl", "list-units", "--plain", "--no-legend", "--state=active", "autoops*").out == ""
    assert disk(docs) == tree
    state = machine.path("/var/lib/autoops/registry/registry.db")
    if verb == "remove":
        assert state.exists() and machine.path("/etc/autoops/ledger.key").exists() and machine.path(DROP_IN).exists()
        return
    assert not machine.path(DROP_IN).parent.exists()
    assert [path for path in left(machine) if not path.startswith(OTHERS)] == []
    assert machine.run("getent", "passwd", "autoops").out.startswith("autoops:"), "its number is not given to another"
