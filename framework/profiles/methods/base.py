"""What a normalisation method is: it learns from control rows alone, and is applied to every row of a group.

A method never sees a row that is not a control while it learns, so nothing of the wells that are scored later can leak
into it. What it learned is arrays, which a file can keep and another plate can use.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from framework.config import ShortOptions
from framework.errors import RegistryError
from framework.registry import Registry

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
State: TypeAlias = Mapping[str, Floats]
"""What a method learned, by name."""


class MethodOptions(ShortOptions):
    """Options of a method; text alone is written where there is nothing but a name."""


O = TypeVar("O", bound=MethodOptions)  # noqa: E741 (options)


@dataclass(frozen=True, kw_only=True, eq=False)
class Controls:
    """Control rows of all groups, as the steps before left them.

    Attributes:
        values: (n, d), finite.
        groups: (n,) group 0 .. G - 1 (a plate) of each row; every group has a row.
    """

    values: Floats
    groups: Ints

    @property
    def group_count(self) -> int:
        """G."""
        return int(self.groups.max()) + 1


class Method(ABC, Generic[O]):
    """Base class of a method; subclasses register themselves with ``@METHODS.register(name, Options)``.

    Attributes:
        shared: names of the arrays that ``learn`` returns.
        own: names of the arrays that ``learn_group`` returns.
    """

    shared: ClassVar[tuple[str, ...]]
    own: ClassVar[tuple[str, ...]]

    def __init__(self, options: O) -> None:
        self.options = options

    @abstractmethod
    def learn(self, controls: Controls) -> State:
        """Return what all groups have in common.

        Raises:
            InputError: too few control rows.
        """

    @abstractmethod
    def learn_group(self, values: Floats, shared: State) -> State:
        """Return what one group, or a new plate, has for itself.

        Args:
            values: (m, d) control rows of the group, m >= 1.
            shared: of ``learn``.

        Raises:
            InputError: too few control rows; the message does not name the group, the caller does.
        """

    @abstractmethod
    def apply(self, values: Floats, shared: State, own: State) -> Floats:
        """Return rows of a group normalised, (m, d)."""

    def told(self, shared: State) -> str:
        """Return what was chosen on the controls, as a sentence; empty where nothing was."""
        return ""


def need_method(name: str, kind: type[Method[Any]]) -> None:
    """Check that a class has all that a method must have.

    Raises:
        RegistryError: it is not a method, or lacks a class variable or a method.
    """
    where = f"normalisation '{name}': class {getattr(kind, '__name__', kind)}"
    if not (isinstance(kind, type) and issubclass(kind, Method)):
        raise RegistryError(f"{where} is not a method; write: class {getattr(kind, '__name__', 'Mine')}(Method)")
    missing = [each for each in ("shared", "own") if not hasattr(kind, each)] + sorted(kind.__abstractmethods__)
    if missing:
        raise RegistryError(f"{where} does not define {', '.join(missing)}; see Method")


METHODS: Registry[type[Method[Any]]] = Registry("normalisation", options=MethodOptions, check=need_method)


def build_method(options: MethodOptions) -> Method[Any]:
    """Return the method that options belong to."""
    built: Method[Any] = METHODS.get(options.name).build(options)
    return built
