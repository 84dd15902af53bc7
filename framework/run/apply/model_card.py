"""The model card of an exported network: what it is, what it was trained on, how to use it. In Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_UNSAID = "not stated"
_PROGRAM = """\
```python
import torch

model = torch.export.load("model.pt2").module()
pixels = torch.zeros(8, {channels}, {height}, {width})  # as they are stored, in the channels above, float32
vectors = model(pixels)  # (8, {embedding})
```
"""


def model_card(facts: Mapping[str, Any], *, has_program: bool) -> str:
    """Return the card.

    Args:
        facts: ``model.json``.
        has_program: whether ``model.pt2`` is there.
    """
    shown, training = facts["input"], facts["training"]
    size = f"{shown['height']} x {shown['width']} px of {shown['dtype']}"
    pixel = f", pixels of {shown['pixel_size_um']:g} um" if shown["pixel_size_um"] else ""
    began = training["began_with"]
    origin = f"weights of {began['file']} ({began['layout']}, SHA-256 {began['sha256']})" if began else "its own seed"
    lines = [
        *_front_matter(facts),
        f"# {facts['network']['name']} trained by {training['objective']['name']}",
        "",
        "A network that turns images of single cells into vectors.",
        "",
        "| | |",
        "|---|---|",
        f"| network | {_options(facts['network'])} |",
        f"| channels, in order | {_value(shown['channels'])} |",
        f"| tiles | {size}{pixel} |",
        f"| scaling | {_options(facts['scale'])} |",
        f"| vector | {facts['embedding']['width']} numbers: {facts['embedding']['what']} |",
        f"| trained on | dataset '{_value(training['dataset'])}' (digest {training['dataset_digest']}) |",
        f"| trained by | {_options(training['objective'])} |",
        f"| steps | {training['step']} |",
        f"| began with | {_value(origin)} |",
        f"| licence | {_value(facts['licence'] or _UNSAID)} |",
        "",
        "## Use",
        "",
    ]
    if has_program:
        lines.append(
            _PROGRAM.format(
                channels=len(shown["channels"]),
                height=shown["height"],
                width=shown["width"],
                embedding=facts["embedding"]["width"],
            )
        )
    lines += [
        "To begin another run of wellstream with these weights, write in its config, FOLDER being this folder:",
        "",
        "```yaml",
        f"backbone: {{{_yaml(facts['network'])}, weights: FOLDER}}",
        "```",
        "",
        "Channels are found by their names. The vectors mean something for images that were made as the training data",
        "were: the same channels, a like pixel size, tiles cut and scaled the same way.",
        "",
    ]
    return "\n".join(lines)


def _front_matter(facts: Mapping[str, Any]) -> list[str]:
    licence = [f"license: {json.dumps(facts['licence'])}"] if facts["licence"] else []
    return ["---", *licence, "tags: [microscopy, single-cell, embeddings]", "---", ""]


def _options(plain: Mapping[str, Any]) -> str:
    """Return options in a cell of a table."""
    return "; ".join(f"{key}: {_value(value)}" for key, value in plain.items() if value not in ([], None))


def _value(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return " ".join(text.replace("|", "\\|").split())


def _yaml(plain: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}: {json.dumps(value)}" for key, value in plain.items())
