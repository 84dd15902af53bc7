"""Strict configuration: YAML in, frozen pydantic objects out, and errors that name file, line and key."""

from framework.config.load import config_digest, load_config, parse_config, to_yaml
from framework.config.model import (
    NamedOptions,
    ShortOptions,
    StrictModel,
    UniqueNames,
    WithPlugins,
    choice,
    choices,
    contradiction,
)
from framework.config.yaml_text import block_text, flow_text

__all__ = [
    "NamedOptions",
    "ShortOptions",
    "StrictModel",
    "UniqueNames",
    "WithPlugins",
    "block_text",
    "choice",
    "choices",
    "config_digest",
    "contradiction",
    "flow_text",
    "load_config",
    "parse_config",
    "to_yaml",
]
