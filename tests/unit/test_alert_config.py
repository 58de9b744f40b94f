"""The configuration of alerts: what makes no sense is a fault with its line, and an address is repeated by none."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoops.config import Config, as_toml, load, parse_file
from autoops.errors import ConfigError

SECRET = "hunter2"


def faults(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "bad.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file)
    return [line.removeprefix(f"{file}:") for line in str(caught.value.facts["faults"]).split("\n")]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[alerts]\nwarning_seen = 4", "2: alerts.warning_of: must not be below warning_seen, which is 4"),
        ("[alerts]\nretry_first_s = 900", "2: alerts.retry_max_s: must not be below retry_first_s, which is 900.0"),
        ("[alerts]\nbusiness_hour = 24", "2: alerts.business_hour: must be between 0 and 23, got 24"),
        ("[alerts]\ntime_zone = 'Mars/Base'", "2: alerts.time_zone: must be a time zone such as Europe/Berlin, or empty"),
        ("[alerts]\ntime_zone = '../../etc/passwd'", "2: alerts.time_zone: must be a time zone"),
        ("[alerts]\ndigest_day = 'mondya'", "did you mean 'monday'?"),
        ("[[channel]]\nname = 'a'", "2: channel.url: one of url and url_credential says where it goes, and not both"),
        ("[[channel]]\nname = 'a'\nurl = 'json://h'\nurl_credential = 'x'", "2: channel.url: one of url and url_credential"),
        ("[[channel]]\nname = 'a'\nkind = 'alertmanager'\nurl = 'ftp://h'", 'of kind "alertmanager" must begin with http://'),
        ("[[channel]]\nname = 'a'\nurl = 'json://h'\nseverities = []", "is empty: the channel would hear nothing"),
        ("[[channel]]\nname = 'a'\nurl = 'json://h'\nseverities = ['grave']", "must be one of critical, warning, info"),
        ("[[channel]]\nname = 'a\\nb'\nurl = 'json://h'", "2: channel.name: must be letters"),
        ("[[channel]]\nname = 'a'\nurl_credential = '../x'", "3: channel.url_credential: must be an absolute path, or letters"),
        ("[[inhibit]]\nsource = 'everything'\ntarget = ['health:x:*']", "must be a glob of source:name:subject"),
        ("[[channel]]\nname = 'a'\nurl = 'json://h'\n" * 2, "5: channel.name: 'a' is a channel already, in line 2"),
    ],
)
def test_what_makes_no_sense_is_a_fault_with_its_line(tmp_path: Path, text: str, fault: str) -> None:
    assert any(fault in one for one in faults(tmp_path, text)), faults(tmp_path, text)


@pytest.mark.parametrize("url", [f"no-address-{SECRET}", f"json://h/{SECRET}\\u0007"])
def test_a_faulty_address_is_not_repeated(tmp_path: Path, url: str) -> None:
    found = faults(tmp_path, f'[[channel]]\nname = "a"\nurl = "{url}"')
    assert "3: channel.url: must be an address" in found
    assert not [fault for fault in found if SECRET in fault]


def test_shown_it_has_no_address_and_loads_and_told_to_it_is_the_same() -> None:
    text = f'[health]\nheartbeat_url = "https://h/{SECRET}"\n[[channel]]\nname = "a"\nurl = "json://h/{SECRET}"\n'
    text += f'[[channel]]\nname = "b"\nkind = "alertmanager"\nurl = "http://h/{SECRET}"\n'
    config: Config = parse_file(text.encode(), Path("x"))
    assert SECRET not in as_toml(config)
    shown = parse_file(as_toml(config).encode(), Path("x"))
    assert [one.name for one in shown.channels] == ["a", "b"]
    assert parse_file(as_toml(config, secrets=True).encode(), Path("x")) == config
