"""Every objective of the registry keeps the contract; and what only ours promise."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from framework.errors import RunError
from framework.models import BagEncoder, MeanPoolConfig, build_backbone
from framework.objectives import OBJECTIVES, Embeds, Objective, Predicts, PretrainedBackbone
from framework.objectives.painting import Painting
from wellstream.testing import ObjectiveContract

BACKBONE = {"name": "small_cnn", "widths": [4, 8], "norm": "group", "dense": [8, 6]}
CASES: dict[str, list[dict[str, Any]]] = {
    "triplet_mil": [
        {"backbone": BACKBONE},
        {"backbone": BACKBONE, "mining": "hard", "aggregate": "backbone", "l2_normalise": True, "average": "active"},
        {"backbone": BACKBONE, "mining": "all", "pool": "attention", "gradient_cache": 4},
    ],
    "omics_heads": [
        {"targets": ["rna_M1", "protein_M1"]},
        {"targets": ["protein_M1"], "authors_relu": True},
    ],
    "omics_bags": [
        {"targets": ["rna_M1", "protein_M1"], "backbone": BACKBONE},
        {"targets": ["rna_M1"], "backbone": BACKBONE, "pool": {"name": "gated_attention", "hidden": 5}, "dropout": 0.0},
        {
            "targets": ["rna_M1", "protein_M1"],
            "backbone": BACKBONE,
            "pool": {"name": "set_attention", "heads": 2},
            "aggregate": "backbone",
            "gradient_cache": 4,
        },
        {"targets": ["protein_M1"], "pretrained": "RUN", "pool": "gated_attention", "authors_relu": True},
    ],
    "marker_regression": [
        {"markers": ["FRA1", "MITF"], "backbone": BACKBONE, "transform": "log10"},
        {"markers": ["MITF"], "backbone": BACKBONE, "loss": "mse", "transform": "unit_range", "standardise": False},
    ],
    "cell_expression": [
        {"genes": ["FRA1"], "total": "MITF", "min_cells": 1, "backbone": BACKBONE, "likelihood": each}
        for each in ("log_share", "poisson", "negative_binomial")
    ],
}
LABELLED = tuple(CASES)
PAINTING = {"backbone": {"name": "alexnet", "widths": [4, 6, 8, 8, 6]}, "decoder_widths": [6, 8, 8, 6, 4]}
CASES["paired_inpainting"] = [
    {"structure": ["A"], "protein": ["B"], "marker_widths": [2, 3, 3], **PAINTING},
    {
        "structure": ["B"],
        "protein": ["A"],
        "source": ["A"],
        "backbone": {"name": "resnet18", "width": 4},
        "layer": "layer2",
    },
]
CASES["autoencoder"] = [PAINTING]


def made_backbone() -> PretrainedBackbone:
    torch.manual_seed(5)
    config = OBJECTIVES.get("triplet_mil").config.from_plain({"name": "triplet_mil", "backbone": BACKBONE}).backbone
    return PretrainedBackbone(
        encoder_config=config,
        aggregate="backbone",
        pool=MeanPoolConfig(),
        l2_normalise=False,
        channels=("A", "B"),
        state=BagEncoder(build_backbone(config, 2), aggregate="backbone").state_dict(),
    )


class _Ours(ObjectiveContract):
    @pytest.fixture
    def pretrained(self) -> PretrainedBackbone:
        return made_backbone()

    def test_the_roles_of_ours(self, options: Any, objective: Objective) -> None:
        assert isinstance(objective, Embeds)
        predicting = ("omics_heads", "omics_bags", "marker_regression", "cell_expression")
        assert isinstance(objective, Predicts) == (options.name in predicting)

    def test_another_run_can_build_on_the_backbone(self, objective: Objective) -> None:
        assert isinstance(objective, Embeds)
        if isinstance(objective, Painting):
            with pytest.raises(RunError, match="has no backbone that another run could start from"):
                objective.backbone_facts()
            return
        facts = objective.backbone_facts()
        assert facts.channels == ("A", "B")
        assert facts.in_channels == 2
        tiles = torch.randn(2, 3, 2, 16, 16)
        with torch.no_grad():
            torch.testing.assert_close(
                facts.build().eval()(tiles), objective.eval().embed_bags(objective.embed_tiles(tiles))
            )


def cases(*names: str) -> list[dict[str, Any]]:
    return [{"name": name, **options} for name in names for options in CASES[name]]


class TestLabelled(_Ours):
    @pytest.fixture(params=cases(*LABELLED), ids=lambda case: case["name"])
    def options(self, request: pytest.FixtureRequest) -> Any:
        return self.read(request.param)


class TestPainting(_Ours):
    needs_labels = False

    @pytest.fixture(params=cases("paired_inpainting", "autoencoder"), ids=lambda case: case["name"])
    def options(self, request: pytest.FixtureRequest) -> Any:
        return self.read(request.param)


def test_every_objective_has_a_case() -> None:
    assert sorted(CASES) == OBJECTIVES.names(), "add the new objective to CASES"
