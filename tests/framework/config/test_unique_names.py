"""Lists of names in configs: whatever the section, a name that appears twice is a mistake with its key."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from data_tools.platemap import PlatemapConfig
from data_tools.readers.cells.multipage import MultipageConfig
from data_tools.single_cell import SingleCellConfig
from framework.config import StrictModel, UniqueNames
from framework.objectives.paired_inpainting import PairedInpaintingConfig
from framework.profiles.config import NormaliseConfig


class Section(StrictModel):
    names: UniqueNames = ()


def test_order_and_case_stay_as_written() -> None:
    assert Section(names=["b", "a", "B"]).names == ("b", "a", "B")


@pytest.mark.parametrize(
    ("model", "plain", "key"),
    [
        (Section, {"names": ["a", "b", "a"]}, "names"),
        (PlatemapConfig, {"path": "x.csv", "not_imaged": ["A01", "A01"]}, "not_imaged"),
        (MultipageConfig, {"name": "multipage", "path": "x", "pattern": "x", "channels": ["a", "a"]}, "channels"),
        (SingleCellConfig, {"name": "x", "genes": "g.csv", "markers": ["CD4", "CD4"]}, "markers"),
        (NormaliseConfig, {"methods": "z", "by": ["Metadata_Plate", "Metadata_Plate"]}, "by"),
        (
            PairedInpaintingConfig,
            {"name": "paired_inpainting", "structure": ["A", "A"], "protein": ["B"]},
            "structure",
        ),
    ],
)
def test_a_name_that_stands_twice_is_refused_with_its_key(model: Any, plain: dict[str, Any], key: str) -> None:
    with pytest.raises(ValidationError) as caught:
        model.from_plain(plain)
    errors = [error for error in caught.value.errors() if error["loc"][0] == key]
    assert len(errors) == 1
    assert "twice; name each once" in errors[0]["msg"]
