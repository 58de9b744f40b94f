"""The configuration file: every fault at once, with its line; every key documented; what is shown loads again."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoops import names
from autoops.config import (
    CheckpointConfig,
    ClassConfig,
    Config,
    HealthConfig,
    ReplicaConfig,
    RootConfig,
    WatchConfig,
    as_toml,
    load,
)
from autoops.config.check import find_lines, key_of, parse
from autoops.config.health import pairs
from autoops.core.redact import redact
from autoops.errors import ConfigError
from autoops.model import ClassRule

ETC = Path(__file__).parents[2] / "etc" / "autoops.toml"


def faults(tmp_path: Path, text: str | bytes, roots: tuple[Path, ...] = ()) -> list[str]:
    """Return the faults of a file with this content, without the file's name."""
    path = tmp_path / "bad.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        load(path, roots)
    lines = str(caught.value.facts["faults"]).split("\n")
    assert caught.value.facts["count"] == len(lines)
    assert caught.value.exit_code == 2
    return [line.removeprefix(f"{path}:") for line in lines]


def good(tmp_path: Path, text: str, roots: tuple[Path, ...] = ()) -> Config:
    path = tmp_path / "good.toml"
    path.write_text(text)
    return load(path, roots)


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    assert good(tmp_path, "") == Config()


def test_every_fault_is_reported_at_once_each_with_its_line(tmp_path: Path) -> None:
    said = faults(
        tmp_path,
        """# a comment
[watch]
settle_s = "five"
ignroe = ["a"]

[worker]
pool_size = -2
commit_files = true

[[root]]
path = "srv"
policy = "renmae"

[[class]]
rule = "r"
content = "("

[wacth]
""",
    )
    assert said == [
        "3: watch.settle_s: must be a number, got text 'five'",
        "4: watch.ignroe: unknown key; did you mean 'ignore'?",
        "7: worker.pool_size: must be between 0 and 256, got -2",
        "8: worker.commit_files: must be a whole number, got the truth value True",
        "11: root.path: must be an absolute path, got 'srv'",
        "12: root.policy: must be one of observe, register, rename; got 'renmae'; did you mean 'rename'?",
        "14: class.class: is missing; this table cannot do without it",
        "16: class.content: not a regular expression: missing ), unterminated subpattern at position 0; got '('",
        "18: wacth: unknown key; did you mean 'watch'?",
    ]


def test_a_key_in_the_wrong_table_is_told_where_it_belongs(tmp_path: Path) -> None:
    assert faults(tmp_path, "[queue]\n\nmissing_grace_s = 3") == [
        "3: queue.missing_grace_s: unknown key; did you mean 'worker.missing_grace_s'?"
    ]


def test_a_syntax_error_has_its_line(tmp_path: Path) -> None:
    assert faults(tmp_path, "[watch]\nsettle_s = \n") == ["2: not TOML: Invalid value"]
    assert faults(tmp_path, '[watch]\nignore = ["a",\n')[0].startswith("3: not TOML: ")


def test_a_file_that_is_not_utf_8_says_in_which_line(tmp_path: Path) -> None:
    assert faults(tmp_path, b"[watch]\n# caf\xe9\n") == ["2: not UTF-8"]


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "true", '"1"', "[1]", "{}", "1979-05-27"])
def test_a_duration_that_is_none_is_refused(tmp_path: Path, value: str) -> None:
    (said,) = faults(tmp_path, f"[watch]\nsettle_s = {value}\n")
    assert said.startswith("2: watch.settle_s: must be ")


@pytest.mark.parametrize("value", ['"*.o"', "[1]", '[""]', '["[a"]', '["a\\nb"]', "{}"])
def test_a_pattern_list_that_is_none_is_refused(tmp_path: Path, value: str) -> None:
    (said,) = faults(tmp_path, f"[watch]\nignore = {value}\n")
    assert said.startswith("2: watch.ignore: ")


@pytest.mark.parametrize(
    "value", ["1-5", "01:00", "24:00-05:00", "01:60-02:00", "01:00-05:00 ", "01:00-05:00,06:00-07:00", "05:00-05:00"]
)
def test_a_window_is_two_different_times_of_day(tmp_path: Path, value: str) -> None:
    (said,) = faults(tmp_path, f'[scrub]\nwindow = "{value}"\n')
    assert said.startswith("2: scrub.window: ")
    assert good(tmp_path, '[scrub]\nwindow = "22:30-04:00"\n').scrub.hours == (1350, 240)


@pytest.mark.parametrize("pattern", ["[a-z]*.o", r"\[x", "[]x]", "[!]]", "!keep", "a/**/b"])
def test_a_good_pattern_is_taken(tmp_path: Path, pattern: str) -> None:
    assert good(tmp_path, f"[watch]\nignore = ['{pattern}']\n").watch.ignore == (pattern,)


@pytest.mark.parametrize("text", ["root = 5", 'root = "/srv"', "[root]\npath = '/srv'", "watch = 1", "[[watch]]", "root = [1]"])
def test_a_table_of_the_wrong_form_is_refused(tmp_path: Path, text: str) -> None:
    (said,) = faults(tmp_path, text)
    assert said.startswith("1: ")
    assert ": must be " in said


def test_a_root_named_twice_is_refused_however_it_is_written(tmp_path: Path) -> None:
    said = faults(tmp_path, '[[root]]\npath = "/srv/a"\n[[root]]\npath = "/srv/./a/"\n[[root]]\npath = "/b"\nname = "/srv/a"\n')
    assert said == ["4: root.path: /srv/a is a root already, in line 2", "6: root.name: /srv/a is a root already, in line 2"]


def test_a_rule_named_twice_is_refused(tmp_path: Path) -> None:
    table = '[[class]]\nrule = "r"\nclass = "c"\n'
    assert faults(tmp_path, table + table) == ["5: class.rule: 'r' is a rule already, in line 2"]


def test_a_replica_or_checkpoint_named_twice_is_refused(tmp_path: Path) -> None:
    replica = '[[replica]]\nname = "r"\nwhere = "/r"\n'
    checkpoint = '[[checkpoint]]\nname = "c"\nfile = "/f"\nexport = "/e"\n'
    assert faults(tmp_path, replica * 2 + checkpoint * 2) == [
        "5: replica.name: 'r' is a replica already, in line 2",
        "12: checkpoint.name: 'c' is a checkpoint already, in line 8",
    ]


@pytest.mark.parametrize(
    ("given", "said"), [("", "there is none"), ('url = "http://h"\nexport = "/e"', "there are export and url")]
)
def test_a_checkpoint_needs_exactly_one_provider(tmp_path: Path, given: str, said: str) -> None:
    (fault,) = faults(tmp_path, f'[[checkpoint]]\nname = "c"\nfile = "/f"\n{given}\n')
    assert fault == f"1: checkpoint: needs one of command, export and url; {said}"


@pytest.mark.parametrize("line", ['where = "x"', 'where = "-oProxyCommand=x"', 'where = ""'])
def test_a_replica_is_an_absolute_path_or_an_address(tmp_path: Path, line: str) -> None:
    (fault,) = faults(tmp_path, f'[[replica]]\nname = "r"\n{line}\n')
    assert fault.startswith("3: replica.where: must be an absolute path")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://h/x", "http://", "http://u:p@h/", "h/x"])
def test_what_is_fetched_is_an_address_of_the_web_without_a_password(tmp_path: Path, url: str) -> None:
    *_, fault = faults(tmp_path, f'[[checkpoint]]\nname = "c"\nfile = "/f"\nurl = "{url}"\n')
    assert fault.startswith("4: checkpoint.url: must be")


def test_a_backoff_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    said = faults(tmp_path, "[queue]\nbackoff_first_s = 10\nbackoff_max_s = 5\n")
    assert said == ["3: queue.backoff_max_s: must not be below backoff_first_s, which is 10.0"]


def test_a_hostile_value_cannot_forge_a_line(tmp_path: Path) -> None:
    (said,) = faults(tmp_path, '[watch]\n"a\\nb\\u001b[2J" = 1\n')
    assert said.isprintable()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: cannot be read: No such file"):
        load(tmp_path / "nowhere.toml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path)


def test_roots_on_the_command_line_replace_those_of_the_file_but_keep_what_it_says_about_them(tmp_path: Path) -> None:
    text = '[[root]]\npath = "/srv/a"\npolicy = "observe"\n[[root]]\npath = "/srv/b"\n'
    config = good(tmp_path, text, (Path("/srv/a/"), Path("/c")))
    assert [(root.path, root.policy) for root in config.roots] == [(b"/srv/a", "observe"), (b"/c", "register")]


def test_a_root_given_twice_on_the_command_line_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--root /x: given twice"):
        load(None, (Path("/x"), Path("/x/.")))


def test_a_root_is_named_after_its_path_unless_it_has_a_name(tmp_path: Path) -> None:
    config = good(tmp_path, "[[root]]\npath = '/srv/caf\\xe9'\n[[root]]\npath = '/b'\nname = 'docs'\n")
    assert [(root.path, root.name) for root in config.roots] == [(b"/srv/caf\xe9", "/srv/caf\\xe9"), (b"/b", "docs")]


def test_a_class_table_becomes_a_rule(tmp_path: Path) -> None:
    text = '[[class]]\nrule = "r"\nclass = "c"\nglob = ["*.py"]\ndescriptor = { kind = "python", "front_matter.type" = "p*" }\n'
    assert good(tmp_path, text).class_rules == (
        ClassRule("r", "c", glob=("*.py",), descriptor=(("kind", "python"), ("front_matter.type", "p*"))),
    )


def test_lines_are_found_behind_texts_of_many_lines() -> None:
    text = '[a]\nx = """\n[b]\ny = 1\n"""\nlist = [\n  "z = 1",\n]\nz.w = 1\n[[c]]\n[[c]]\n"k" = 2 # [d]\n'
    assert find_lines(text) == {
        ("a",): 1, ("a", "x"): 2, ("a", "list"): 6, ("a", "z", "w"): 9, ("c", 0): 10, ("c", 1): 11, ("c", 1, "k"): 12,
    }  # fmt: skip


def keys_of(form: type) -> set[str]:
    return {key_of(field) for field in dataclasses.fields(form)}


def test_etc_documents_every_key_and_no_other_and_says_the_true_defaults() -> None:
    text = ETC.read_text()
    assert not [line for line in text.splitlines() if line and not line.startswith("#")], "a default is a comment"
    active = re.sub(r"(?m)^#(?=\S)", "", text)
    data = tomllib.loads(active)
    config, said = parse(active.encode(), Config)
    assert said == []
    assert set(data) == keys_of(Config)
    defaults = Config()
    for field in dataclasses.fields(Config):
        if not isinstance(getattr(defaults, field.name), tuple):
            assert set(data[field.name]) == keys_of(type(getattr(defaults, field.name)))
            assert getattr(config, field.name) == getattr(defaults, field.name), field.name
    assert set(data["root"][0]) == keys_of(RootConfig)
    assert config.roots == (RootConfig(b"/srv/documents", name="documents"),)
    assert set(data["class"][0]) == keys_of(ClassConfig)
    assert config.classes[0].confidence == ClassConfig().confidence
    assert set(data["replica"][0]) == keys_of(ReplicaConfig)
    assert config.replicas == (ReplicaConfig("backup", "/srv/backup/registry.db"),)
    assert set(data["checkpoint"][0]) == keys_of(CheckpointConfig)
    defaults_of_one = CheckpointConfig()
    for key in ("digest_key", "timeout_s", "interval_s", "stale_after_s"):
        assert getattr(config.checkpoints[0], key) == getattr(defaults_of_one, key)


def test_each_key_of_etc_has_its_reason_above_it() -> None:
    for number, line in enumerate(lines := ETC.read_text().splitlines()):
        if re.match(r"#\w+ = ", line):
            assert lines[number - 1].startswith("# "), line


printable = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1)
roots_of = st.builds(RootConfig, path=st.deferred(lambda: paths), name=printable | st.just(""), policy=st.just("observe"))
classes_of = st.builds(ClassConfig, rule=printable, class_name=printable, confidence=st.integers(0, 100))
paths = st.binary(max_size=30).map(lambda raw: b"/" + raw.replace(b"\0", b"").replace(b"/", b"").lstrip(b"."))


@settings(deadline=None)
@given(
    st.lists(roots_of, max_size=3, unique_by=lambda root: root.path),
    st.floats(0, 3600),
    st.lists(classes_of, max_size=3, unique_by=lambda table: table.rule),
)
def test_what_is_shown_loads_as_the_same(roots: list[RootConfig], settle_s: float, classes: list[ClassConfig]) -> None:
    checkpoint = CheckpointConfig("c", b"/f", url="https://h/x")
    config = Config(roots=tuple(roots), watch=WatchConfig(settle_s=settle_s), classes=tuple(classes), checkpoints=(checkpoint,))
    shown = as_toml(config)
    assert names.show(shown.replace("\n", "")) == shown.replace("\n", "")
    assert parse(shown.encode(), Config) == (config, [])


# health


def test_limits_that_contradict_each_other_are_refused_with_their_line(tmp_path: Path) -> None:
    text = "[health]\ndisk_warning = 90\ndisk_critical = 85\nqueue_age_warning_s = 4000\ncertificate_critical_days = 30\n"
    ending = ": it would be critical before it is a warning"
    assert faults(tmp_path, text) == [
        f"3: health.disk_critical: is 85.0, and disk_warning is 90.0{ending}",
        f"4: health.queue_age_critical_s: is 3600.0, and queue_age_warning_s is 4000.0{ending}",
        f"5: health.certificate_critical_days: is 30, and certificate_warning_days is 21{ending}",
    ]
    assert good(tmp_path, "[health]\ndisk_warning = 85\ndisk_critical = 85\n").health.disk_warning == 85


def test_each_limit_has_its_other_half() -> None:
    names_of_keys = {field.name for field in dataclasses.fields(HealthConfig)}
    found = list(pairs())
    assert {pair.warning for pair in found} | {pair.critical for pair in found} <= names_of_keys and len(found) > 10
    assert {name for name in names_of_keys if "warning" in name or "critical" in name} == {
        name for pair in found for name in (pair.warning, pair.critical)
    }


@pytest.mark.parametrize("limit", ["disk_warning = 102", "load_critical = -1", "queue_depth_warning = 1.5", "memory_warning = nan"])
def test_a_limit_that_makes_no_sense_is_refused(tmp_path: Path, limit: str) -> None:
    (said,) = faults(tmp_path, f"[health]\n{limit}\n")
    assert said.startswith(f"2: health.{limit.partition(' ')[0]}: ")


def test_an_address_that_is_none_is_refused_without_repeating_it(tmp_path: Path) -> None:
    (said,) = faults(tmp_path, '[health]\nheartbeat_url = "htps://hc.example.org/secret"\n')
    assert said.startswith("2: health.heartbeat_url: must be ") and "secret" not in said
    assert "secret" not in redact(as_toml(good(tmp_path, '[health]\nheartbeat_url = "https://hc.example.org/secret"\n')))


def test_a_textfile_is_one_that_node_exporter_reads(tmp_path: Path) -> None:
    for value in ("autoops.prom", "/var/lib/x/autoops.txt"):
        assert faults(tmp_path, f'[health]\ntextfile = "{value}"\n')[0].startswith("2: health.textfile: ")


def test_a_canary_that_could_never_be_seen_is_refused(tmp_path: Path) -> None:
    root = '[[root]]\npath = "/srv/a"\ncanary = true\n'
    assert good(tmp_path, root).roots[0].canary
    assert faults(tmp_path, f'{root}policy = "observe"\n') == [
        '3: root.canary: policy "observe" registers nothing, so a canary would never be seen'
    ]
    assert good(tmp_path, f'{root}policy = "rename"\n').roots[0].canary
    (said,) = faults(tmp_path, f'{root}policy = "rename"\nrename_skip = []\n')
    assert said.startswith('3: root.canary: policy "rename" would rename it')
