"""Which field of view a label image or a row of a table belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from data_tools.nuclei.base import FieldOfView
from framework.errors import InputError

Part = Literal["plate", "well", "site", "image"]
Key = tuple[Any, ...]
_SUFFIXES = (".ome.tif", ".ome.tiff", ".tif", ".tiff", ".png", ".npy", ".flex", ".jpg")


@dataclass(frozen=True, kw_only=True)
class FieldIndex:
    """The fields of an ingest by what a file or a row says of them.

    Attributes:
        parts: what it says.
        by_key: field of each value of these.
    """

    parts: tuple[Part, ...]
    by_key: dict[Key, FieldOfView]

    def __len__(self) -> int:
        return len(self.by_key)

    @property
    def first(self) -> str:
        """The first field, for messages."""
        field = next(iter(self.by_key.values()))
        return f"{field} (image {field.image})" if "image" in self.parts else str(field)


def index_fields(fields: Sequence[FieldOfView], parts: tuple[Part, ...], where: str) -> FieldIndex:
    """Return the fields by ``parts``.

    Args:
        fields: fields of an ingest, at least one.
        parts: what files or rows say.
        where: config key that could say more, for messages.

    Raises:
        InputError: two fields have the same values.
    """
    by_key: dict[Key, FieldOfView] = {}
    for field in fields:
        other = by_key.setdefault(key_of(field, parts), field)
        if other is not field:
            said = " and ".join(parts) if parts else "nothing"
            lacking = "plate" if other.plate != field.plate else "site"
            raise InputError(
                f"{where} says {said} of each nucleus, which does not tell {other} from {field}; name the "
                f"{lacking} too" + (", or put {plate} into 'path'" if lacking == "plate" else "")
            )
    return FieldIndex(parts=parts, by_key=by_key)


def key_of(field: FieldOfView, parts: Iterable[Part]) -> Key:
    """Return what of a field is compared."""
    return tuple(stem(field.image) if part == "image" else getattr(field, part) for part in parts)


def stem(name: str) -> str:
    """Return the name of an image file without folder and suffix."""
    base = name.replace("\\", "/").rpartition("/")[2]
    found = next((end for end in _SUFFIXES if base.lower().endswith(end)), "")
    return base[: len(base) - len(found)]


def check_site_numbers(said: set[int], wanted: set[int], where: str) -> None:
    """Refuse sites that are all one off: each field would get the nuclei of its neighbour.

    Raises:
        InputError: they are; with the way out.
    """
    for shift in (1, -1):
        if said != wanted and len(wanted) > 1 and {site + shift for site in said} == wanted:
            raise InputError(
                f"{where} numbers the sites {min(said)} to {max(said)}, but the images are numbered "
                f"{min(wanted)} to {max(wanted)}, so a site might get the nuclei of its neighbour; write "
                f"'site_offset: {shift}' to shift the numbers, or 'site_offset: 0' if they are right"
            )
