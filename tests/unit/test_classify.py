"""The first rule that holds decides, the operator's before the built-in ones, and the verdict names it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoops.core.class_rules import BUILTIN
from autoops.core.classify import Classifier, Verdict
from autoops.core.shebang import interpreter
from autoops.model import ClassRule

HEAD = b"#!/usr/bin/env python3\n# Policy: 12\n"
DESCRIPTOR = {
    "kind": "python",
    "front_matter": {"type": "policy-x", "draft": False},
    "classes": [{"name": "Job", "public": True}],
    "count": 3,
}


def holds(path: bytes = b"a/b.txt", mime: str = "text/plain", head: bytes = HEAD, **conditions: Any) -> bool:
    rule = ClassRule("mine", "class", **conditions)
    return Classifier([rule], builtin=()).classify(path, mime, head, DESCRIPTOR) is not None


@pytest.mark.parametrize(
    ("glob", "path", "expected"),
    [
        ("*.txt", b"a/b.txt", True),
        ("*.txt", b"b.txt", True),
        ("b", b"a/b.txt", False),
        ("a/*.txt", b"a/b.txt", True),
        ("/a/*.txt", b"a/b.txt", True),
        ("a/*.txt", b"x/a/b.txt", False),
        ("a/*", b"a/b/c.txt", False),
        ("X/*.txt", b"X/b.txt", True),
        ("[a/].txt", b"x/a.txt", False),
        ("a/**", b"a/b/c.txt", True),
        ("**/c.txt", b"c.txt", True),
        ("**/c.txt", b"a/b/c.txt", True),
        ("a/**/c.txt", b"a/c.txt", True),
        ("a/**/c.txt", b"a/x/y/c.txt", True),
        ("a/**/c.txt", b"ab/c.txt", False),
        ("[ab].txt", b"b.txt", True),
        ("[!ab].txt", b"b.txt", False),
        ("[!ab].txt", b"c.txt", True),
        ("[ab].txt", b"X.txt", False),
        ("[a-c].txt", b"b.txt", True),
        ("[a-c].txt", b"d.txt", False),
        ("[a-a].txt", b"a.txt", True),
        ("[z-a].txt", b"b.txt", False),
        ("[z-a].txt", b"X.txt", False),
        ("[a-\n].txt", b"b.txt", False),
        ("[z-a].txt", b"-.txt", False),
        ("[z-ab].txt", b"b.txt", True),
        ("[!z-a].txt", b"b.txt", True),
        ("[^a].txt", b"^.txt", True),
        ("[^a].txt", b"b.txt", False),
        ("[^a].txt", b"X.txt", False),
        ("[]].txt", b"].txt", True),
        ("[].txt", b"[].txt", True),
        ("?.txt", b"\xff.txt", True),
        ("a.txt", b"a.txt\n", False),
        ("*", b"a/new\nline", True),
        ("ü*", "ü.txt".encode(), True),
        ("a+b.txt", b"a+b.txt", True),
    ],
)
def test_a_glob_stays_in_its_directory_unless_it_says_otherwise(glob: str, path: bytes, expected: bool) -> None:
    assert holds(path, glob=(glob,)) is expected


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, True),
        ({"type": ("text/plain",)}, True),
        ({"type": ("image/*", "text/*")}, True),
        ({"type": ("image/*",)}, False),
        ({"shebang": ("python3",)}, True),
        ({"shebang": ("python*",)}, True),
        ({"shebang": ("bash", "sh")}, False),
        ({"content": r"Policy: \d+"}, True),
        ({"content": r"^Policy"}, False),
        ({"descriptor": (("kind", "python"),)}, True),
        ({"descriptor": (("front_matter.type", "policy*"),)}, True),
        ({"descriptor": (("classes.name", "Job"),)}, True),
        ({"descriptor": (("classes.public", "true"),)}, True),
        ({"descriptor": (("front_matter.draft", "false"),)}, True),
        ({"descriptor": (("front_matter.draft", "true"),)}, False),
        ({"descriptor": (("count", "3"),)}, True),
        ({"descriptor": (("count.deeper", "3"),)}, False),
        ({"descriptor": (("kind", "python"), ("count", "4"))}, False),
        ({"glob": ("*.txt",), "type": ("image/*",)}, False),
        ({"glob": ("*.md", "a/**")}, True),
    ],
)
def test_every_condition_that_is_given_must_hold(conditions: dict[str, Any], expected: bool) -> None:
    assert holds(**conditions) is expected


def test_content_is_searched_in_the_first_4096_bytes_only() -> None:
    assert holds(head=b" " * 4090 + b"needle", content="needle")
    assert not holds(head=b" " * 4091 + b"needle", content="needle")
    assert holds(head=b"\xff needle", content="needle")


def test_without_content_a_rule_on_it_sees_an_empty_one() -> None:
    assert Classifier([ClassRule("mine", "class", content=r"\A\Z")], builtin=()).classify(b"a", "text/plain") is not None


def test_without_a_descriptor_a_rule_on_one_fails() -> None:
    classifier = Classifier([ClassRule("mine", "class", descriptor=(("kind", "*"),))], builtin=())
    assert classifier.classify(b"a", "text/plain", b"", None) is None
    assert classifier.classify(b"a", "text/plain", b"", {"kind": "x"}) is not None


def test_the_first_rule_wins_and_the_operators_come_before_the_builtin_ones() -> None:
    first = ClassRule("first", "invoice", glob=("*.pdf",), confidence=99, tags=("money",))
    second = ClassRule("second", "other", glob=("*.pdf",))
    classifier = Classifier([first, second])
    assert classifier.classify(b"a.pdf", "application/pdf") == Verdict("invoice", "first", 99, ("money",))
    assert classifier.classify(b"a", "application/pdf") == Verdict("document", "builtin:document", 90, ())


@pytest.mark.parametrize(
    ("path", "mime", "head", "class_name"),
    [
        (b"src/a.py", "text/x-python", b"", "source"),
        (b"bin/a", "text/x-python", b"#!/usr/bin/python3\n", "script"),
        (b"a.sh", "text/x-shellscript", b"", "script"),
        (b"tests/unit/a.py", "text/x-python", b"", "test"),
        (b"src/test_a.py", "text/x-python", b"#!/usr/bin/python3\n", "test"),
        (b"tests/data.json", "application/json", b"", "data"),
        (b"a.md", "text/markdown", b"", "document"),
        (b"a.txt", "text/plain", b"", "document"),
        (b"a.log", "text/plain", b"", "log"),
        (b"a.ini", "text/x-ini", b"", "config"),
        (b"package.json", "application/json", b"", "config"),
        (b"Makefile", "text/x-makefile", b"", "config"),
        (b"a.html", "text/html", b"", "web"),
        (b"a.csv", "text/csv", b"", "data"),
        (b"a.png", "image/png", b"", "image"),
        (b"a.svg", "image/svg+xml", b"", "image"),
        (b"a.tar.gz", "application/gzip", b"", "archive"),
        (b"id_rsa", "text/plain", b"-----BEGIN OPENSSH PRIVATE KEY-----", "key"),
        (b"a.bin", "application/octet-stream", b"", "binary"),
        (b"a", "inode/x-empty", b"", "empty"),
        (b"a", "inode/symlink", b"", "link"),
        (b"a", "inode/fifo", b"", "special"),
        (b"a", "application/never-heard-of", b"", "other"),
    ],
)
def test_the_builtin_rules_know_the_usual_kinds(path: bytes, mime: str, head: bytes, class_name: str) -> None:
    verdict = Classifier().classify(path, mime, head)
    assert verdict is not None and verdict.class_name == class_name


def test_each_builtin_rule_has_its_own_name_and_a_confidence_in_percent() -> None:
    assert len({rule.rule for rule in BUILTIN}) == len(BUILTIN)
    assert all(0 < rule.confidence <= 100 for rule in BUILTIN)


@pytest.mark.parametrize(
    ("line", "program"),
    [
        (b"#!/bin/sh", "sh"),
        (b"#! /bin/bash -e\nx", "bash"),
        (b"#!/usr/bin/env python3\n", "python3"),
        (b"#!/usr/bin/env -S A=1 node --x\n", "node"),
        (b"#!/usr/bin/env\n", ""),
        (b"#!/bin/s\xffh\n", "sh"),
        (b"#!/bin/" + b"a" * 300, "a" * 251),
        (b"#!\n/bin/sh", ""),
        (b"# no", ""),
        (b"", ""),
    ],
)
def test_the_interpreter_is_the_program_of_the_first_line(line: bytes, program: str) -> None:
    assert interpreter(line) == program


def test_a_regular_expression_that_is_none_is_told_when_the_rules_are_compiled() -> None:
    with pytest.raises(re.error):
        Classifier([ClassRule("mine", "class", content="(")])


def test_files_that_invent_types_do_not_grow_the_classifier() -> None:
    classifier = Classifier()
    for number in range(3000):
        classifier.classify(b"a", f"application/x-{number}")
        assert len(classifier._by_mime) <= 1024


def test_a_type_is_tried_against_the_rules_once() -> None:
    classifier = Classifier()
    assert classifier._candidates("text/plain") is classifier._candidates("text/plain")
    assert classifier._candidates("text/plain") != classifier._candidates("image/png")


@given(st.binary(max_size=40), st.text(max_size=20), st.binary(max_size=60))
def test_whatever_a_file_is_called_and_holds_it_has_a_class(path: bytes, mime: str, head: bytes) -> None:
    verdict = Classifier().classify(path, mime, head, {"kind": None})
    assert verdict is not None and verdict.rule.startswith("builtin:")
