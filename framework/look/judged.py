"""What is wrong with a config or its images, in words that say what to write instead."""

from __future__ import annotations

import numpy as np

from framework.look.values import Cropped, Floats, Look, Sample

_RATIO = 1.7
"""Of the expected to the found diameter: real plates of nuclei of 10 to 60 px stay below."""
_MOST_PER_TILE = 9.0
_TILE_TOO_SMALL = 1.2
_ENOUGH_IMAGES = 24
_LEAST_TILED = 1 / 3
"""Of the nuclei found; a field ten times as wide as a tile loses a fifth, one three times as wide more than half."""
_SATURATED, _DULL = 0.001, 0.5
_SHOWN = 6
_KEPT, _FILLED, _OFTEN = 2 / 3, 0.25, 0.1
"""Least share of a crop that a tile should show, least share of a tile that a crop should fill, and how many crops
may lie beyond."""
_ENLARGED = 2.0
_LACKING = 0.5


def warnings(look: Look) -> tuple[str, ...]:
    """Return a sentence for each thing that a person would want to change before a build."""
    of_images = (*_saturation(look), *_blank(look))
    if look.cropped is not None:
        return (*_crops(look.cropped, look.tile_px), *_bags(look.cropped), *of_images, *_joins(look.cropped))
    of_nuclei = (*_diameter(look), *_tile(look), *_border(look))
    return (*of_nuclei, *_illumination(look), *of_images, *_focus(look), *_empty(look))


def _um(look: Look, px: float) -> str:
    return f"{px:.0f} px" if look.pixel_size_um is None else f"{px * look.pixel_size_um:.3g} µm ({px:.0f} px)"


def _size(look: Look, px: float) -> str:
    if look.pixel_size_um is None:
        return f"diameter_px: {px:.3g}"
    return f"diameter_um: {px * look.pixel_size_um:.3g}"


def _diameter(look: Look) -> tuple[str, ...]:
    found, expected = look.sizes.typical_px, look.expected_px
    if expected is None:
        return ()
    if found is None:
        return (f"No round objects are seen in channel '{look.nuclei}': check 'nuclei.channel', or the images.",)
    if 1 / _RATIO <= expected / found <= _RATIO:
        return ()
    what = "larger" if expected > found else "smaller"
    many = f"{expected / found:.1f}" if expected > found else f"{found / expected:.1f}"
    lost = "several nuclei count as one" if expected > found else "one nucleus counts as several"
    return (
        f"The nucleus diameter does not fit: the config expects {_um(look, expected)}, the objects seen in "
        f"'{look.nuclei}' measure about {_um(look, found)}. It is {many} times {what}, so {lost}. Write "
        f"'{_size(look, found)}' in 'nuclei', or check 'nuclei.channel'.",
    )


def _tile(look: Look) -> tuple[str, ...]:
    apart, inside, found = look.sizes.apart_px, look.sizes.per_tile, look.sizes.typical_px
    said = []
    if inside is not None and apart is not None and inside > _MOST_PER_TILE:
        size = max(4, round(look.tile_px * (4 / inside) ** 0.5 / 4) * 4)
        said.append(
            f"A tile of {look.tile_px} px is far larger than the distance of nuclei ({apart:.0f} px): it shows about "
            f"{inside:.0f} nuclei, and neighbours share most of their pixels. Write 'tiles: {{size_px: {size}}}' for "
            "about four."
        )
    if found is not None and look.tile_px < _TILE_TOO_SMALL * found:
        said.append(
            f"A tile of {look.tile_px} px hardly holds one nucleus of {found:.0f} px: cells are cut off. Write "
            f"'tiles: {{size_px: {max(16, round(3 * found / 16) * 16)}}}'."
        )
    return tuple(said)


def _border(look: Look) -> tuple[str, ...]:
    """Say where the fields are so small that most nuclei have no whole tile."""
    inside = np.concatenate([np.zeros(0, dtype=np.bool_), *(each.has_tile for each in look.samples)])
    if not len(inside) or inside.mean() >= _LEAST_TILED:
        return ()
    room = np.concatenate([_room_px(each) for each in look.samples if len(each.y_px)])
    size = int(np.median(room) // 4 * 4)
    smallest = max(4.0, _TILE_TOO_SMALL * (look.sizes.typical_px or 0.0))
    change = (
        f"Write 'tiles: {{size_px: {size}}}' to keep about half."
        if smallest <= size < look.tile_px
        else "No tile that holds a nucleus keeps half of them: take larger fields, or stitch them before."
    )
    return (
        f"{int(inside.sum())} of {len(inside)} nuclei found get a tile: the others lie so near the edge of a field "
        f"that a tile of {look.tile_px} px would leave it. {change}",
    )


def _room_px(sample: Sample) -> Floats:
    """Return the edge of the largest tile about each nucleus that stays in its field."""
    height, width = (edge / sample.scale for edge in next(iter(sample.images.values())).shape[-2:])
    y, x = sample.y_px, sample.x_px
    room: Floats = 2 * np.min([y, x, height - 1 - y, width - 1 - x], axis=0)
    return room


def _illumination(look: Look) -> tuple[str, ...]:
    if look.fitted_to is None or look.fitted_to >= _ENOUGH_IMAGES:
        return ()
    return (
        f"The flat-field is fitted to {look.fitted_to} {'image' if look.fitted_to == 1 else 'images'} of a channel, "
        f"which is too few: below {_ENOUGH_IMAGES} the cells stay in it and are divided out of the images. Write "
        "'illumination: {method: none}', or '{method: export}' where the export holds flat-fields.",
    )


def _saturation(look: Look) -> tuple[str, ...]:
    return tuple(
        f"Channel '{each.channel}': {each.saturated:.2%} of the pixels are at the camera's top ({each.top:.0f}): what "
        "is bright there cannot be told apart. Take images with less exposure, or read no intensities from it."
        for each in look.histograms
        if each.top is not None and each.saturated > _SATURATED
    )


def _focus(look: Look) -> tuple[str, ...]:
    dull = [f"{plate} {well} site {site}" for (plate, well, site), value in look.focus.items() if value < _DULL]
    if not dull:
        return ()
    more = f" and {len(dull) - _SHOWN} more" if len(dull) > _SHOWN else ""
    return (f"Out of focus, with less than half the fine detail of most fields: {', '.join(dull[:_SHOWN])}{more}.",)


def _empty(look: Look) -> tuple[str, ...]:
    if not look.empty:
        return ()
    more = f" and {len(look.empty) - _SHOWN} more" if len(look.empty) > _SHOWN else ""
    return (f"No nucleus was found in {', '.join(look.empty[:_SHOWN])}{more}: check these wells.",)


def _blank(look: Look) -> tuple[str, ...]:
    return tuple(
        f"Channel '{each.channel}' has the value {each.edges[0]:g} in every pixel that was looked at, so it shows "
        "nothing. Leave it out of 'channels', or check the export."
        for each in look.histograms
        if each.constant
    )


def _crops(cells: Cropped, tile_px: int) -> tuple[str, ...]:
    """Say what is cut off, padded or enlarged far."""
    edges = cells.edges_px
    if not len(edges):
        return ()
    longest = edges.max(axis=1)
    usual = f"{np.median(edges[:, 0]):.0f} x {np.median(edges[:, 1]):.0f} px"
    size = max(4, -(-int(np.percentile(longest, 95)) // 4) * 4)
    said = []
    cut = np.minimum(edges, tile_px).prod(axis=1) < _KEPT * edges.prod(axis=1)
    if cells.fit in {"crop", "pad_or_crop"} and cut.mean() > _OFTEN:
        said.append(
            f"Tiles of {tile_px} px cut off more than a third of {int(cut.sum())} of the {len(cut)} crops that were "
            f"looked at, which are typically {usual}. Write 'tiles.size_px: {size}', or 'tiles.fit: resize'."
        )
    filled = np.minimum(edges, tile_px).prod(axis=1) / tile_px**2
    if cells.fit in {"pad", "pad_or_crop"} and np.median(filled) < _FILLED:
        said.append(
            f"Tiles of {tile_px} px are mostly padding: the crops that were looked at are typically {usual}. Write "
            f"'tiles.size_px: {size}'."
        )
    if cells.fit == "resize" and np.median(longest) * _ENLARGED < tile_px:
        said.append(
            f"Crops are typically {usual} and are enlarged to {tile_px} px, which adds pixels and no detail. Write "
            f"'tiles.size_px: {size}'."
        )
    return tuple(said)


def _bags(cells: Cropped) -> tuple[str, ...]:
    """Say where bags are of no use to a training."""
    alone = sum(n == 1 for n in cells.per_bag.values())
    if len(cells.per_bag) == 1:
        return (
            "All cells are in one bag, and a training needs bags for its parts train and test: name the columns that "
            "make them in 'bags.by', or deal the cells at random with 'bags.groups: 20'.",
        )
    if cells.unit == "cell" and alone > _LACKING * len(cells.per_bag):
        return (
            f"{alone} of {len(cells.per_bag)} bags hold one cell, which has no partner in its bag: name fewer columns "
            "in 'bags.by'.",
        )
    return ()


def _joins(cells: Cropped) -> tuple[str, ...]:
    """Say which labels and measurements most cells lack."""
    blank = [
        f"{name} ({values.get('', 0)} of {sum(values.values())})"
        for name, values in cells.labels.items()
        if values.get("", 0) > _LACKING * sum(values.values())
    ]
    missing = [
        f"{name} ({cells.n - each.n} of {cells.n})"
        for name, each in cells.markers.items()
        if cells.n - each.n > _LACKING * cells.n
    ]
    said = []
    for what, names in (("label", blank), ("value of a marker", missing)):
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            said.append(
                f"Most cells have no {what}: {', '.join(names[:_SHOWN])}{more}. See below how the tables were joined, "
                "and correct 'by' of the table."
            )
    return tuple(said)
