"""The XML index of a Harmony export, streamed: what its images, channels and plates say, before any judgement.

Two forms exist. HarmonyV5 (``Index.idx.xml``) repeats channel name, resolution and size in every ``Image`` and counts
timepoints from 0. V7 (``Index.xml``) keeps those in a ``Map`` with one ``Entry`` a ChannelID and counts from 1. Only
local element names are looked at, since the namespace differs between versions and some exports have none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element  # types only: xml_file parses

from data_tools.formats.xml_file import branches, name_of
from framework.errors import InputError

_METRES_TO_UM = {"m": 1e6, "mm": 1e3, "um": 1.0, "µm": 1.0, "μm": 1.0, "nm": 1e-3}
_ROOT = "EvaluationInputData"
_PARENTS = {"Image": ["Images"], "Entry": ["Maps", "Map"], "Plate": ["Plates"], "Well": ["Wells"]}
_CHANNEL_FACTS = ("ChannelName", "ImageResolutionX", "ImageResolutionY")
_NUMBERS = ("Row", "Col", "FieldID", "PlaneID", "ChannelID")
MAX_PIXEL_SIZE_UM = 1000.0
"""Above this (or at 0) a resolution is a placeholder, as 1 m, and counts as not stated."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexImage:
    """One ``Image`` element; numbers as written, timepoint counted from 1."""

    url: str
    state: str
    row: int
    column: int
    site: int
    plane: int
    timepoint: int
    channel_id: int


@dataclass(frozen=True, kw_only=True)
class IndexPlate:
    """One ``Plate`` element: its names, size, and the wells it lists as (row, column)."""

    plate_id: str
    name: str
    rows: int | None
    columns: int | None
    wells: frozenset[tuple[int, int]]


@dataclass(kw_only=True)
class Index:
    """An index as read.

    Attributes:
        images: in file order.
        plates: in file order.
        channel_names: every name each ChannelID was given (more than one contradict each other).
        profiles: flat-field of each ChannelID, as written.
        pixel_sizes_um: every (x, y) size found; None where not stated or a placeholder.
    """

    images: list[IndexImage] = field(default_factory=list)
    plates: list[IndexPlate] = field(default_factory=list)
    channel_names: dict[int, list[str]] = field(default_factory=dict)
    profiles: dict[int, str] = field(default_factory=dict)
    pixel_sizes_um: set[tuple[float | None, float | None]] = field(default_factory=set)


def read_index(file: Path) -> Index:
    """Stream an index; memory holds the facts of its images and never the document.

    Raises:
        InputError: not readable, not XML, no Harmony index, or an Image that lacks a number; names file and image.
    """
    index = Index()
    zero_based: set[bool] = set()
    for element in branches(file, root=_ROOT, what="an index of Harmony", parents=_PARENTS):
        name = name_of(element)
        if name == "Image":
            facts = _leaves(element)
            zero_based.add(_text(facts, "TimepointID", "1") == "0")
            index.images.append(_image(file, facts))
            _note_channel(index, index.images[-1].channel_id, facts)
        elif name == "Entry":
            _note_entry(index, _whole(file, element.get("ChannelID", ""), "Entry ChannelID"), _leaves(element))
        elif name == "Plate":
            index.plates.append(_plate(element))
    if True in zero_based:
        index.images = [_shifted(image) for image in index.images]
    return index


def _leaves(element: Element) -> dict[str, Element]:
    return {name_of(child): child for child in element}


def _text(facts: Mapping[str, Element], name: str, default: str = "") -> str:
    found = facts.get(name)
    return (found.text or "").strip() if found is not None else default


def _whole(file: Path, text: str, what: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InputError(f"{file}: {what}: expected a whole number, found '{text}'; export the plate again") from None


def _image(file: Path, facts: Mapping[str, Element]) -> IndexImage:
    who = f"Image {_text(facts, 'id', '(without id)')}"
    url = _text(facts, "URL")
    defaults = {"PlaneID": "1"}
    numbers = {key: _whole(file, _text(facts, key, defaults.get(key, "")), f"{who}: {key}") for key in _NUMBERS}
    return IndexImage(
        url=url,
        state=_text(facts, "State", "Ok") if url else "no URL",
        row=numbers["Row"],
        column=numbers["Col"],
        site=numbers["FieldID"],
        plane=numbers["PlaneID"],
        timepoint=_whole(file, _text(facts, "TimepointID", "1"), f"{who}: TimepointID"),
        channel_id=numbers["ChannelID"],
    )


def _shifted(image: IndexImage) -> IndexImage:
    values: dict[str, Any] = {name: getattr(image, name) for name in IndexImage.__slots__}
    return IndexImage(**(values | {"timepoint": image.timepoint + 1}))


def _note_entry(index: Index, channel_id: int, facts: Mapping[str, Element]) -> None:
    _note_channel(index, channel_id, facts)
    if "FlatfieldProfile" in facts:
        index.profiles[channel_id] = _text(facts, "FlatfieldProfile")


def _note_channel(index: Index, channel_id: int, facts: Mapping[str, Element]) -> None:
    if not any(name in facts for name in _CHANNEL_FACTS):
        return
    name = _text(facts, "ChannelName")
    names = index.channel_names.setdefault(channel_id, [])
    if name and name not in names:
        names.append(name)
    if "ImageResolutionX" in facts or "ImageResolutionY" in facts:
        index.pixel_sizes_um.add((_size_um(facts, "ImageResolutionX"), _size_um(facts, "ImageResolutionY")))


def _size_um(facts: Mapping[str, Element], name: str) -> float | None:
    if name not in facts:
        return None
    try:
        size = float(_text(facts, name)) * _METRES_TO_UM[facts[name].get("Unit", "m")]
    except (ValueError, KeyError):
        return None
    return size if 0 < size < MAX_PIXEL_SIZE_UM else None


def _plate(element: Element) -> IndexPlate:
    facts = _leaves(element)
    ids = [child.get("id", "") for child in element if name_of(child) == "Well"]
    rows, columns = _text(facts, "PlateRows"), _text(facts, "PlateColumns")
    return IndexPlate(
        plate_id=_text(facts, "PlateID"),
        name=_text(facts, "Name"),
        rows=int(rows) if rows.isdigit() else None,
        columns=int(columns) if columns.isdigit() else None,
        wells=frozenset((int(text[:2]), int(text[2:])) for text in ids if text.isdigit() and len(text) == 4),
    )
