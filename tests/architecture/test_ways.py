"""How many modules an ingest of a plate and a training pass, and that these are passed from the top to the bottom.

Counted from the call in Python to its end, with tasks in this process, by the functions that run (``ways``). A cap is
what the way has today: a change that makes one longer says so here, and why, in ARCHITECTURE.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from architecture.ways import Way, traced
from fixtures.tiny_run import TRIPLET, config, tiny_data

from data_tools.pipeline import IngestConfig, ingest
from data_tools.simulate import PlateConfig, simulate_plate
from framework.run import fit

OF_INGEST = ("data_tools.pipeline", "data_tools.readers")


def way_of_a_plate(folder: Path) -> Way:
    """Ingest a Harmony export: two wells, corrected, tar shards."""
    simulate_plate(
        PlateConfig(
            rows=2, columns=4, perturbations=3, stimulations=("M1",), replicates=1, sites=1, size_px=96,
            cells_per_site=4, nucleus_diameter_px=10, transcripts=2, proteins=2, out_of_focus_wells=0,
        ),
        folder / "raw",
    )  # fmt: skip
    plain = {
        "name": "t",
        "plates": [
            {
                "source": {"name": "harmony", "path": str(folder / "raw" / "SIM")},
                "platemap": {"path": str(folder / "raw" / "platemap.csv")},
            }
        ],
        "channels": ["Phalloidin", "Hoechst"],
        "tiles": {"size_px": 16},
        "nuclei": {"channel": "Hoechst", "diameter_px": 10},
        "illumination": {"kernel_px": 20, "sigma_px": 5},
    }
    settings = IngestConfig.from_plain(plain)
    with traced() as way:
        made = ingest(settings, folder / "data", workers=0)
    assert made.tiles > 0
    return way


def way_of_a_training(folder: Path) -> Way:
    """Train twelve steps on pixels and write the summary."""
    tiny_data(folder / "data")
    settings = config(TRIPLET, run=folder / "run", data=folder / "data")
    with traced() as way:
        fit(settings)
    return way


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> Way:
    return way_of_a_plate(tmp_path_factory.mktemp("plate"))


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Way:
    return way_of_a_training(tmp_path_factory.mktemp("training"))


def test_a_plate_passes_few_modules(plate: Way) -> None:
    assert plate.below(*OF_INGEST)[0] == "data_tools.pipeline.entry"
    assert len(plate.below(*OF_INGEST)) <= 25, "\n".join(plate.tree())
    assert len(plate.modules) <= 57, "\n".join(plate.tree())


def test_nothing_of_an_ingest_calls_back_up_but_the_runner_that_is_handed_tasks(plate: Way) -> None:
    up = {(call.caller, call.module, call.called) for call in plate.up}
    runner, shading = "data_tools.pipeline.build.runner", "data_tools.pipeline.plates.shading"
    assert up == {(runner, shading, "add_up"), (runner, shading, "fit_channel")}


def test_a_training_passes_few_modules(training: Way) -> None:
    assert len(training.below("framework.run")) <= 11, "\n".join(training.tree())
    assert len(training.modules) <= 86, "\n".join(training.tree())


def test_each_module_of_training_is_entered_from_one_place(training: Way) -> None:
    rooms = {name.rpartition(".")[2]: times for name, times in training.times_entered("framework.run.train").items()}
    objects = {name: rooms.pop(name) for name in ("config", "folder")}
    assert all(objects.values()), "these two are handed down and asked by whoever holds them"
    # Twice: ``prepare``, and a method of the ``Start`` it returned.
    assert rooms == {
        "fit": 0,
        "prepare": 2,
        "pretrained": 1,
        "identity": 1,
        "build": 1,
        "objective": 1,
        "batches": 1,
        "header": 1,
        "tracked": 1,
    }


if __name__ == "__main__":
    for number, draw in enumerate((way_of_a_plate, way_of_a_training)):
        place = Path(sys.argv[1]) / str(number)
        place.mkdir(parents=True)
        print(*draw(place).tree(), sep="\n")
