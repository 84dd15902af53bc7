"""Which of several planes and timepoints are read: never the first in silence, and never one that is not there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from data_tools.readers.plates.base import ImageRef, Projection
from data_tools.readers.problem import Problem
from framework.errors import InputError

_OR_ALL = ", or take 'plane: max' or 'plane: mean' of all"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The images of one timepoint, of one plane or projected over all.

    Attributes:
        refs: the images, in their order.
        problems: a place in the plate that has images, but none of this plane and timepoint.
        notes: what was chosen of what there is.
    """

    refs: list[ImageRef]
    problems: list[Problem]
    notes: tuple[str, ...]


def choose(refs: Sequence[ImageRef], *, plane: int | Projection | None, timepoint: int | None, plate: str) -> Choice:
    """Keep the images of one timepoint, of one plane or projected over all planes.

    Args:
        refs: all images of a plate.
        plane: the config's choice, or None for the only one there is.
        timepoint: the config's choice, or None for the only one there is.
        plate: for messages.

    Raises:
        InputError: the wanted one does not exist, or there are several and none was chosen.
    """
    kept, notes, words = list(refs), [], []
    for word, wanted in (("plane", plane), ("timepoint", timepoint)):
        if not kept:
            break
        if isinstance(wanted, str):
            continue
        values = Counter(getattr(ref, word) for ref in kept)
        value = one_of(values, wanted, word, plate)
        if len(values) > 1:
            notes.append(f"plate {plate}: {word} {value} of {_listed(values)} is read, as '{word}: {value}' says")
            words.append(f"{word} {value}")
        kept = [ref for ref in kept if getattr(ref, word) == value]
    there = {(ref.well, ref.site, ref.channel) for ref in kept}
    lost = {(ref.well, ref.site, ref.channel): ref for ref in refs if (ref.well, ref.site, ref.channel) not in there}
    problems = [_not_chosen(ref, " and ".join(words)) for ref in lost.values()]
    choice = Choice(refs=kept, problems=problems, notes=tuple(notes))
    return _projected(choice, plane, plate) if isinstance(plane, str) else choice


def _projected(choice: Choice, how: Projection, plate: str) -> Choice:
    """Make one image of the planes of each site and channel; one with fewer planes than others is a problem."""
    planes = {ref.plane for ref in choice.refs}
    stacks: dict[tuple[str, int, str], list[ImageRef]] = {}
    for ref in sorted(choice.refs, key=lambda ref: (ref.plane, str(ref.file))):
        stacks.setdefault((ref.well, ref.site, ref.channel), []).append(ref)
    refs, problems = [], list(choice.problems)
    for stack in stacks.values():
        found = Counter(ref.plane for ref in stack)
        if set(found) != planes or max(found.values()) > 1:
            problems.append(_uneven_stack(stack, planes))
        else:
            refs.append(replace(stack[0], projection=how).with_files([ref.file for ref in stack]))
    note = f"plate {plate}: each image is the {how} over planes {_listed(planes)}, as 'plane: {how}' says"
    return Choice(refs=refs, problems=problems, notes=(*choice.notes, note))


def _uneven_stack(stack: Sequence[ImageRef], planes: Iterable[int]) -> Problem:
    ref = stack[0]
    return ref.problem(
        "missing_plane",
        f"plate {ref.plate} well {ref.well} site {ref.site} channel '{ref.channel}' has images of planes "
        f"{', '.join(str(one.plane) for one in stack)}, expected one of each of {_listed(planes)}; the first is "
        f"{ref.file}; export it again, or set 'on_error: skip'",
    )


def _not_chosen(ref: ImageRef, what: str) -> Problem:
    return ref.problem(
        "missing_plane",
        f"plate {ref.plate} well {ref.well} site {ref.site} channel '{ref.channel}' has images, but none of "
        f"{what}, as {ref.file}; export it again, choose what every site has, or set 'on_error: skip'",
    )


def one_of(values: Mapping[int, int], wanted: int | None, word: str, plate: str) -> int:
    """Return which plane or timepoint to read.

    Args:
        values: how many images each plane (or timepoint) has.
        wanted: the config's choice, or None for the only one there is.
        word: ``plane`` or ``timepoint``, the config key.
        plate: for messages.

    Raises:
        InputError: the wanted one does not exist, or there are several and none was chosen.
    """
    listed = _listed(values)
    if wanted is None and len(values) > 1:
        raise InputError(
            f"plate {plate}: images of several {word}s ({listed}); choose one with '{word}:', as "
            f"'{word}: {min(values)}'{_OR_ALL if word == 'plane' else ''}{_uneven(values, word)}"
        )
    if wanted is not None and wanted not in values:
        raise InputError(f"plate {plate}: no image of {word} {wanted}; there is {word} {listed}; change '{word}:'")
    return next(iter(values)) if wanted is None else wanted


def _listed(values: Iterable[int]) -> str:
    return ", ".join(str(value) for value in sorted(values))


def _uneven(values: Mapping[int, int], word: str) -> str:
    if len(set(values.values())) == 1:
        return ""
    counts = ", ".join(f"{value}: {values[value]}" for value in sorted(values))
    return f"; they differ in the number of images ({word}: images): {counts}"
