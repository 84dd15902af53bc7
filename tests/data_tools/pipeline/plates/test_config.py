"""What a config is told before anything is read."""

from __future__ import annotations

import pytest

from data_tools.pipeline.plates.config import IngestConfig
from framework.config import parse_config, to_yaml
from framework.errors import ConfigError

GOOD = """
name: demo
plates:
  - source: {name: harmony, path: raw}
    platemap: {path: platemap.csv}
channels: [Hoechst, Actin]
nuclei: {channel: Hoechst, diameter_px: 13}
"""


def test_defaults_are_those_of_the_paper() -> None:
    config = parse_config(GOOD, IngestConfig)
    assert (config.tiles.size_px, config.tiles.dtype) == (128, "uint16")
    options = config.illumination
    assert (options.percentile, options.kernel_px, options.sigma_px) == (10, 250, 50)
    assert (config.on_error, config.seed) == ("raise", 0)
    assert config.read_channels == ("Hoechst", "Actin")
    assert parse_config(to_yaml(config), IngestConfig) == config


def test_the_channel_of_the_nuclei_is_read_although_it_is_not_stored() -> None:
    config = parse_config(GOOD.replace("[Hoechst, Actin]", "[Actin]"), IngestConfig)
    assert config.read_channels == ("Actin", "Hoechst")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("[Hoechst, Actin]", "[Actin, Actin]", "c.yaml:2: (top level): 'channels' names 'Actin' twice"),
        (
            "{name: harmony,",
            "{name: harmoni,",
            "c.yaml:4: plates.0.source: no reader is called 'harmoni'; expected one of: cellvoyager, filenames, "
            "gallery, harmony, image2omics, imagexpress, omezarr; did you mean 'harmony'?",
        ),
        ("diameter_px: 13", "diameter_pix: 13", "c.yaml:7: nuclei.diameter_pix: unknown key"),
        ("name: demo", "name: demo\ntiles: {size_px: 2}", "tiles.size_px: expected a number >= 4, found 2"),
        ("name: demo", "name: demo\non_error: ignore", "on_error: expected one of: raise, skip, found 'ignore'"),
        (
            "name: demo",
            "name: demo\nomics: [{name: a b, table: t.csv, kind: counts}]",
            "omics.0.name: ",
        ),
        (
            "name: demo",
            "name: demo\nomics: [{name: a, table: t, kind: counts, plate: p, stimulation: p}]",
            "omics.0: 'perturbation', 'stimulation' and 'plate' name the same column",
        ),
    ],
)
def test_mistakes_are_named_with_their_line(old: str, new: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(GOOD.replace(old, new), IngestConfig, "c.yaml")
    assert sentence in str(caught.value)


def test_markers_are_the_union_over_plates() -> None:
    cells = "    cells: {pattern: '{well}.csv', x: x, y: y, markers: {%s: {column: a}, B: {column: b}}}\n"
    entry = "  - source: {name: harmony, path: raw}\n    platemap: {path: platemap.csv}\n"
    text = GOOD.replace(entry, entry + cells % "A" + entry + cells % "C")
    assert parse_config(text, IngestConfig).markers == ("A", "B", "C")
