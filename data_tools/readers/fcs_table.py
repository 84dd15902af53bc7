"""Events of an FCS file (flow cytometry standard) as a table, through the library FlowIO."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field

from data_tools.readers.cells_base import CELL_TABLES
from framework.config import StrictModel
from framework.errors import InputError


class FcsConfig(StrictModel):
    """One FCS file (2.0, 3.0 or 3.1) with a data set.

    Attributes:
        names: ``pnn`` takes the short names of the parameters, which every file has; ``pns`` the long ones (often the
            marker), and the short one where a parameter has no long one.
        scale: ``stored`` keeps the numbers of the file, ``linear`` undoes gains and logarithmic storage.
    """

    name: Literal["fcs"] = "fcs"
    path: str = Field(description="the .fcs file")
    names: Literal["pnn", "pns"] = "pnn"
    scale: Literal["stored", "linear"] = "linear"


@CELL_TABLES.register("fcs", FcsConfig)
def read_fcs(config: FcsConfig) -> pd.DataFrame:
    """Read the events of an FCS file.

    Returns:
        One row an event in stored order, a float64 column a parameter.

    Raises:
        InputError: FlowIO is not installed, no such file, damaged, or a name that comes twice.
    """
    try:
        import flowio
    except ImportError:
        raise InputError(
            f"{config.path}: reading FCS files needs the library FlowIO; install it with: pip install 'wellstream[ifc]'"
        ) from None
    file = Path(config.path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about gains of parameters nobody asked for
            flow = flowio.FlowData(file)
            events = np.asarray(flow.as_array(preprocess=config.scale == "linear"), dtype=np.float64)
    except FileNotFoundError:
        raise InputError(f"{file}: no such FCS file; correct 'path'") from None
    except Exception as error:  # FlowIO raises whatever a damaged byte leads it to
        raise InputError(
            f"{file}: no readable FCS file ({' '.join(str(error).split()) or type(error).__name__}); export it again"
        ) from None
    short, long = (tuple(name.strip() for name in labels) for labels in (flow.pnn_labels, flow.pns_labels))
    columns = [full or name for full, name in zip(long, short, strict=True)] if config.names == "pns" else list(short)
    twice = [name for name in dict.fromkeys(columns) if columns.count(name) > 1]
    if twice:
        raise InputError(f"{file}: {columns.count(twice[0])} parameters are called '{twice[0]}'; set 'names: pnn'")
    return pd.DataFrame(events, columns=columns)
