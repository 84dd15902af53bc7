"""A chain of methods, fitted on control rows and applied to all rows, group by group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from framework.errors import InputError, some_of
from framework.profiles.config import NormaliseConfig
from framework.profiles.methods import Controls, Method, State, build_method

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Names = npt.NDArray[np.object_]


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedStep:
    """What one method learned.

    Attributes:
        shared: for all groups.
        own: name of a group -> for itself.
    """

    shared: State
    own: Mapping[str, State]


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedChain:
    """A chain that was fitted; it can be kept in a file and applied to new plates.

    Attributes:
        config: methods and their options, groups and controls.
        features: names of the features it takes, in order.
        steps: one per method.
    """

    config: NormaliseConfig
    features: tuple[str, ...]
    steps: tuple[FittedStep, ...]

    @property
    def groups(self) -> tuple[str, ...]:
        """Groups that are known."""
        return tuple(self.steps[0].own)

    def told(self) -> list[str]:
        """Return what was chosen on the controls, one sentence per choice."""
        methods = [build_method(options) for options in self.config.steps]
        said = [method.told(step.shared) for method, step in zip(methods, self.steps, strict=True)]
        return [sentence for sentence in said if sentence]


def fit_chain(
    config: NormaliseConfig, features: tuple[str, ...], values: Floats, groups: Names, controls: Mask
) -> FittedChain:
    """Fit each method on the control rows as the ones before left them.

    Args:
        config: the methods.
        features: names, d.
        values: (n, d), finite.
        groups: (n,) name of the group of each row.
        controls: (n,) which rows are controls; no other row is read.

    Raises:
        InputError: a group without controls, or too few for a method.
    """
    names = sorted(set(groups.tolist()))
    without = [name for name in names if not (controls & (groups == name)).any()]
    if without:
        raise InputError(
            f"{len(without)} of {len(names)} groups ({' | '.join(config.by)}) have no control row ({config.to}): "
            f"{some_of(without, 5)}; name larger groups with --by, other controls with --to, or leave those rows out"
        )
    rows, place = values[controls], np.searchsorted(names, groups[controls].astype(str)).astype(np.int64)
    steps: list[FittedStep] = []
    for options in config.steps:
        method = build_method(options)
        shared = _named(options.name, lambda: method.learn(Controls(values=rows, groups=place)))  # noqa: B023
        own = {name: _own(method, options.name, rows[place == each], shared, name) for each, name in enumerate(names)}
        steps.append(FittedStep(shared=shared, own=own))
        if len(steps) == len(config.steps):
            break
        after = np.empty_like(rows)
        for each, name in enumerate(names):
            after[place == each] = method.apply(rows[place == each], shared, own[name])
        rows = after
    return FittedChain(config=config, features=features, steps=tuple(steps))


def with_groups(fit: FittedChain, values: Floats, groups: Names, controls: Mask) -> FittedChain:
    """Return a chain that also knows new groups, each by its own control rows (m, d); what groups share stays.

    Arguments as of ``fit_chain``; groups that the chain knows already keep what they have.

    Raises:
        InputError: a new group without controls, or too few for a method.
    """
    steps = [dict(step.own) for step in fit.steps]
    for name in sorted(set(groups.tolist()) - set(fit.groups)):
        rows = values[controls & (groups == name)]
        if not len(rows):
            raise InputError(
                f"group '{name}' was not part of the fit and has no control row ({fit.config.to}); a new "
                "group needs its own controls: name them with --to, or leave its rows out"
            )
        for options, step, own in zip(fit.config.steps, fit.steps, steps, strict=True):
            method = build_method(options)
            own[name] = _own(method, options.name, rows, step.shared, name)
            rows = method.apply(rows, step.shared, own[name])
    made = tuple(FittedStep(shared=step.shared, own=own) for step, own in zip(fit.steps, steps, strict=True))
    return FittedChain(config=fit.config, features=fit.features, steps=made)


def apply_chain(fit: FittedChain, values: Floats, groups: Names) -> Floats:
    """Return rows (n, d) of known groups, normalised."""
    result = values.copy()
    for name in sorted(set(groups.tolist())):
        mine = groups == name
        rows = values[mine]
        for options, step in zip(fit.config.steps, fit.steps, strict=True):
            rows = build_method(options).apply(rows, step.shared, step.own[name])
        result[mine] = rows
    return result


def _own(method: Method[Any], name: str, rows: Floats, shared: State, group: str) -> State:
    try:
        return method.learn_group(rows, shared)
    except InputError as error:
        raise InputError(f"{name}: group '{group}': {error}") from None


def _named(name: str, learn: Any) -> State:
    try:
        learned: State = learn()
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    return learned
