"""Our own entries keep the contracts that labs test theirs with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import tifffile
from fixtures.labelled_plate import write_labelled_plate
from fixtures.small_release import CHANNELS, SIDE, write_release
from fixtures.tiny_dataset import make_dataset
from fixtures.tiny_run import MARKERS, config, tiny_data

from data_tools.illumination import ILLUMINATIONS
from data_tools.nuclei import NUCLEI, FieldOfView
from data_tools.simulate import PlateConfig, simulate_plate
from framework.baselines import BASELINES
from framework.data.augmentations import AUGMENTATIONS
from framework.data.dataset import Dataset
from framework.data.plan import PLANS
from framework.data.scales import SCALES
from framework.data.store import TileStore
from framework.models import BACKBONES, POOLS
from framework.run import fit
from framework.trainer.optimisers import OPTIMISERS
from framework.trainer.schedules import SCHEDULES
from wellstream.testing import (
    AugmentationContract,
    BackboneContract,
    BaselineContract,
    IlluminationContract,
    NucleiContract,
    OptimiserContract,
    PlanContract,
    PoolContract,
    ReaderContract,
    ScaleContract,
    ScheduleContract,
)


def of(registry: Any, key: str = "name", **more: Any) -> Any:
    """Parametrise a fixture over all names of a registry."""
    return pytest.fixture(params=[{key: name, **more} for name in registry.names()], ids=lambda plain: plain[key])


class TestNucleiInPixels(NucleiContract):
    @pytest.fixture(params=[name for name in NUCLEI.names() if NUCLEI.get(name).build.from_pixels])
    def options(self, request: pytest.FixtureRequest) -> Any:
        return self.read({"method": request.param, "channel": "DNA", "diameter_px": 14})


class TestLabels(NucleiContract):
    plain: ClassVar = {"method": "labels", "channel": "DNA", "images": {"path": "x", "pattern": "(?P<image>.+)"}}
    least_f1 = 1.0

    @pytest.fixture
    def field(self, tmp_path: Path) -> Any:
        plate = write_labelled_plate(tmp_path)
        file = tmp_path / "labels.tif"
        tifffile.imwrite(file, plate.labels("A01", 1))
        place = FieldOfView(plate="P1", well="A01", site=1, files=(file,))
        return plate.images["A01", 1][0], plate.truth["A01", 1].astype(np.float64), place


class TestTilesOfTheRelease(NucleiContract):
    least_f1 = 1.0

    @pytest.fixture
    def options(self, tmp_path: Path) -> Any:
        write_release(tmp_path / "release")
        return self.read({"method": "image2omics", "channel": CHANNELS[0], "path": str(tmp_path / "release" / "TILES")})

    @pytest.fixture
    def field(self, method: Any) -> Any:
        place = FieldOfView(plate="BR001", well="A01", site=0, image="ICF.X1.Y1.P1.0.BR001.h5")
        files = method.survey([place]).files[place.key]
        # Top left corners of the fixture, half a tile of 128 px further.
        centres = np.array([[0, 0], [5, 17], [32, 32]]) + 64.0
        return np.random.default_rng(0).integers(1, 4000, (SIDE, SIDE)), centres, replace(place, files=files)


class TestIllumination(IlluminationContract):
    @of(ILLUMINATIONS, "method")
    def options(self, request: pytest.FixtureRequest) -> Any:
        return self.read(request.param)


class TestScales(ScaleContract):
    @of(SCALES)
    def options(self, request: pytest.FixtureRequest) -> Any:
        return self.read(request.param)

    @pytest.fixture
    def store(self, tmp_path: Path) -> TileStore:
        return TileStore(make_dataset(tmp_path / "data"))


class TestSymmetries(AugmentationContract):
    @pytest.fixture(params=[{"flip": True}, {"rotate90": True}, {"flip": True, "rotate90": True}], ids=str)
    def options(self, request: pytest.FixtureRequest) -> Any:
        return self.read({"name": "symmetries", **request.param})

    def test_every_augmentation_is_here(self) -> None:
        assert AUGMENTATIONS.names() == ["symmetries"], "add the new augmentation"

    def test_options_are_read_as_they_are_written(self, options: Any) -> None:
        assert type(options).from_plain(options.plain()) == options


PLAN_CASES = (
    {"name": "bags", "bags": 4, "tiles": 3},
    {"name": "balanced_bags", "by": ["x"], "conditions": 2, "bags": 3, "tiles": 4},
    {"name": "tiles", "tiles": 5},
    {"name": "pairs", "pairs": 4},
    {"name": "pairs", "pairs": 3, "by": ["x"]},
)


class TestPlans(PlanContract):
    @pytest.fixture(params=PLAN_CASES, ids=lambda plain: plain["name"])
    def options(self, request: pytest.FixtureRequest) -> Any:
        return self.read(request.param)

    def test_every_plan_is_here(self) -> None:
        assert {case["name"] for case in PLAN_CASES} == set(PLANS.names())


class TestBackbones(BackboneContract):
    @of(BACKBONES)
    def options(self, request: pytest.FixtureRequest) -> Any:
        return self.read(request.param)


class TestBaselines(BaselineContract):
    @of(BASELINES)
    def options(self, request: pytest.FixtureRequest) -> Any:
        if request.param["name"] == "imagenet":
            return self.read({**request.param, "resize_px": 32})
        return self.read(request.param)

    @pytest.fixture
    def dataset(self, trained: tuple[Dataset, Path]) -> Dataset:
        return trained[0]

    @pytest.fixture
    def run(self, trained: tuple[Dataset, Path]) -> Path:
        return trained[1]

    @pytest.fixture(scope="class")
    def trained(self, tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Path]:
        folder = tmp_path_factory.mktemp("baselines")
        data = tiny_data(folder / "data")
        fit(config(MARKERS, "train.steps=2", "train.save_every=2", run=folder / "run", data=data.root))
        return data, folder / "run"


class TestPools(PoolContract):
    @of(POOLS)
    def options(self, request: pytest.FixtureRequest) -> Any:
        return self.read(request.param)


class TestOptimisers(OptimiserContract):
    @of(OPTIMISERS, lr=0.01)
    def options(self, request: pytest.FixtureRequest) -> Any:
        return self.read(request.param)


class TestSchedules(ScheduleContract):
    @of(SCHEDULES)
    def options(self, request: pytest.FixtureRequest) -> Any:
        needed = {"step": {"every": 3}}
        return self.read({**request.param, **needed.get(request.param["name"], {})})


class TestFilenames(ReaderContract):
    @pytest.fixture
    def options(self, tmp_path: Path) -> Any:
        return self.read(write_labelled_plate(tmp_path).plain({})["plates"][0]["source"])


class TestImageXpress(ReaderContract):
    @pytest.fixture
    def options(self, tmp_path: Path) -> Any:
        (tmp_path / "TimePoint_1").mkdir()
        for well in ("A02", "B01"):
            tifffile.imwrite(tmp_path / f"TimePoint_1/P_{well}_s1_w1.tif", np.arange(12, dtype=np.uint16).reshape(3, 4))
        return self.read({"name": "imagexpress", "path": str(tmp_path), "channel_names": {"w1": "DNA"}})


class TestCellVoyager(ReaderContract):
    @pytest.fixture
    def options(self, tmp_path: Path) -> Any:
        for well in ("A02", "B01"):
            name = f"P_{well}_T0001F001L01A01Z01C01.tif"
            tifffile.imwrite(tmp_path / name, np.arange(12, dtype=np.uint16).reshape(3, 4))
        return self.read({"name": "cellvoyager", "path": str(tmp_path)})


class TestOtherDoors(ReaderContract):
    @pytest.fixture(params=["gallery", "omezarr"])
    def options(self, request: pytest.FixtureRequest, tmp_path: Path) -> Any:
        sizes = {"rows": 2, "columns": 3, "replicates": 1, "perturbations": 3, "sites": 1, "size_px": 64}
        few = {"cells_per_site": 2, "transcripts": 2, "proteins": 2, "out_of_focus_wells": 0, "nucleus_diameter_px": 8}
        simulate_plate(PlateConfig(**sizes, **few, stimulations=("M1",), layout=request.param), tmp_path / "raw")
        return self.read({"name": request.param, "path": str(tmp_path / "raw" / "SIM")})


class TestRelease(ReaderContract):
    @pytest.fixture
    def options(self, tmp_path: Path) -> Any:
        write_release(tmp_path / "release")
        return self.read({"name": "image2omics", "path": str(tmp_path / "release" / "ICF"), "plate": "BR002"})


class TestHarmony(ReaderContract):
    @pytest.fixture(scope="class")
    def folder(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("harmony") / "raw"
        sizes = {"rows": 2, "columns": 3, "replicates": 1, "perturbations": 3, "sites": 1, "size_px": 64}
        few = {"cells_per_site": 2, "transcripts": 5, "proteins": 5, "out_of_focus_wells": 0}
        simulate_plate(PlateConfig(**sizes, **few, stimulations=("M1",), nucleus_diameter_px=8), folder)
        return folder / "SIM"

    @pytest.fixture
    def options(self, folder: Path) -> Any:
        return self.read({"name": "harmony", "path": str(folder)})
