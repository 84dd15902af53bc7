"""A fitted chain as plain data in ``uns``: YAML text, names and arrays of numbers. Nothing in it is code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from framework.config import parse_config, to_yaml
from framework.errors import InputError
from framework.profiles.chain import FittedChain, FittedStep
from framework.profiles.config import NormaliseConfig
from framework.profiles.methods import State, build_method

KEY = "normalisation"
FORMAT = 1


def to_plain(fit: FittedChain) -> dict[str, Any]:
    """Return a chain as nested mappings of text and arrays; ``from_plain`` of them gives an equal one."""
    return {
        "format": FORMAT,
        "config": to_yaml(fit.config),
        "features": np.array(fit.features, dtype=object),
        "groups": np.array(fit.groups, dtype=object),
        "steps": {
            str(place): {
                "shared": dict(step.shared),
                # Names of groups may hold what HDF5 reads as a path.
                "own": {str(each): dict(step.own[name]) for each, name in enumerate(fit.groups)},
            }
            for place, step in enumerate(fit.steps)
        },
    }


def from_plain(uns: Mapping[str, Any], name: str) -> FittedChain:
    """Return the chain that a file keeps.

    Args:
        uns: uns of the file.
        name: name of the file, for messages.

    Raises:
        InputError: it keeps none, or one that is damaged or of another version.
    """
    told = uns.get("wellstream")
    kept = told.get(KEY) if isinstance(told, Mapping) else None
    if not isinstance(kept, Mapping):
        raise InputError(
            f"{name}: keeps no fit of a normalisation; make one with: wellstream normalise FILE --out {name}"
        )
    if int(np.asarray(kept.get("format", 0)).item()) != FORMAT:
        raise InputError(
            f"{name}: its normalisation is of format {kept.get('format')}, expected {FORMAT}; fit it again"
        )
    try:
        config = parse_config(str(kept["config"]), NormaliseConfig, f"{name}: uns/wellstream/{KEY}/config")
        features, groups = (
            tuple(str(each) for each in np.asarray(kept[key]).ravel()) for key in ("features", "groups")
        )
        steps = tuple(
            _step(kept["steps"][str(place)], options, groups, len(features))
            for place, options in enumerate(config.steps)
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{name}: the normalisation it keeps is damaged ({error}); fit it again") from None
    return FittedChain(config=config, features=features, steps=steps)


def _step(kept: Mapping[str, Any], options: Any, groups: tuple[str, ...], d: int) -> FittedStep:
    method = build_method(options)
    shared = _arrays(kept["shared"], method.shared, d)
    # A method without anything of a group leaves an empty mapping, which a file may not keep.
    own = kept.get("own", {})
    return FittedStep(
        shared=shared,
        own={name: _arrays(own[str(each)] if method.own else {}, method.own, d) for each, name in enumerate(groups)},
    )


def _arrays(kept: Mapping[str, Any], names: tuple[str, ...], d: int) -> State:
    arrays = {}
    for name in names:
        values = np.asarray(kept[name])
        if values.dtype.kind not in "fiu" or not np.isfinite(values).all():
            raise ValueError(f"'{name}' holds values that are not finite numbers")
        arrays[name] = values.astype(np.float64)
    return arrays
