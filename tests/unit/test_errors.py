"""Errors: what they say, and what to do."""

from __future__ import annotations

import errno
import os

import pytest

from autoops.errors import CannotTell, CatalogFailed, NotWritten, Paused, StorageBusy


@pytest.mark.parametrize(
    ("detail", "said"),
    [("it is gone", "Cannot tell: it is gone."), ("it is gone.", "Cannot tell: it is gone."), ("1234...", "Cannot tell: 1234...")],
)
def test_a_fact_that_ends_with_a_full_stop_gets_no_second_one(detail: str, said: str) -> None:
    assert str(CannotTell(detail=detail, remedy="look")) == said


def test_full_stops_inside_a_sentence_are_not_doubled_and_no_other_dot_is_lost() -> None:
    failed = CatalogFailed(name="a", reason="it said: no.", remedy="")
    assert str(failed) == "Catalog a was not built: it said: no. The one before stays as it is."
    assert str(Paused(flag="../.maintenance", why=": we move.")) == "autoops is paused: ../.maintenance exists: we move."
    assert StorageBusy(database="/srv/a.", seconds=1).advice.endswith("fuser -v /srv/a. /srv/a..guard")


@pytest.mark.parametrize(
    ("code", "remedy"),
    [(errno.ENOENT, "make its directory"), (errno.EACCES, "as root"), (errno.ENOSPC, "make room"), (errno.EISDIR, "in it")],
)
def test_what_could_not_be_written_has_the_remedy_for_its_reason(code: int, remedy: str) -> None:
    error = NotWritten.because("/f", OSError(code, os.strerror(code), "/f"))
    assert str(error) == f"Refused: /f cannot be written: {os.strerror(code)}." and remedy in error.advice
