"""Base classes of objectives: modules that turn a batch into sums and counts, and know nothing about ranks.

Every objective defines ``measure``, ``labels`` and ``forward``. What a trained run can do beyond training is a role,
and a role is a base class: ``Embeds``, ``Predicts``, ``Paints``. ``class Mine(Embeds, Predicts)`` has two of them.
Commands ask ``isinstance(objective, Predicts)``, and nothing else. A method that is missing is named when the class is
registered.

Life of an objective::

    profile = Entry.build.measure(config, dataset, channels, train_bags, pretrained)   # plain facts, no weights
    objective = Entry.build(config, profile)                  # a module; its state_dict holds every weight
    objective.start_from(pretrained)                          # only at step 0, only where one was asked for
    labels = objective.labels(dataset)                        # what the loader attaches to batches
    losses = objective(batch, gather)                         # sums and counts, never means
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import nn

from framework.config import NamedOptions, StrictModel
from framework.data.batch import Batch, LabelTable
from framework.data.dataset import Dataset
from framework.data.plan import Plan
from framework.errors import RegistryError, RunError
from framework.models import NetworkOptions
from framework.objectives.pretrained import PretrainedBackbone
from framework.registry import Registry

Gather = Callable[[torch.Tensor], torch.Tensor]
"""(K, ...) rows of this rank -> (world * K, ...) rows of all ranks, rank by rank, with gradients to every rank."""


@dataclass(frozen=True, kw_only=True)
class Losses:
    """Sums over this rank's rows.

    Attributes:
        total: differentiable scalar, the sum of the loss over this rank's counted items.
        count: how many items that sum is over (0-d float tensor, no gradient); the trainer divides by the global count.
        parts: named (sum, count) pairs of 0-d tensors, for the log only.
    """

    total: torch.Tensor
    count: torch.Tensor
    parts: Mapping[str, tuple[torch.Tensor, torch.Tensor]]


class ObjectiveConfig(NamedOptions):
    """Options of an objective, and what a run must know of it before it is built."""

    requires_plan: ClassVar[str | None] = None
    """The only plan whose rows it can learn from; None: any."""

    couples_rows: ClassVar[bool] = False
    """Whether the loss of a row depends on other rows of the step, for example because rows are compared with each
    other. Such an objective cannot learn from one part of a step after the other (``train.accumulate``), so it defines
    ``cache_gradients``."""

    needs_pixels: ClassVar[bool] = True
    """True: it learns from pixels only. False: it can also train on cached tile embeddings (``data.embeddings``)."""

    @property
    def builds_on(self) -> str | None:
        """Folder of the run whose backbone, channels and scaling it uses; None: it does not build on another run."""
        return None

    @property
    def splits_rows(self) -> bool:
        """Whether the rows of a step pass the network in several chunks."""
        return False

    @property
    def published(self) -> NetworkOptions | None:
        """The options of its network, where they name weights to begin with."""
        return next((each for each in self._networks().values() if each.weights is not None), None)

    def located(self, absolute: Callable[[str], str]) -> Self:
        """Return the options with every path in them made ``absolute``; paths in options of networks are found
        automatically."""
        changes = {name: each.located(absolute) for name, each in self._networks().items() if each.weights is not None}
        return self.model_copy(update=changes) if changes else self

    def _networks(self) -> dict[str, NetworkOptions]:
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: value for name, value in values.items() if isinstance(value, NetworkOptions)}


class PretrainedConfig(ObjectiveConfig):
    """Options of an objective that may build on another run."""

    pretrained: str | None = None
    """Folder of the run whose backbone is used; callers in Python may pass a backbone instead."""

    @property
    def builds_on(self) -> str | None:
        """The run that ``pretrained`` names."""
        return self.pretrained

    def located(self, absolute: Callable[[str], str]) -> Self:
        """Return the options with ``pretrained`` and the weights of networks made ``absolute``."""
        found = super().located(absolute)
        return found.model_copy(update={"pretrained": self.pretrained and absolute(self.pretrained)})


class ProfileWithTables(StrictModel):
    """A profile with a part that grows with the data, such as one row per gene. That part is kept as Parquet."""

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return name -> table, each a file ``<name>.parquet`` of the run folder."""
        raise NotImplementedError

    def without_tables(self) -> dict[str, Any]:
        """Return the rest of the profile in plain form."""
        raise NotImplementedError

    @classmethod
    def with_tables(cls, plain: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> Self:
        """Return the profile that ``without_tables`` and ``tables`` were made from.

        Raises:
            ValueError: they do not belong together.
        """
        raise NotImplementedError


class Objective(nn.Module, ABC):
    """Base class; subclasses register themselves with ``@OBJECTIVES.register(name, Config)``."""

    profile_type: ClassVar[type[StrictModel]]
    """Class of ``profile``, so that a checkpoint can be opened without the training data."""

    def __init__(self, config: ObjectiveConfig, profile: StrictModel) -> None:
        super().__init__()
        self.config = config
        self.profile = profile

    @classmethod
    def need_names(cls, config: Any, dataset: Dataset) -> None:
        """Before anything is measured, refuse columns, markers or targets of the config that the dataset does not have.

        Raises:
            WellstreamError: names all of them; it is shown together with the other mistakes of the config.
        """

    @classmethod
    @abstractmethod
    def measure(
        cls,
        config: Any,
        dataset: Dataset,
        channels: tuple[str, ...],
        train_bags: npt.NDArray[np.int64],
        pretrained: PretrainedBackbone | None = None,
    ) -> Any:
        """Return the profile: facts measured on the training bags only (means, gene names, class names)."""

    @abstractmethod
    def labels(self, dataset: Dataset) -> dict[str, LabelTable]:
        """Return the label tables this objective reads from ``batch.labels``."""

    @abstractmethod
    def forward(self, batch: Batch, gather: Gather) -> Losses:
        """Return this rank's loss sums; ``gather`` is the only way to see other ranks' rows.

        Show a network in train mode only ``batch.without_padding()``, because with batch normalisation rows influence
        each other. The network must also accept a batch without rows. A gather needs all rows again:
        ``batch.with_padding(rows)``.
        """

    def check_plan(self, plan: Plan, labels: Mapping[str, LabelTable], part: str) -> None:
        """Refuse a plan whose steps hold nothing to learn from. By default nothing is checked.

        Args:
            plan: over the bags of ``part``.
            labels: as ``labels`` gives them.
            part: part of the split, ``train`` or ``val``.

        Raises:
            RunError: there is nothing to learn; the message says what a step holds, and what to change.
        """

    def cache_gradients(self, parts: int) -> None:
        """Pass the rows of a training step through the network in ``parts`` chunks; the loss sees all rows at once.

        Memory holds the activations of one chunk at a time. In the backward pass each chunk is computed again
        (``framework.models.recompute``).

        Raises:
            RunError: this objective cannot do that.
        """
        raise RunError(
            f"{type(self).__name__} compares the rows of a step with each other, so it cannot see them in "
            "parts; leave out train.accumulate"
        )

    def start_from(self, pretrained: PretrainedBackbone) -> None:
        """Copy the weights of another run, before the first step.

        Raises:
            RunError: this objective does not build on another run.
        """
        raise RunError(f"{type(self).__name__} does not start from a pretrained backbone")


class Embeds(Objective):
    """Role: a trained run gives vectors of tiles and bags (``wellstream embed``)."""

    @abstractmethod
    def embed_tiles(self, tiles: torch.Tensor) -> torch.Tensor:
        """(..., C, H, W) scaled tiles -> (..., E) tile embeddings, the vectors that are pooled over a bag."""

    def embed_bags(self, embedded: torch.Tensor) -> torch.Tensor:
        """(K, N, E) from ``embed_tiles`` -> (K, D) bag embeddings: the mean, unless the objective has another pool."""
        return embedded.mean(dim=1)

    def tile_shares(self, embedded: torch.Tensor) -> torch.Tensor | None:
        """(K, N, E) from ``embed_tiles`` -> (K, N), the share of each tile in its bag; None where none is learned."""
        return None

    def backbone_facts(self) -> PretrainedBackbone:
        """Return what another run needs to build on this one.

        Raises:
            RunError: nothing can build on this objective.
        """
        raise RunError(f"a run of {type(self).__name__} has no backbone that another run could start from")

    def feature_network(self) -> nn.Module:
        """Return the network that takes (n, C, H, W) tiles of ``source_cells``; ``embed`` can be asked for its layers.

        Raises:
            RunError: this objective has none.
        """
        raise RunError(f"a run of {type(self).__name__} has no layers to take features from")

    def feature_options(self) -> StrictModel:
        """Return the options that ``feature_network`` was built from.

        Raises:
            RunError: this objective does not say.
        """
        raise RunError(f"a run of {type(self).__name__} does not say what its network was built from")

    def embedding_note(self) -> str:
        """Return one line: what the vector of a tile is, and how the vectors of a bag become one."""
        return "the vector of a tile"

    def feature_channels(self) -> tuple[str, ...]:
        """Return the names of the channels that ``feature_network`` sees, in order.

        Raises:
            RunError: this objective does not say.
        """
        raise RunError(f"a run of {type(self).__name__} does not say which channels its network sees")

    def tile_network(self) -> nn.Module:
        """Return a module that gives what ``embed_tiles`` gives, for (n, C, H, W) tiles at once (``export``)."""
        return TileNetwork(self)

    def source_cells(self, cells: torch.Tensor) -> torch.Tensor:
        """(n, C, H, W) with all channels of the run -> the channels that ``feature_network`` takes (by default all)."""
        return cells


class TileNetwork(nn.Module):
    """``embed_tiles`` of an objective as a module."""

    def __init__(self, objective: Embeds) -> None:
        super().__init__()
        self.objective = objective

    def forward(self, tiles: torch.Tensor) -> torch.Tensor:
        """(n, C, H, W) scaled tiles -> (n, E)."""
        return self.objective.embed_tiles(tiles)


@dataclass(frozen=True, kw_only=True)
class Output:
    """One column of predictions.

    Attributes:
        target: what is predicted; each target gets its own file.
        name: name of the column, such as a gene or a marker.
        train_mean: mean over the training part, in the units of the predictions; NaN where nothing was measured.
        train_sd: standard deviation over the training part, in the same units.
    """

    target: str
    name: str
    train_mean: float = float("nan")
    train_sd: float = float("nan")


class Predicts(Objective):
    """Role: a trained run predicts numbers of bags or tiles (``wellstream predict``)."""

    predicts_per: ClassVar[Literal["bag", "tile"]]
    """Whether ``predict`` gives one row per bag or per tile."""

    @abstractmethod
    def predict(self, batch: Batch) -> torch.Tensor:
        """(K, P) predictions per bag or (K, N, P) per tile, in units of the targets, columns as ``outputs``."""

    @abstractmethod
    def outputs(self) -> Sequence[Output]:
        """Return the P columns of the predictions, in their order."""


class Paints(Objective):
    """Role: a trained run paints channels of a target cell after a source cell (``wellstream inpaint``)."""

    @property
    @abstractmethod
    def given(self) -> tuple[str, ...]:
        """Channels of the target that are given."""

    @property
    @abstractmethod
    def painted(self) -> tuple[str, ...]:
        """Channels of the target that are painted."""

    @abstractmethod
    def inpaint(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Paint targets after sources, both (n, C, H, W) with all channels of the run -> (n, P, H, W).

        Of the targets only the channels ``given`` are read.
        """

    @abstractmethod
    def truth(self, cells: torch.Tensor) -> torch.Tensor:
        """(n, C, H, W) -> the channels ``painted`` as they are (n, P, H, W)."""


ROLE_OF: Mapping[str, type[Objective]] = {
    "embed_tiles": Embeds,
    "predict": Predicts,
    "outputs": Predicts,
    "inpaint": Paints,
}
"""Method -> the role that has it."""


def at_least_float32(values: torch.Tensor) -> torch.Tensor:
    """Return values (any shape) as float32, because losses are not summed in the half precision of autocast.

    float64 stays.
    """
    return values.to(torch.promote_types(values.dtype, torch.float32))


def need_whole(name: str, objective: type[Objective]) -> None:
    """Check that a class has everything an objective of its roles must have.

    Raises:
        RegistryError: no objective, a method or class variable that is missing, or a method of a role without the role.
    """
    where = f"objective '{name}': class {objective.__name__}"
    if not (isinstance(objective, type) and issubclass(objective, Objective)):
        raise RegistryError(f"{where} is not an Objective; write: class {objective.__name__}(Objective)")
    for method, role in ROLE_OF.items():
        if hasattr(objective, method) and not issubclass(objective, role):
            raise RegistryError(
                f"{where} defines {method} without the role it belongs to, so no command would call it; write: "
                f"class {objective.__name__}({role.__name__})"
            )
    variables = ("profile_type", *(("predicts_per",) if issubclass(objective, Predicts) else ()))
    missing = [*sorted(objective.__abstractmethods__), *(each for each in variables if not hasattr(objective, each))]
    if missing:
        asking = next(
            base
            for base in (Objective, Embeds, Predicts, Paints)
            if missing[0] in {*base.__abstractmethods__, *base.__annotations__}
        )
        raise RegistryError(f"{where} does not define {', '.join(missing)}; see {asking.__name__}.{missing[0]}")


OBJECTIVES: Registry[type[Objective]] = Registry("objective", options=ObjectiveConfig, check=need_whole)
