from __future__ import annotations

import pytest

from data_tools.simulate import PlateConfig
from framework.config import parse_config, to_yaml
from framework.errors import ConfigError


def test_default_plate_fits_its_wells() -> None:
    config = PlateConfig()
    assert config.n_conditions * config.replicates + config.empty_wells <= config.rows * config.columns
    assert config.plate_names == ("SIM",)


def test_replicate_plates_are_numbered() -> None:
    assert PlateConfig(n_plates=2).plate_names == ("SIM-01", "SIM-02")


def test_config_survives_yaml() -> None:
    config = PlateConfig(plate="A", stimulations=("x", "y", "z"), perturbations=5, index="V7")
    assert parse_config(to_yaml(config), PlateConfig) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "perturbations: 24",
            "config:1: (top level): 24 perturbations x 2 stimulations x 2 replicates + 1 empty wells need 97 wells, "
            "but a plate of 8 x 12 has 96; lower perturbations, replicates or empty_wells, or take a larger plate",
        ),
        (
            "out_of_focus_wells: 93",
            "config:1: (top level): out_of_focus_wells is 93, but only 92 wells have cells; lower it",
        ),
        (
            "stimulations: [M1, M1]",
            "config:1: stimulations: names 'M1' twice; name each once",
        ),
        (
            "stimulations: [none]",
            "config:1: (top level): stimulation 'none': expected a name without commas, quotes or line breaks that no "
            "table reader takes for a missing value ('none' marks empty wells); rename it",
        ),
        (
            "plate: omics",
            "config:1: (top level): plate 'omics': this name is taken by another part of the output; rename it",
        ),
        (
            "size_px: 128",
            "config:1: (top level): 60 cells with nuclei of 24 px do not fit in a field of 128 px, which holds 5; "
            "lower cells_per_site or nucleus_diameter_px, or raise size_px",
        ),
        ("index: V6", "config:1: index: expected one of: V5, V7, found 'V6'"),
        ("perturbations: 2", "config:1: perturbations: expected a number >= 3, found 2"),
        ("site: 3", "config:1: site: unknown key; expected one of: "),
    ],
)
def test_contradictions_are_config_errors(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, PlateConfig)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "a b"])
def test_plate_name_cannot_leave_the_folder(name: str) -> None:
    with pytest.raises(ConfigError, match="plate"):
        parse_config(f"plate: '{name}'", PlateConfig)
