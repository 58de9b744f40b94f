"""What each extractor finds in a typical file, and what it makes of a damaged one."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import zlib
from typing import Any

import pypdf
import pytest

from autoops.describe.extract import MAX_DESCRIPTOR_BYTES, describe, faults, versions

TYPES = {
    "python": "text/x-python",
    "markdown": "text/markdown",
    "json": "application/json",
    "yaml": "application/yaml",
    "toml": "application/toml",
    "sql": "application/sql",
    "shell": "text/x-shellscript",
    "html": "text/html",
    "csv": "text/csv",
    "image": "image/png",
    "pdf": "application/pdf",
    "text": "text/plain",
    "binary": "application/octet-stream",
}


def found(kind: str, content: str | bytes, truncated: bool = False) -> dict[str, Any]:
    data = content.encode() if isinstance(content, str) else content
    descriptor = describe(b"name", TYPES[kind], data, truncated)
    assert (descriptor["kind"], descriptor["extractor"], descriptor["type"]) == (kind, f"{kind}/1", TYPES[kind])
    return descriptor


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"pHYs", struct.pack(">IIB", 11811, 11811, 1)) + chunk(b"IEND", b"")


def pdf(password: str = "") -> bytes:
    writer = pypdf.PdfWriter()
    for _ in range(3):
        writer.add_blank_page(100, 100)
    writer.add_metadata({"/Title": "Plan\x00 \u202eB", "/Author": "Ada"})
    if password:
        writer.encrypt(password, algorithm="AES-256")
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


PYTHON = '''#!/usr/bin/python3
"""Sort the mail.

More of it.
"""
import os, sys
from . import near
from ..far import thing
try:
    import fast
except ImportError:
    import slow
else:
    def chosen(): import not_at_the_top
if sys.platform == "linux":
    from linux.only import one, two
class Job(Base):
    size = 1
    def run(self): ...
    async def wait(self): ...
def main(argv): pass
async def serve(): pass
if __name__ == "__main__":
    main(sys.argv)
'''


def test_python_is_described_by_its_top_level_and_its_classes() -> None:
    descriptor = found("python", PYTHON)
    assert descriptor["docstring"] == "Sort the mail."
    assert descriptor["functions"] == ["chosen", "main"] and descriptor["functions_total"] == 2
    assert descriptor["async_functions"] == ["serve"]
    assert descriptor["classes"] == [{"name": "Job", "methods": ["run", "wait"], "methods_total": 2}]
    assert descriptor["imports"] == ["os", "sys", ".", "..far", "fast", "slow", "linux.only"]
    assert descriptor["entry_points"] == ["__main__"]
    assert "error" not in descriptor


def test_python_with_a_syntax_error_tells_the_line_and_keeps_what_its_lines_show() -> None:
    descriptor = found("python", "def a(): pass\nclass B: pass\nasync def c(): pass\ndef (:\n")
    assert descriptor["error"]["line"] == 4 and "syntax" in descriptor["error"]["message"]
    assert (descriptor["functions"], descriptor["async_functions"]) == (["a"], ["c"])
    assert descriptor["classes"] == [{"name": "B"}]


@pytest.mark.parametrize(
    "source", [b"a = 1\0", b"(" * 1000, b"-" * 100_000 + b"1", b"# coding: klingon\n", b"# coding: utf-8\n'\xff'", b"1" * 9000]
)
def test_python_that_no_parser_takes_is_a_fault_of_the_file(source: bytes) -> None:
    assert found("python", source)["error"]["message"]


def test_python_that_warns_is_silent_and_the_garbage_collector_is_left_as_it_was() -> None:
    program = (
        "import gc; from autoops.describe.extract import describe\n"
        "describe(b'a.py', 'text/x-python', b'a = \"\\\\d\"; a is 1', False); assert gc.isenabled()\n"
        "gc.disable(); describe(b'a.py', 'text/x-python', b'a = (', False); assert not gc.isenabled()\n"
    )
    run = subprocess.run([sys.executable, "-W", "always", "-c", program], capture_output=True, check=True)
    assert run.stderr == b""


MARKDOWN = """---
title: The Plan
type: policy
tags: [a, b]
owner: {name: Ada}
---
# One #

Setext
======
Two *words*
---

```sh
# not a heading [no](link)
```
   ### Three
    # code
~~~~
~~~
# nor this
~~~~
#hashtag

See [the site](https://example.org/a "T"), ![p](p.png), <https://example.net>, `[x](no)` and [ref].

[ref]: ./other.md
"""


def test_markdown_is_described_by_headings_front_matter_and_links() -> None:
    descriptor = found("markdown", MARKDOWN)
    assert descriptor["title"] == "The Plan"
    assert descriptor["front_matter"] == {"title": "The Plan", "type": "policy", "tags": ["a", "b"], "owner": {"name": "Ada"}}
    assert [(heading["level"], heading["text"]) for heading in descriptor["headings"]] == [
        (1, "One"),
        (1, "Setext"),
        (2, "Two *words*"),
        (3, "Three"),
    ]
    assert descriptor["links"] == ["https://example.org/a", "p.png", "https://example.net", "./other.md"]


def test_markdown_takes_its_title_from_the_first_heading_of_level_one() -> None:
    assert found("markdown", "## Small\n\n# Large\r\n")["title"] == "Large"
    assert found("markdown", "## Small\n")["title"] == "Small"
    assert found("markdown", "nothing\n")["title"] is None


def test_front_matter_that_is_no_yaml_is_a_fault_with_the_line_in_the_file() -> None:
    descriptor = found("markdown", "---\na: 1\nb: [\n---\n# T\n")
    assert descriptor["error"]["line"] in (3, 4) and descriptor["title"] == "T"


def test_json_is_described_by_its_top_level() -> None:
    descriptor = found("json", json.dumps({"$schema": "https://example.org/s", "name": "a", "b": [1.5]}))
    assert descriptor["root"] == "object" and descriptor["count"] == 3
    assert descriptor["keys"] == ["$schema", "name", "b"]
    assert descriptor["hints"] == {"$schema": "https://example.org/s", "name": "a"}
    assert found("json", '[{"a": 1, "b": 2}, {}]')["item_keys"] == ["a", "b"]
    assert found("json", "1.5")["root"] == "number"
    assert found("json", '\ufeff{"a": 1}')["keys"] == ["a"]


@pytest.mark.parametrize("text", ['{"a": 1,\n"b" 2}', "[" * 100_000, "9" * 5000, '{"a": NaN', "\\"])
def test_json_that_does_not_parse_is_a_fault_of_the_file(text: str) -> None:
    assert found("json", text)["error"]["message"]


def test_a_python_file_too_large_to_be_parsed_is_outlined() -> None:
    piece = "def f{0}():\n    return [{0}]\n\nclass C{0}: ...\n"
    whole = found("python", "".join(piece.format(number) for number in range(10_000)))
    assert whole["truncated"] is True and "error" not in whole
    assert (whole["functions"][:2], whole["classes"][0]) == (["f0", "f1"], {"name": "C0"})
    assert 100 < whole["functions_total"] < 10_000


def test_json_tells_the_line_of_its_fault_and_a_truncated_one_has_none() -> None:
    assert found("json", '{"a": 1,\n"b" 2}')["error"]["line"] == 2
    descriptor = found("json", '{"a": 1,', truncated=True)
    assert "error" not in descriptor and descriptor["root"] == "object" and descriptor["truncated"] is True


def test_yaml_is_described_by_its_top_level_keys() -> None:
    descriptor = found("yaml", "apiVersion: v1\nkind: Pod\nspec: {a: {b: {c: 1}}}\n---\nother: 1\n")
    assert (descriptor["documents"], descriptor["root"]) == (2, "mapping")
    assert descriptor["keys"] == ["apiVersion", "kind", "spec"]
    assert descriptor["hints"] == {"apiVersion": "v1", "kind": "Pod"}
    assert found("yaml", "- a\n- b\n")["root"] == "sequence"


def test_yaml_aliases_do_not_unfold_and_tags_construct_nothing() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}]" for n in range(1, 90)]
    assert found("yaml", "\n".join(lines))["keys_total"] == 90
    assert found("yaml", "a: !!python/object/apply:os.system [exit 1]")["keys"] == ["a"]


def test_yaml_tells_the_line_of_its_fault_and_keeps_what_came_before() -> None:
    descriptor = found("yaml", "a: 1\n---\nb: [\n}\n")
    assert descriptor["error"]["line"] == 4 and descriptor["keys"] == ["a"]
    assert "nest" in found("yaml", "[" * 50_000)["error"]["message"]  # PyYAML's own words since it has a limit of its own


def test_toml_is_described_by_its_top_level_keys_and_tables() -> None:
    descriptor = found("toml", "name = 'a'\nday = 2024-01-01\n[tool.x]\ny = 1.5\n[[items]]\nz = 1\n")
    assert descriptor["keys"] == ["name", "day", "tool", "items"] and descriptor["tables"] == ["tool"]
    assert descriptor["hints"] == {"name": "a"}
    assert found("toml", "a = 1\nb = \n")["error"]["line"] == 2
    assert found("toml", "a = [" * 5000)["error"]["message"]
    assert found("toml", "[a]\nx = 1\n[b]\ny = 'cu", truncated=True)["tables"] == ["a"]


SQL = """
-- create table no1 (a);
/* create table no2 */ create table if not exists main."Two Words" (a text default 'create table no3 (');
CREATE UNIQUE INDEX by_a ON t (a);
create or replace temp view v as select 'it''s create view no4 ';
CREATE TRIGGER tr AFTER INSERT ON t BEGIN SELECT 1; END;
CREATE FUNCTION f() RETURNS int AS $body$ create table no5 (a); $body$ LANGUAGE sql;
CREATE MATERIALIZED VIEW IF NOT EXISTS m AS SELECT 1;
create virtual table ft using fts5(a);
"""


def test_sql_is_described_by_what_it_creates() -> None:
    descriptor = found("sql", SQL)
    assert descriptor["tables"] == ["main.Two Words", "ft"]
    assert descriptor["views"] == ["v", "m"]
    assert (descriptor["indexes"], descriptor["triggers"], descriptor["functions"]) == (["by_a"], ["tr"], ["f"])


def test_sql_of_mysql_escapes_quotes_with_backslashes() -> None:
    text = "CREATE TABLE `a b` (x text DEFAULT 'it\\'s create table no1 (');\n# create table no2\nCREATE TABLE `c` (y int);"
    assert found("sql", text)["tables"] == ["a b", "c"]


def test_shell_is_described_by_shebang_and_functions() -> None:
    script = "#!/usr/bin/env bash\nf() { :; }\nfunction g {\n:\n}\ncat <<'EOF'\nno() {\nEOF\n# h() {\n  i ( )\n{ :; }\n"
    descriptor = found("shell", script + 'x=$(date)\ncat <<<word\nj-k.l() (\n:)\necho "m() {"\n')
    assert (descriptor["shebang"], descriptor["interpreter"]) == ("/usr/bin/env bash", "bash")
    assert descriptor["functions"] == ["f", "g", "i", "j-k.l"]


def test_html_is_described_by_what_it_says_of_itself() -> None:
    page = (
        '<!doctype html><html lang="en"><head><title>A &amp; B\n</title><meta name="Description" content="Short.">'
        "<script>'<h1>no</h1>'</script></head><body><h1>One <b>bold</b></h1><h3>Three<h2>Two</h2>"
        '<a href="/x">x</a><a name="y">y</a><a href="/x">again</a>'
    )
    descriptor = found("html", page)
    assert (descriptor["title"], descriptor["lang"], descriptor["description"]) == ("A & B", "en", "Short.")
    assert [(heading["level"], heading["text"]) for heading in descriptor["headings"]] == [
        (1, "One bold"),
        (3, "Three"),
        (2, "Two"),
    ]
    assert descriptor["links"] == ["/x"]


def test_html_with_a_declaration_that_the_parser_gives_up_on_keeps_what_came_before() -> None:
    assert found("html", "<h1>One</h1>\n<![unheard-of[x]]>")["headings"] == [{"level": 1, "text": "One"}]


def test_html_that_closes_nothing_is_read_once() -> None:
    assert found("html", "<title>T</title>" + "<a b" * 100_000)["title"] == "T"


def test_csv_is_described_by_columns_and_rows_and_formulas_stay_text() -> None:
    descriptor = found("csv", 'name;=SUM(A1:A2);"a;b"\nx;1;2\n"two\nlines";3;4\n')
    assert (descriptor["delimiter"], descriptor["rows"], descriptor["columns_total"]) == (";", 2, 3)
    assert descriptor["columns"] == ["name", "=SUM(A1:A2)", "a;b"]
    assert found("csv", "1,2\n3,4\n") | {"header": False, "rows": 2, "columns": []} == found("csv", "1,2\n3,4\n")
    assert found("csv", "a\tb\n1\t2\n")["delimiter"] == "tab"
    assert found("csv", "a,b\n1,2\n3\n")["uneven_at_line"] == 3
    assert found("csv", "a,b\n" + "x" * 200_000)["error"]["message"]


def test_an_image_is_described_by_its_header() -> None:
    descriptor = found("image", png(640, 480))
    assert (descriptor["width"], descriptor["height"], descriptor["dpi"]) == (640, 480, [300, 300])
    assert found("image", png(640, 480)[:12])["error"]["message"]


def test_a_pdf_is_described_by_its_trailer() -> None:
    descriptor = found("pdf", pdf())
    assert (descriptor["pages"], descriptor["encrypted"], descriptor["author"]) == (3, False, "Ada")
    assert descriptor["title"] == "Plan\ufffd \ufffdB"
    assert found("pdf", pdf()[:200], truncated=True) | {"version": "1.3", "truncated": True} == found("pdf", pdf()[:200], True)


def test_an_encrypted_pdf_says_so() -> None:
    assert found("pdf", pdf("secret"))["encrypted"] is True


def test_a_damaged_pdf_is_a_fault_of_the_file_and_nothing_is_written_to_stderr() -> None:
    program = (
        "from autoops.describe.extract import describe\n"
        "assert describe(b'a', 'application/pdf', b'%PDF-1.4\\nxref\\ntrailer << /Root 9 0 R >>', False)['error']\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert run.stderr == b""


def test_text_is_measured() -> None:
    descriptor = found("text", "\n  First line\twith  words\nüber")
    assert (descriptor["lines"], descriptor["words"], descriptor["encoding"]) == (3, 5, "utf-8")
    assert descriptor["first_line"] == "  First line\twith  words".strip().replace("\t", " ").replace("  ", " ")
    assert found("text", "a b".encode("utf-16"))["words"] == 2
    assert found("text", b"caf\xe9\n")["encoding"] == "8-bit"
    assert found("text", "a" * 10 + "ü")["encoding"] == "utf-8"
    assert found("text", ("a" * 10 + "ü").encode()[:-1], truncated=True)["encoding"] == "utf-8"


def test_what_is_no_content_is_described_by_what_it_is() -> None:
    link = describe(b"a", "inode/symlink", b"../x\xff\n", False)
    assert (link["kind"], link["target"]) == ("link", "../x\\xff\\x0a")
    assert describe(b"a.py", "inode/x-empty", b"", False)["kind"] == "empty"
    assert describe(b"a", "inode/fifo", b"", False)["kind"] == "special"
    assert found("binary", b"\0\1") == {"kind": "binary", "type": "application/octet-stream", "extractor": "binary/1"}


def test_a_type_that_nobody_knows_is_text_or_binary() -> None:
    assert describe(b"a", "text/never-heard-of", b"a", False)["kind"] == "text"
    assert describe(b"a", "application/never-heard-of", b"a", False)["kind"] == "binary"


def test_a_large_file_has_a_small_descriptor_that_says_how_much_was_cut() -> None:
    source = "".join(f"def function_{'x' * 200}_{number}(): pass\n" for number in range(812))
    descriptor = found("python", source)
    assert descriptor["functions_total"] == 812 and 10 < len(descriptor["functions"]) < 200
    assert len(json.dumps(descriptor, ensure_ascii=False).encode()) <= MAX_DESCRIPTOR_BYTES


def test_a_long_string_is_cut_and_directions_and_controls_are_removed() -> None:
    descriptor = found("python", '"""' + "ü\u202e\x07" * 400 + '"""\n')
    assert len(descriptor["docstring"]) == 300 and descriptor["docstring"].startswith("ü\ufffd\ufffdü")


def test_every_extractor_has_a_version() -> None:
    assert versions() == {**dict.fromkeys(TYPES, 1), "node": 1}
    assert faults() == ()
