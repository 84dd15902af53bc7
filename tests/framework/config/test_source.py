from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from framework.config.source import parse_scalar, parse_yaml, read_yaml
from framework.errors import ConfigError


def test_lines_of_nested_keys_and_list_items() -> None:
    source = parse_yaml("a: 1\nb:\n  c: 2\n  d:\n    - x\n    - y: 3\n", "f.yaml")
    assert source.where(("b", "c")) == "f.yaml:3"
    assert source.where(("b", "d", 1, "y")) == "f.yaml:6"
    assert source.where(("b", "unknown")) == "f.yaml:2"
    assert source.where(("nowhere",)) == "f.yaml:1"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1.0e-4", 1e-4),
        ("3", 3),
        (".5", 0.5),
        ("-2.", -2.0),
        ("true", True),
        ("NO", "NO"),
        ("on", "on"),
        ("2026-01-02", "2026-01-02"),
        ("[1, a]", [1, "a"]),
        ("", None),
        ("r01c01", "r01c01"),
        ("1e", "1e"),
        ("1:30", "1:30"),
        ("1:30.5", "1:30.5"),
        ("0777", "0777"),
        ("0042", "0042"),
        ("0x1f", "0x1f"),
        ("0b1", "0b1"),
        ("1_000", "1_000"),
        ("007.5", "007.5"),
        ("0", 0),
        ("-12", -12),
        ("+3", 3),
        ("0.5", 0.5),
        ("yes", "yes"),
        ("Off", "Off"),
        ("=", "="),
        ("~", None),
    ],
)
def test_scalars_mean_what_a_config_means(text: str, value: object) -> None:
    assert parse_scalar(text, "x") == value
    assert type(parse_scalar(text, "x")) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3: a: key written twice, first on line 1"),
        ("a: [1, 2\n", "f.yaml:2: not valid YAML: "),
        ("a: 1\n\tb: 2\n", "f.yaml:2: not valid YAML: tabs are not allowed"),
        ("", "f.yaml:1: the file is empty; expected a mapping of config sections"),
        (
            "a: !!python/object/apply:os.system [ls]\n",
            "f.yaml:1: the tag '!!python/object/apply:os.system' is not read",
        ),
        ("a: 1\nb: !!float 1\n", "f.yaml:2: the tag '!!float' is not read"),
        ("a: 1\nb: !x 1\n", "f.yaml:2: the tag '!x' is not read"),
        ("a: &x [1, *x]\n", "f.yaml:1: the alias '*x' contains itself"),
        ("a: &x {b: {c: *x}}\n", "f.yaml:1: the alias '*x' contains itself"),
        ("a: *x\n", "f.yaml:1: not valid YAML: found undefined alias"),
        ("b: 1\na: " + "[" * 200 + "]" * 200, "f.yaml:2: nested more than 50 levels deep"),
        ("a:\n" + "- " * 100_000, "f.yaml:2: nested more than 50 levels deep"),
        ("a: [" + "0," * 200_000 + "]", "f.yaml:1: more than 100000 values"),
        ("a: " + "x" * 2_000_000, "f.yaml:1: 2000003 letters; expected a config of at most 1048576"),
        ("a: 1\nb: x\0y\n", "f.yaml:2: not valid YAML: a letter that is not allowed (U+0000)"),
        ('a: 1\nb: "x\\0y"\n', "f.yaml:2: a text with a NUL"),
        ("a: 1\n[b]: 2\n", "f.yaml:2: expected text as a key, found a list or mapping"),
        ("a: " + "9" * 5000, "f.yaml:1: not valid YAML: Exceeds the limit"),
        ("a: 1\n'a': 2\n", "f.yaml:2: a: key written twice, first on line 1"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2: not valid YAML: but found another document"),
    ],
)
def test_bad_yaml_names_file_and_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, "f.yaml")
    assert str(caught.value).startswith(message)


def test_missing_file_suggests_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "pretrain.yaml").write_text("a: 1\n")
    with pytest.raises(ConfigError, match=r"no such config file; did you mean 'pretrain.yaml'\?"):
        read_yaml(tmp_path / "pretrian.yaml")


def test_binary_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ConfigError, match="cannot be read as a config file"):
        read_yaml(tmp_path / "x.yaml")


def test_keys_are_text_as_written() -> None:
    assert parse_yaml("{1: a, 01: b, 1.0: c, 1.00: d, true: e, null: f}", "x").data == dict(
        zip(("1", "01", "1.0", "1.00", "true", "null"), "abcdef", strict=True)
    )


def test_aliases_and_merges_read_and_those_that_multiply_are_refused_at_once() -> None:
    assert parse_yaml("a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}\n", "f").data["d"] == {"b": 1, "e": 2}
    laughs = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
    begun = time.monotonic()
    with pytest.raises(ConfigError, match="f:6: more than 100000 values, aliases included"):
        parse_yaml(laughs, "f")
    assert time.monotonic() - begun < 1


def test_only_a_regular_file_is_a_config(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(ConfigError, match="a pipe, socket or device"):
        read_yaml(tmp_path / "pipe.yaml")
    with pytest.raises(ConfigError, match="a folder; expected a config file"):
        read_yaml(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb:\n\tc: 2\n", "f.yaml:3: not valid YAML: tabs are not allowed before a key or value; use spaces"),
        ("a:\n  - x\n \t- y\n", "f.yaml:3: not valid YAML: tabs are not allowed before a key or value; use spaces"),
        ("a: @x\n", "f.yaml:1: not valid YAML: a value cannot begin with @; write it in quotes"),
        ("a: 1\nb: `x`\n", "f.yaml:2: not valid YAML: a value cannot begin with `; write it in quotes"),
    ],
)
def test_what_can_begin_no_value_is_named(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, "f.yaml")
    assert str(caught.value) == message
