"""What looks like a secret does not leave the house."""

from __future__ import annotations

import json
import tomllib

import pytest

from autoops.core.redact import redact

SECRET = "hunter2-Zz"


@pytest.mark.parametrize(
    "text",
    [
        f'password = "{SECRET}"',
        f"password: {SECRET}",
        f"PASSWORD={SECRET} next",
        f"smtp_password = '{SECRET}' # why",
        f'api_key="{SECRET}"',
        f'"apiKey": "{SECRET}"',
        f'"token": "{SECRET}", "x": 1',
        f'"why": "curl failed: {{\\"password\\": \\"{SECRET}\\"}}"',
        f"my.secret-thing = {SECRET}",
        f'tokens = ["a", "{SECRET}"]',
        f'credentials = {{ user = "a", pass = "{SECRET}" }}',
        f"tokens = [{'1, ' * 5000} {SECRET}]",
        f"secrets = {{{'a = 1, ' * 5000} b = {SECRET}}}",
        f'secret = """\n{SECRET}\n"""',
        f"secret = '''x\n{SECRET}'''",
        f"Authorization: Bearer {SECRET}",
        f"smtps://ann:{SECRET}@mail.example/",
        f"url = https://{SECRET}@host/x",
        f"-----BEGIN OPENSSH PRIVATE KEY-----\n{SECRET}\n-----END OPENSSH PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----\n{SECRET}",
        f'password = "a\\"{SECRET}"',
        f"https://hooks.example/x?access_token={SECRET}&y=1",
    ],
)
def test_a_secret_is_removed(text: str) -> None:
    assert SECRET not in redact(text) and "(removed)" in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "a = 1",
        "https://host/path@x",
        "mail ann@host",
        "the password was changed",
        "path = '/srv/secret plans/token.txt'",
        "keys: 3",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_what_stands_around_it_stays_and_keeps_its_form() -> None:
    assert tomllib.loads(redact('[a]\npassword = "x"\nlevel = "info"\n')) == {"a": {"password": "(removed)", "level": "info"}}
    assert redact("token: x y, secret='z' # why") == "token: (removed) y, secret='(removed)' # why"
    assert redact('credentials = { user = "a" }') == 'credentials = "(removed)"'
    value = {"token": "x", "said": 'with "password": "y" in it', "list": [{"secret": ["z"]}]}
    found = json.loads(redact(json.dumps(value)))
    assert found == {"token": "(removed)", "said": 'with "password": "(removed)" in it', "list": [{"secret": "(removed)"}]}


@pytest.mark.parametrize("text", ["token=[ " * 200_000, "token={ " * 200_000])
def test_lists_and_tables_that_nobody_closes_come_to_an_end_and_take_little_with_them(text: str) -> None:
    """A file may be called so, and its name be in a log a hundred thousand times."""
    assert redact(text).count("(removed)") > 300
    assert redact(text + "x" * 5000 + " the end").endswith(" the end")


@pytest.mark.parametrize("text", ["a" * 2_000_000, "a." * 1_000_000, "secret" * 300_000, "x://" * 400_000, "=" * 2_000_000])
def test_a_long_text_comes_to_an_end(text: str) -> None:
    """With a step for each pair of characters these would take hours."""
    assert redact(text) == text
