from __future__ import annotations

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
    ],
)
def test_scalars_mean_what_a_config_means(text: str, value: object) -> None:
    assert parse_scalar(text, "x") == value
    assert type(parse_scalar(text, "x")) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3: a: key written twice, first on line 1"),
        ("a: [1, 2\n", "f.yaml:2: not valid YAML: expected ',' or ']', but got '<stream end>'"),
        ("a: 1\n\tb: 2\n", "f.yaml:2: not valid YAML: found character '\\t' that cannot start any token"),
        ("", "f.yaml:1: the file is empty; expected a mapping of config sections"),
        ("a: !!python/object/apply:os.system [ls]\n", "f.yaml:1: not valid YAML: could not determine a constructor"),
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
