"""Label images that another program made: found by name, read, and turned into the centre of each label."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from data_tools.formats.tiff import decode_labels, described
from data_tools.nuclei.base import FieldKey, FieldOfView, FieldSurvey, Nuclei, nuclei_at
from data_tools.nuclei.field_keys import FieldIndex, Key, Part, check_site_numbers, index_fields, stem
from data_tools.readers.folder import images_below
from data_tools.readers.patterns import compared, compiled, found_in, groups_of, misfit, missed_note
from data_tools.readers.problem import Problem
from data_tools.wells import normalise_well, row_number
from framework.config import StrictModel
from framework.errors import InputError
from framework.files.failures import read_bytes
from framework.files.npz import load_npy

_SUFFIXES = (".tif", ".tiff", ".png", ".npy")
_GROUPS = ("image", "plate", "well", "row", "column", "site")
_WHAT = "a label image: whole numbers, 0 for the background and 1, 2, 3 ... for nuclei"
_MOST_BYTES = 1 << 31
_FEW_LABELS = 1 << 22
"""Largest label up to which one count per number is cheap."""
NO_LABEL = "a label image without a label"

Labels = npt.NDArray[Any]


class LabelImagesConfig(StrictModel):
    """Label images by the names of their files.

    ``pattern`` is a regular expression over the file name (with a slash: over the path below ``path``). Its groups say
    which site an image belongs to: ``image``, the name of the site's image of the nucleus channel without its suffix;
    or ``well`` (or ``row`` and ``column``) and ``site``; and ``plate``, where a folder holds several.
    """

    path: str = Field(min_length=1, description="the folder with the label images; {plate} stands for the plate")
    pattern: str = Field(min_length=1, description="a regular expression with the group image, or well and site")
    site: int | None = Field(default=None, ge=0)
    """The site of all images, if their names hold none."""
    site_offset: int | None = None
    """Added to the numbers of sites in the names."""

    @model_validator(mode="after")
    def _check_pattern(self) -> LabelImagesConfig:
        groups = groups_of(self.pattern, _GROUPS)
        places = groups & {"well", "row", "column", "site"}
        if "image" in groups and (places or self.site is not None):
            raise ValueError("the group (?P<image>...) names the site already; leave out well, row, column and site")
        if "image" not in groups:
            if not ("well" in groups) ^ ({"row", "column"} <= groups):
                raise ValueError(
                    "'pattern' needs the group (?P<image>...), or the group (?P<well>...) (or row and column "
                    "instead of well)"
                )
            if ("site" in groups) == (self.site is not None):
                raise ValueError("expected either the group (?P<site>...) in 'pattern' or 'site: NUMBER'")
        return self

    def parts(self, n_plates: int) -> tuple[Part, ...]:
        """Return what a name says of a field."""
        groups = re.compile(self.pattern).groupindex
        plate = "{plate}" in self.path or "plate" in groups or n_plates == 1
        of_field: tuple[Part, ...] = ("image",) if "image" in groups else ("well", "site")
        return (*(("plate",) if plate else ()), *of_field)


def survey_label_images(config: LabelImagesConfig, fields: Sequence[FieldOfView]) -> FieldSurvey:
    """Find the label image of each field.

    Raises:
        InputError: no folder, no image that matches the pattern, two images of one field, none of any field.
    """
    plates = list(dict.fromkeys(field.plate for field in fields))
    index = index_fields(fields, config.parts(len(plates)), "'nuclei.images.pattern'")
    found: dict[Key, Path] = {}
    notes: list[str] = []
    for plate in plates if "{plate}" in config.path else [None]:
        shown = config.path if plate is None else config.path.replace("{plate}", plate)
        for name, groups in _matches(config, shown, notes):
            key = _key(config, index, groups, plate or plates[0], f"{shown}/{name}")
            other = found.setdefault(key, Path(shown) / name)
            if other != Path(shown) / name and key in index.by_key:
                raise InputError(
                    f"{other} and {Path(shown) / name} are label images of one site, {index.by_key[key]}; remove one, "
                    "or make 'nuclei.images.pattern' tell them apart"
                )
    _check_found(config, index, found)
    files: dict[FieldKey, tuple[Path, ...]] = {
        field.key: (found[key].absolute(),) for key, field in index.by_key.items() if key in found
    }
    others = [str(file) for key, file in found.items() if key not in index.by_key]
    left = f"; {len(others)} others belong to no site that is read, as {others[0]}" if others else ""
    notes.append(f"{config.path}: {len(files)} of {len(fields)} sites have a label image{left}")
    missing = [_missing(config, field) for key, field in index.by_key.items() if key not in found]
    return FieldSurvey(files=files, problems=tuple(missing), notes=tuple(notes))


def _matches(config: LabelImagesConfig, shown: str, notes: list[str]) -> list[tuple[str, dict[str, str]]]:
    listed = images_below(Path(shown), shown, _SUFFIXES)
    matches, missed = found_in(config.pattern, listed.names)
    if not matches:
        where = misfit(compiled(config.pattern), compared(config.pattern, listed.names[0]))
        raise InputError(
            f"{shown}: no label image of {len(listed.names)} matches {config.pattern!r}; {where}; "
            "correct 'nuclei.images.pattern'"
        )
    notes += [*listed.notes, *missed_note(shown, listed.names, missed)]
    return matches


def _key(config: LabelImagesConfig, index: FieldIndex, groups: dict[str, str], plate: str, file: str) -> Key:
    values: dict[Part, Any] = {"plate": groups.get("plate", plate)}
    try:
        if "image" in index.parts:
            values["image"] = stem(groups.get("image", ""))
        else:
            values["well"] = _well(groups)
            values["site"] = config.site if config.site is not None else int(groups["site"]) + (config.site_offset or 0)
    except (InputError, ValueError, KeyError) as error:
        raise InputError(
            f"{file}: 'nuclei.images.pattern' reads {groups} from the name: {error}; correct it, or match the name of "
            "the image with (?P<image>...)"
        ) from None
    return tuple(values[part] for part in index.parts)


def _well(groups: dict[str, str]) -> str:
    if "well" in groups:
        return normalise_well(groups["well"])
    row = groups["row"]
    return normalise_well((int(row) if row.isdigit() else row_number(row), int(groups["column"])))


def _check_found(config: LabelImagesConfig, index: FieldIndex, found: dict[Key, Path]) -> None:
    if not set(found) & set(index.by_key):
        key, file = next(iter(found.items()))
        said = ", ".join(f"{part} {value}" for part, value in zip(index.parts, key, strict=True))
        raise InputError(
            f"none of {len(found)} label images in {config.path} belongs to a site of the export: the first "
            f"is {file} ({said}), the first site is {index.first}; correct 'nuclei.images'"
        )
    if "site" in index.parts and config.site_offset is None and config.site is None:
        place = index.parts.index("site")
        said_sites, wanted = ({key[place] for key in keys} for keys in (found, index.by_key))
        check_site_numbers(said_sites, wanted, "'nuclei.images.pattern'")


def _missing(config: LabelImagesConfig, field: FieldOfView) -> Problem:
    return Problem(
        plate=field.plate,
        well=field.well,
        site=field.site,
        reason="missing_labels",
        detail=f"{field} has no label image in {config.path.replace('{plate}', field.plate)}; make it, or set "
        "'on_error: skip' to leave the site out",
    )


def nuclei_of_labels(file: Path, shape: tuple[int, ...], field: FieldOfView) -> Nuclei:
    """Read a label image and return the centre of mass of the pixels of each label.

    Args:
        file: TIFF, PNG or ``.npy``.
        shape: (H, W) of the image it belongs to.
        field: field of that image, for messages.

    Raises:
        InputError: it cannot be read, has another shape, or holds no labels but a mask, colours or fractions.
    """
    labels = read_labels(file)
    if labels.shape != tuple(shape):
        raise InputError(
            f"{file}: labels of {_px(labels.shape)}, but the image of {field} has "
            f"{_px(shape)}{_about_shape(labels.shape, shape)}; segment the image as it was exported"
        )
    y, x = np.nonzero(labels)
    values = labels[y, x].astype(np.int64)
    if not len(values):
        return nuclei_at(np.zeros((0, 2)), None, labels.shape, NO_LABEL)
    _check_numbers(labels, values, file)
    if values.max() >= _FEW_LABELS:
        values = np.unique(values, return_inverse=True)[1].reshape(-1) + 1
    area = np.bincount(values)
    present = np.flatnonzero(area)
    sums = np.stack([np.bincount(values, weights=axis)[present] for axis in (y, x)], axis=1)
    return nuclei_at(sums / area[present, None], None, labels.shape)


def read_labels(file: Path) -> Labels:
    """Return the numbers of a label image, (H, W), of any integer type.

    Raises:
        InputError: it cannot be read, or holds anything else than whole numbers.
    """
    labels = _decoded(file)
    if labels.ndim != 2:
        raise InputError(
            f"{file}: an array of shape {labels.shape}; expected {_WHAT}, (height, width): neither colours nor planes"
        )
    if labels.dtype.kind == "f":
        whole = np.isfinite(labels) & (labels == np.floor(labels))
        if not whole.all():
            raise InputError(f"{file}: holds {labels[~whole][0]:g}; expected {_WHAT}")
        return labels.astype(np.int64)
    if labels.dtype.kind == "b":
        raise InputError(f"{file}: a mask of true and false, which cannot separate nuclei that touch; expected {_WHAT}")
    if labels.dtype.kind not in "iu":
        raise InputError(f"{file}: values of type {labels.dtype}; expected {_WHAT}")
    return labels


def _decoded(file: Path) -> Labels:
    suffix = file.suffix.lower()
    if suffix == ".npy":
        return load_npy(file, error=InputError, what=_WHAT, then="save the array of labels alone")
    try:
        if suffix == ".png":
            data = np.frombuffer(read_bytes(file, _MOST_BYTES), dtype=np.uint8)
            pixels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if len(data) else None
            if pixels is None:
                raise InputError("not a PNG, or a truncated one")
            return np.asarray(pixels)
        return decode_labels(file)
    except FileNotFoundError:
        raise InputError(f"{file}: no such file; expected {_WHAT}") from None
    except Exception as error:  # the codecs raise many kinds on damaged files, each means the same here
        raise InputError(f"{file}: {described(error)}; expected {_WHAT}") from error


def _check_numbers(labels: Labels, values: npt.NDArray[np.int64], file: Path) -> None:
    lowest, highest = int(values.min()), int(values.max())
    if lowest < 0:
        raise InputError(f"{file}: holds the number {lowest}; expected {_WHAT}")
    if lowest == highest and cv2.connectedComponents((labels != 0).astype(np.uint8), connectivity=8)[0] > 2:
        raise InputError(
            f"{file}: all pixels that are not 0 hold {highest}, in several separate places: this is a mask, "
            f"not labels; expected {_WHAT}"
        )
    if labels.dtype.itemsize == 1 and len(np.unique(values)) == np.iinfo(labels.dtype).max:
        raise InputError(
            f"{file}: uses all 255 numbers of 8 bits, so several nuclei may share a number; save it with 16 bits"
        )


def _px(shape: tuple[int, ...]) -> str:
    return " x ".join(str(edge) for edge in shape) + " px"


def _about_shape(found: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    if found == tuple(reversed(wanted)):
        return " (rows and columns are exchanged)"
    ratios = {want / have for have, want in zip(found, wanted, strict=True)}
    return f" (the labels are of an image reduced {ratios.pop():g} times)" if len(ratios) == 1 else ""
