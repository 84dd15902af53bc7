"""``verify_run``: proof from the audit that every planned row was consumed exactly once, over all restarts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from framework import checkpoint
from framework.data import split
from framework.data.dataset import Dataset
from framework.data.permutation import I64
from framework.data.plan import Plan, digest_rows
from framework.data.store import dataset_digest
from framework.data.verify import Verdict
from framework.errors import RunError
from framework.run.config import RunConfig
from framework.run.folder import RunFolder
from framework.run.parts import BATCHES, plan_of, stream
from framework.tracking import AuditTrail, Stretch, read_audit

_WORD = 1 << 64


def verify_run(run: Path | str) -> Verdict:
    """Check the audit of a run against its plan, which is computed again from config and data alone.

    For every step that led to the newest checkpoint, each rank of the attempt that did it left exactly one record, and
    their digests add up to the digest of the planned rows. Steps that a killed attempt did after its last checkpoint do
    not count: their effect was thrown away with it.

    Raises:
        RunError: names each step whose record is missing, repeated or altered.
    """
    folder = RunFolder(root=Path(run))
    config = folder.config()
    path = checkpoint.newest_valid(folder.checkpoints)
    if path is None:
        raise RunError(f"{folder.root}: no valid checkpoint, so there is nothing to prove")
    state = checkpoint.load(path).state
    trail, steps = read_audit(folder.root), int(state["step"])
    stretches = trail.lineage(int(state["attempt"]), steps)
    plan = _plan(folder, config)
    faults = [fault for stretch in stretches for fault in _faults(trail, stretch, plan)]
    if faults:
        shown = "\n".join(faults[:10])
        raise RunError(
            f"{folder.root}: the audit does not prove what was consumed; {len(faults)} step(s) differ from the plan:\n"
            + shown
        )
    return Verdict(sentences=tuple(_sentences(folder, path.name, stretches, plan, steps)))


def _plan(folder: RunFolder, config: RunConfig) -> Plan:
    dataset = Dataset.open(config.data.path, config.data.cache)
    facts = folder.objective_facts()
    if dataset_digest(dataset) != facts.dataset_digest:
        raise RunError(f"{config.data.path} is not the dataset this run was trained on ('{facts.dataset}')")
    parts = split.read(folder.split_file, dataset.bags)
    objective = folder.objective(config)
    labels, seed = objective.labels(dataset), stream(config.train.seed, BATCHES)
    return plan_of(config, dataset, parts, "train", labels, objective.output, seed)


def _faults(trail: AuditTrail, stretch: Stretch, plan: Plan) -> list[str]:
    """Return a sentence for each step of a stretch whose records are not what the plan asks for."""
    found = []
    for step in range(stretch.start, stretch.stop):
        records = trail.records.get((stretch.attempt, step), [])
        present = sorted(rank for rank, _, _ in records)
        expected = list(range(stretch.world))
        where = f"step {step} (attempt {stretch.attempt})"
        if present != expected:
            missing = sorted(set(expected) - set(present))
            what = f"no record of rank {missing[0]}" if missing else f"records of ranks {present}, expected {expected}"
            found.append(f"{where}: {what}")
            continue
        rows = plan.at(step)
        count, digest = sum(n for _, n, _ in records), sum(d for _, _, d in records) % _WORD
        if count != int((rows.weights > 0).sum()) or digest != digest_rows(rows):
            found.append(f"{where}: {count} rows with digest {digest:016x}, planned were others")
    return found


def _sentences(folder: RunFolder, name: str, stretches: tuple[Stretch, ...], plan: Plan, steps: int) -> list[str]:
    first = stretches[0].start
    worlds = ", ".join(f"steps {s.start} to {s.stop} on {s.world} rank(s)" for s in stretches if s.stop > s.start)
    told = [
        f"{folder.root}: each of the {steps - first} steps behind {name} was consumed exactly as planned ({worlds})"
    ]
    if first:
        told.append(f"steps 0 to {first} belong to the checkpoint of another run and are not proved here")
    if len(stretches) > 1:
        told.append(f"over {len(stretches) - 1} restart(s), no step was lost and none counted twice")
    told.append(_epochs(plan, first, steps))
    return told


def _epochs(plan: Plan, first: int, steps: int) -> str:
    """Check that every whole epoch inside [first, steps) visits the same units, each exactly once."""
    each = plan.steps_per_epoch
    whole = range(-(-first // each), steps // each)
    if not len(whole):
        return f"no whole epoch yet: one has {each} steps"
    units: I64 | None = None
    for epoch in whole:
        visited = np.sort(np.concatenate([plan.visits(plan.at(epoch * each + inside)) for inside in range(each)]))
        if np.any(np.diff(visited) == 0) or (units is not None and not np.array_equal(visited, units)):
            raise RunError(f"epoch {epoch}: the plan does not visit every {plan.unit} exactly once")
        units = visited
    count = 0 if units is None else len(units)
    return f"{len(whole)} whole epoch(s), each visiting every one of {count} {plan.unit}s exactly once"
