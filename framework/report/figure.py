"""Figures that stand alone: entries of ``FIGURES``, each with what it shows, the inputs it takes, and its numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, TypeVar

from framework.config import StrictModel
from framework.errors import InputError, RegistryError
from framework.registry import Registry
from framework.report.drawn import Drawn
from framework.report.figure_inputs import INPUTS, FigureInputs


class FigureConfig(StrictModel):
    """Options of a figure: none, unless its own class has some."""


O = TypeVar("O", bound=FigureConfig)  # noqa: E741 (options)


class FigureKind(ABC, Generic[O]):
    """Base class of a figure; subclasses register themselves with ``@FIGURES.register(name, Config)``.

    Attributes:
        shows: what it shows, in a line.
        paper: its number in the paper it is known from; may be empty.
        takes: the inputs that it needs, names of ``INPUTS``.
        also: further inputs that it uses where they are given.
        order: its place among figures that are made together.
    """

    shows: ClassVar[str]
    paper: ClassVar[str] = ""
    takes: ClassVar[tuple[str, ...]]
    also: ClassVar[tuple[str, ...]] = ()
    order: ClassVar[int] = 1000

    def __init__(self, options: O) -> None:
        self.options = options

    @abstractmethod
    def draw(self, inputs: FigureInputs) -> Drawn:
        """Draw it, inside ``framework.report.canvas.styled``.

        Raises:
            WellstreamError: an input cannot be read, or holds nothing to draw.
        """


def need_figure(name: str, kind: type[FigureKind[Any]]) -> None:
    """Check that a class has all that a figure must have.

    Raises:
        RegistryError: it is not a figure, or lacks a class variable, a method, or names an input that there is not.
    """
    where = f"figure '{name}': class {getattr(kind, '__name__', kind)}"
    if not (isinstance(kind, type) and issubclass(kind, FigureKind)):
        raise RegistryError(f"{where} is not a figure; write: class {getattr(kind, '__name__', 'Mine')}(FigureKind)")
    missing = [each for each in ("shows", "takes") if not hasattr(kind, each)] + sorted(kind.__abstractmethods__)
    if missing:
        raise RegistryError(f"{where} does not define {', '.join(missing)}; see FigureKind")
    unknown = [each for each in (*kind.takes, *kind.also) if each not in INPUTS]
    if unknown:
        raise RegistryError(f"{where} takes '{unknown[0]}'; expected some of: {', '.join(INPUTS)}")


FIGURES: Registry[type[FigureKind[Any]]] = Registry("figure", options=FigureConfig, check=need_figure)


def lacking(kind: type[FigureKind[Any]], inputs: FigureInputs) -> list[str]:
    """Return the inputs that a figure needs and that were not given."""
    return [each for each in kind.takes if not inputs.has(each)]


def need_inputs(name: str, kind: type[FigureKind[Any]], inputs: FigureInputs) -> None:
    """Check that what a figure needs was given.

    Raises:
        InputError: it was not; says which option gives it, and what makes the file.
    """
    missing = lacking(kind, inputs)
    if missing:
        told = "; ".join(f"{INPUTS[each].option} ({INPUTS[each].what})" for each in missing)
        raise InputError(f"figure '{name}' also needs {told}")
