"""Before heads train: data, backbones and targets, each opened once, and for each model what it begins with."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from framework.data import split
from framework.data.batch import LabelTable
from framework.data.dataset import Dataset
from framework.data.format.schema import MANIFEST_NAME
from framework.data.permutation import I64
from framework.data.plan import BagsPlan
from framework.data.store import Store, dataset_digest
from framework.errors import RunError
from framework.models import BagEncoder
from framework.models.pools import MeanPool
from framework.objectives import OmicsHeads
from framework.objectives.omics_heads import OmicsHeadsProfile, frozen_encoder
from framework.objectives.omics_targets import TargetTable
from framework.run.heads.config import HeadsConfig, OneHead
from framework.run.heads.stack import Beginning, Stack
from framework.run.heads.training import Side, Trained
from framework.run.heads.vectors import BagVectors
from framework.run.heads.visits import Course, Visits
from framework.run.heads.writing import Known
from framework.run.train.batches import open_store, plan_of
from framework.run.train.config import Draw, RunConfig
from framework.run.train.folder import Measured, ObjectiveFacts, RunFolder, plain_profile
from framework.run.train.prepare import open_dataset, scale_of
from framework.run.train.pretrained import Foundation, foundation_to_train_on


@dataclass(frozen=True, kw_only=True, eq=False)
class Backbone:
    """A frozen backbone, ready for heads.

    Attributes:
        base: the run it comes from.
        encoder: with its weights, on the device.
        random: torch's random state after an encoder was drawn, from which a run of its own draws the heads.
    """

    base: Foundation
    encoder: BagEncoder
    random: torch.Tensor


class Sources:
    """What models share, each opened at the first use: datasets, targets, backbones, embeddings.

    Args:
        config: resolved.

    Raises:
        RunError: ``run_dir`` is a dataset.
    """

    def __init__(self, config: HeadsConfig) -> None:
        if (Path(config.run_dir) / MANIFEST_NAME).exists():
            raise RunError(
                f"{config.run_dir}: is a dataset folder, but a run needs its own folder; choose another run_dir"
            )
        self.dataset = cache(lambda path: open_dataset(config.data.model_copy(update={"path": path})))
        self.digest = cache(lambda path: dataset_digest(self.dataset(path)))
        self.table = cache(lambda path, target: TargetTable.read(self.dataset(path), target))
        self._bases: dict[tuple[str | None, str | None], Foundation] = {}
        self._backbones: dict[tuple[str | None, str | None], Backbone] = {}
        self._stores: dict[tuple[str, str | None], Store] = {}
        self._widths: dict[int, int] = {}
        self.labels = cache(self._labels)

    def data_of(self, one: OneHead) -> Dataset:
        """Return the dataset of a model."""
        dataset: Dataset = self.dataset(one.config.data.path)
        return dataset

    def base(self, config: RunConfig) -> Foundation:
        """Return what the heads of a run build on, after checking that its embeddings were made with these weights.

        Raises:
            RunError: no backbone, or embeddings of another one.
        """
        key = (config.objective.builds_on, config.data.embeddings)
        if key not in self._bases:
            base = foundation_to_train_on(config)
            if base is None:
                raise RunError(
                    "omics_heads needs a frozen backbone; set objective.pretrained to the folder of a pretraining run"
                )
            self._bases[key] = base
        return self._bases[key]

    def numbers(self, one: OneHead) -> int:
        """Return how many weights a model has at most."""
        base = self.base(one.config)
        if id(base) not in self._widths:
            self._widths[id(base)] = base.backbone.build().width
        return self.genes(one) * (self._widths[id(base)] + 1)

    def genes(self, one: OneHead) -> int:
        """Return how many genes the table of a model's target has."""
        return len(self.table(one.config.data.path, one.target).genes)

    def need_made_from(self, folder: RunFolder, one: OneHead) -> None:
        """Check that a finished model was made from these data and this backbone.

        Raises:
            RunError: it was not.
        """
        stored = folder.objective_facts()
        found = (self.digest(one.config.data.path), self.base(one.config).weights)
        if (stored.dataset_digest, stored.weights_of_embeddings) != found:
            raise RunError(
                f"{folder.root}: was trained on other data or another backbone than the config now names; "
                "choose another run_dir, or remove that folder"
            )

    def store(self, config: RunConfig, dataset: Dataset) -> Store:
        """Return the cached embeddings."""
        key = (config.data.path, config.data.embeddings)
        if key not in self._stores:
            self._stores[key] = open_store(config, dataset, ())
        return self._stores[key]

    def backbone(self, config: RunConfig, profile: OmicsHeadsProfile, device: torch.device) -> Backbone:
        """Return the backbone of a model; the random state is that of a run of its own."""
        key = (config.objective.builds_on, config.data.embeddings)
        if key not in self._backbones:
            base = self.base(config)
            torch.manual_seed(config.seed_of(Draw.WEIGHTS))
            encoder = frozen_encoder(profile)
            random = torch.get_rng_state()
            encoder.load_state_dict(dict(base.backbone.state))
            self._backbones[key] = Backbone(base=base, encoder=encoder.eval().to(device), random=random)
        return self._backbones[key]

    def _labels(self, path: str, target: str) -> npt.NDArray[np.float32]:
        table = self.table(path, target)
        return table.aligned(len(self.dataset(path).bags), [str(gene) for gene in table.genes]).astype(np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """Models that train side by side.

    Attributes:
        sides: their stacks.
        known: name of a model -> what its run folder needs beside the weights.
    """

    sides: list[Side]
    known: dict[str, Known]

    @classmethod
    def of(
        cls, group: Sequence[OneHead], sources: Sources, device: torch.device, ahead: ThreadPoolExecutor
    ) -> Prepared:
        """Prepare models; ``ahead`` is the one thread that makes their next steps.

        Raises:
            WellstreamError: data, split and targets do not fit together.
        """
        maker = _Maker(sources, device, ahead)
        known = {one.name: maker.known(one) for one in group}
        # Models of targets with equally many genes, on one backbone, have tensors of one shape.
        alike: dict[tuple[int, str, str | None], list[OneHead]] = {}
        for one in group:
            data = one.config.data
            alike.setdefault((sources.genes(one), data.path, data.embeddings), []).append(one)
        sides = [maker.side([known[one.name] for one in models]) for models in alike.values()]
        return cls(sides=sides, known=known)


class _Maker:
    """Makes models and stacks from sources; what models share is kept for the next."""

    def __init__(self, sources: Sources, device: torch.device, ahead: ThreadPoolExecutor) -> None:
        self._sources, self._device, self._ahead = sources, device, ahead
        self._vectors: dict[tuple[str | None, Draw], BagVectors] = {}
        self._visits: dict[tuple[str | None, bytes], Visits] = {}
        self._split: dict[tuple[str, str], split.Parts] = {}

    def known(self, one: OneHead) -> Known:
        """Measure the training part of a model."""
        config, sources = one.config, self._sources
        dataset, base = sources.data_of(one), sources.base(config)
        parts = self._parts(config)
        train = split.bags_in(parts, "train")
        if not len(train):
            raise RunError("the split leaves no bag for the part 'train'; see the section split")
        scale = scale_of(config, dataset, train, base)
        backbone = base.backbone
        profile = OmicsHeadsProfile(
            channels=scale.channels,
            backbone=backbone.encoder_config,
            aggregate=backbone.aggregate,
            pool=backbone.pool,
            l2_normalise=backbone.l2_normalise,
            targets=(sources.table(config.data.path, one.target).measure(train),),
        )
        facts = ObjectiveFacts(
            objective=config.objective.name,
            dataset=dataset.manifest.name,
            dataset_digest=sources.digest(config.data.path),
            weights_of_embeddings=base.weights,
            profile=plain_profile(profile),
        )
        measured = Measured(parts=parts, scale=scale, facts=facts, profile=profile)
        encoder = sources.backbone(config, profile, self._device).encoder
        return Known(one=one, measured=measured, encoder=encoder, bags=dataset.bags)

    def _parts(self, config: RunConfig) -> split.Parts:
        """Return the part of each bag; models of one split share them."""
        key = (config.data.path, config.split.model_dump_json())
        if key not in self._split:
            self._split[key] = split.assign(self._sources.dataset(config.data.path).bags, config.split)
        return self._split[key]

    def side(self, models: Sequence[Known]) -> Side:
        """Return the stack of models of targets with equally many genes."""
        first = models[0].one.config
        targets = list(dict.fromkeys(known.one.target for known in models))
        labels = [self._sources.labels(first.data.path, target) for target in targets]
        beginnings, trained, held_out, rows = [], [], [], 1
        for known in models:
            config, objective, place = known.one.config, self._fresh(known), targets.index(known.one.target)
            table = self._table(known, labels[place])
            plan = self._plan(known, objective, table, "train", Draw.BATCHES)
            bags = [plan.order(0)]
            if config.train.evaluate_every is not None:
                looks = self._plan(known, objective, table, "val", Draw.VALIDATION)
                bags.append(looks.order(0))
                held_out.append((self._of(config, looks, Draw.VALIDATION, objective).of(0, bags[1])[0], bags[1]))
            beginnings.append(_beginning(objective, place, self._genes(known), np.concatenate(bags)))
            vectors, steps = self._of(config, plan, Draw.BATCHES, objective), config.train.steps_in_all
            vectors.expect(plan.order(0))
            visits = self._visited(config, plan)
            trained.append(Trained(name=known.one.name, visits=visits, losses=np.zeros(steps), counts=np.zeros(steps)))
            rows = max(rows, plan.rows, *(len(each) for each in bags[1:]))
        stack = Stack(labels, beginnings, first.optim, self._device, rows)
        visited = [model.visits for model in trained]
        course = Course(visited, vectors, stack.offsets, stack.nobody, self._device, self._ahead)
        return Side(stack=stack, models=trained, course=course, held_out=held_out or None)

    def _fresh(self, known: Known) -> OmicsHeads:
        """Return the objective of a model as a run of its own would begin it."""
        profile = known.measured.profile
        if not isinstance(profile, OmicsHeadsProfile):
            raise TypeError(f"expected a profile of omics_heads, found {type(profile).__name__}")
        torch.set_rng_state(self._sources.backbone(known.one.config, profile, self._device).random)
        return known.objective

    def _genes(self, known: Known) -> I64:
        """Return the columns of the target's table that a model learns."""
        config, profile = known.one.config, known.measured.profile
        table = self._sources.table(config.data.path, known.one.target)
        if not isinstance(profile, OmicsHeadsProfile):
            raise TypeError(f"expected a profile of omics_heads, found {type(profile).__name__}")
        columns: I64 = table.genes.get_indexer(pd.Index(profile.targets[0].genes)).astype(np.int64)
        return columns

    def _table(self, known: Known, labels: npt.NDArray[np.float32]) -> dict[str, LabelTable]:
        """Return a label table that says which bags have a measurement, and no more: plans ask for nothing else."""
        genes = self._genes(known)
        mine = labels if len(genes) == labels.shape[1] else labels[:, genes]
        known_bags = np.where(np.isfinite(mine).any(axis=1), np.float32(0), np.float32(np.nan))
        return {"targets": LabelTable(per="bag", values=torch.from_numpy(known_bags)[:, None])}

    def _plan(
        self, known: Known, objective: OmicsHeads, table: dict[str, LabelTable], part: str, draw: Draw
    ) -> BagsPlan:
        config = known.one.config
        plan = plan_of(config, self._sources.data_of(known.one), known.measured.parts, part, objective, table, draw)
        if not isinstance(plan, BagsPlan):
            raise TypeError(f"expected the plan 'bags', found {type(plan).__name__}")
        return plan

    def _of(self, config: RunConfig, plan: BagsPlan, draw: Draw, objective: OmicsHeads) -> BagVectors:
        key = (config.data.embeddings, draw)
        if key not in self._vectors:
            dataset = self._sources.dataset(config.data.path)
            store = self._sources.store(config, dataset)
            encoder = objective.bag_encoder
            self._vectors[key] = BagVectors(
                store,
                plan.drawn,
                objective.head_input,
                encoder.width,
                len(dataset.bags),
                self._device,
                averages=isinstance(encoder.attention, MeanPool),
            )
        return self._vectors[key]

    def _visited(self, config: RunConfig, plan: BagsPlan) -> Visits:
        """Return the steps of a plan; models that may visit the same bags share them."""
        key = (config.data.embeddings, np.sort(plan.order(0)).tobytes())
        if key not in self._visits:
            self._visits[key] = Visits(plan, config.train.steps_in_all)
        return self._visits[key]


def _beginning(objective: OmicsHeads, table: int, genes: I64, bags: I64) -> Beginning:
    state = objective.state_dict()
    return Beginning(
        table=table,
        genes=genes,
        mean=objective.mean.numpy(),
        sd=objective.sd.numpy(),
        weight=state["heads.0.weight"],
        bias=state["heads.0.bias"],
        bags=bags,
    )
