"""Which of several planes and timepoints are read: never the first in silence, and never one that is not there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from data_tools.readers.plates.base import ImageRef
from data_tools.readers.plates.options import PlaneChoice, SomePlanes
from data_tools.readers.plates.projection import Projection
from data_tools.readers.problem import Problem
from data_tools.readers.recognition import Undecided
from framework.errors import InputError

_OR_ALL = ", or take 'plane: max', 'plane: mean' or 'plane: sharpest' of all"


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


def choose(
    refs: Sequence[ImageRef], *, plane: PlaneChoice, timepoint: int | None, plate: str, about: str = ""
) -> Choice:
    """Keep the images of one timepoint, of one plane or projected over all planes.

    Args:
        refs: all images of a plate.
        plane: the config's choice, or None for the only one there is.
        timepoint: the config's choice, or None for the only one there is.
        plate: for messages.
        about: what a message about planes says beside their numbers.

    Raises:
        InputError: the wanted one does not exist, or there are several and none was chosen.
    """
    kept, notes, words = list(refs), [], []
    for word, wanted in (("plane", plane), ("timepoint", timepoint)):
        if not kept:
            break
        if isinstance(wanted, str | SomePlanes):
            continue
        values = Counter(getattr(ref, word) for ref in kept)
        value = one_of(values, wanted, word, plate, about if word == "plane" else "")
        if len(values) > 1:
            notes.append(f"plate {plate}: {word} {value} of {_listed(values)} is read, as '{word}: {value}' says")
            words.append(f"{word} {value}")
        kept = [ref for ref in kept if getattr(ref, word) == value]
    there = {(ref.well, ref.site, ref.channel) for ref in kept}
    lost = {(ref.well, ref.site, ref.channel): ref for ref in refs if (ref.well, ref.site, ref.channel) not in there}
    problems = [_not_chosen(ref, " and ".join(words)) for ref in lost.values()]
    choice = Choice(refs=kept, problems=problems, notes=tuple(notes))
    return _projected(choice, plane, plate) if isinstance(plane, str | SomePlanes) else choice


def _projected(choice: Choice, plane: Projection | SomePlanes, plate: str) -> Choice:
    """Make one image of the planes of each site and channel; one with fewer planes than its channel is a problem."""
    how = plane.by if isinstance(plane, SomePlanes) else plane
    refs_read = choice.refs if isinstance(plane, str) else _only(choice.refs, plane.planes, plate)
    of_channel: dict[str, set[int]] = {}
    stacks: dict[tuple[str, int, str], list[ImageRef]] = {}
    for ref in sorted(refs_read, key=lambda ref: (ref.plane, str(ref.file))):
        stacks.setdefault((ref.well, ref.site, ref.channel), []).append(ref)
        of_channel.setdefault(ref.channel, set()).add(ref.plane)
    lost = {(ref.well, ref.site, ref.channel): ref for ref in choice.refs}
    problems = [*choice.problems, *(_not_chosen(ref, f"planes {_listed(plane.planes)}") for place, ref in lost.items()
                                    if isinstance(plane, SomePlanes) and place not in stacks)]  # fmt: skip
    refs = []
    for (_, _, channel), stack in stacks.items():
        found = Counter(ref.plane for ref in stack)
        if set(found) != of_channel[channel] or max(found.values()) > 1:
            problems.append(_uneven_stack(stack, of_channel[channel]))
        else:
            numbers = tuple(ref.plane for ref in stack)
            refs.append(replace(stack[0], projection=how, planes=numbers).with_files([ref.file for ref in stack]))
    said = f"as 'plane: {plane}' says"
    if len({frozenset(planes) for planes in of_channel.values()}) > 1:
        kinds = "; ".join(f"'{channel}' {_listed(planes)}" for channel, planes in of_channel.items())
        note = f"plate {plate}: each image is the {how} over planes, {said}, which differ between channels: {kinds}"
    else:
        planes = next(iter(of_channel.values()), set())
        note = f"plate {plate}: each image is the {how} over planes {_listed(planes)}, {said}"
    return Choice(refs=refs, problems=problems, notes=(*choice.notes, note))


def _only(refs: Sequence[ImageRef], planes: Sequence[int], plate: str) -> list[ImageRef]:
    values = Counter(ref.plane for ref in refs)
    for plane in planes:
        one_of(values, plane, "plane", plate)
    return [ref for ref in refs if ref.plane in planes]


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


def one_of(values: Mapping[int, int], wanted: int | None, word: str, plate: str, about: str = "") -> int:
    """Return which plane or timepoint to read.

    Args:
        values: how many images each plane (or timepoint) has.
        wanted: the config's choice, or None for the only one there is.
        word: ``plane`` or ``timepoint``, the config key.
        plate: for messages.
        about: what a message says beside the numbers.

    Raises:
        InputError: the wanted one does not exist.
        Undecided: there are several and none was chosen.
    """
    listed, said = _listed(values), f"; {about}" if about else ""
    if wanted is None and len(values) > 1:
        text = (
            f"plate {plate}: images of several {word}s ({listed}); choose one with '{word}:', as "
            f"'{word}: {min(values)}'{_OR_ALL if word == 'plane' else ''}{_uneven(values, word)}{said}"
        )
        # The plane (or timepoint) of most images comes first: fewest sites lack it.
        ordered = sorted(values, key=lambda value: (-values[value], value))
        even = word == "plane" and len(set(values.values())) == 1
        raise Undecided(text, word, ("max", *ordered) if even else ordered)
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
