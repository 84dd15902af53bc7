"""``verify_run``: proof from the audit that every planned row was consumed exactly once, over all restarts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from framework import checkpoint
from framework.data.permutation import I64
from framework.data.plan import Plan
from framework.data.store import dataset_digest
from framework.data.verify import Verdict
from framework.errors import RunError
from framework.run.train.batches import plan_of
from framework.run.train.config import Draw, RunConfig
from framework.run.train.folder import RunFolder
from framework.run.train.identity import contradictions
from framework.run.train.objective import fresh_objective
from framework.run.verification.audit import Faults, check_heads, check_stretch
from framework.tracking import AuditTrail, Head, Stretch, heads_of_state, read_audit


def verify_run(run: Path | str, head: str | None = None) -> Verdict:
    """Check the audit of a run against its plan, which is computed again from config and data alone.

    For every step that led to the newest checkpoint, each rank of the attempt that did it left exactly one record, and
    it is that of the planned rows of this rank. Every line up to that checkpoint is the one that was there when the
    checkpoint was written, whose state holds the head of each rank's chain. Steps that a killed attempt did after its
    last checkpoint do not count: their effect was thrown away with it.

    Args:
        run: the run folder.
        head: digest of a checkpoint, as an earlier verification printed it; then that checkpoint is proved, and must
            be the very one. None takes the newest valid checkpoint.

    Raises:
        RunError: names file, line and step of what is missing, repeated or altered.
        CheckpointError: no checkpoint has this head.
    """
    folder = RunFolder(root=Path(run))
    config = folder.config()
    path = (
        checkpoint.newest_valid(folder.checkpoints) if head is None else checkpoint.of_digest(folder.checkpoints, head)
    )
    if path is None:
        raise RunError(f"{folder.root}: no valid checkpoint, so there is nothing to prove")
    found = checkpoint.load(path)
    state, steps = found.state, found.step
    heads = heads_of_state(state, path)
    named = _named_heads(folder)
    trail = read_audit(folder.root, {rank: frozenset(each) for rank, each in named.items()})
    faults = Faults()
    for said in contradictions(folder, config, state):
        faults.add(said)
    # With other facts the plan is another one, and each of its steps would be told as a fault too.
    faults.raise_any(folder.root)
    check_heads(faults, trail, heads or {}, path.name, named)
    stretches = trail.lineage(found.fact("attempt", int), steps)
    plan = _plan(folder, config)
    for stretch in stretches:
        check_stretch(faults, trail, stretch, plan, heads)
    faults.raise_any(folder.root)
    told = _sentences(folder, path.name, stretches, plan, steps)
    told[-1:-1] = _limits(trail, stretches, path, heads)
    return Verdict(sentences=tuple(told))


def _named_heads(folder: RunFolder) -> dict[int, dict[int, tuple[str, str]]]:
    """Return rank -> number of lines -> (digest, checkpoint) of every head that some checkpoint holds."""
    named: dict[int, dict[int, tuple[str, str]]] = {}
    for path, state in checkpoint.sound_states(folder.checkpoints).items():
        for rank, head in (heads_of_state(state, path) or {}).items():
            named.setdefault(rank, {}).setdefault(head.lines, (head.digest, path.name))
    return named


def _plan(folder: RunFolder, config: RunConfig) -> Plan:
    dataset = folder.dataset(config, "write its new place into that file")
    facts = folder.objective_facts()
    if dataset_digest(dataset) != facts.dataset_digest:
        raise RunError(f"{config.data.path} is not the dataset this run was trained on ('{facts.dataset}')")
    measured = folder.measured(config, dataset.bags)
    objective = fresh_objective(config, measured.profile)
    return plan_of(config, dataset, measured.parts, "train", objective, objective.labels(dataset), Draw.BATCHES)


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


def _limits(trail: AuditTrail, stretches: tuple[Stretch, ...], path: Path, heads: dict[int, Head] | None) -> list[str]:
    """Say what the proof rests on, and what would be needed to trust it more."""
    if heads is None:
        return [
            f"{path.name} was written before checkpoints held the head of the audit, so this proves only that the "
            "audit as it lies here agrees with the plan, not that nobody edited it"
        ]
    digest = checkpoint.digest(path)
    told = [
        f"each audit line up to {path.name} is the one that was there when it was written; head {digest}. This does "
        "not hold against someone who rewrote checkpoints too, unless you noted the head elsewhere before: wellstream "
        f"verify {path.parent.parent} --head {digest}"
    ]
    records = [trail.files[0].attempts[each.attempt] for each in stretches if each.stop > each.start]
    unlinked = [each.header for each in records if not each.is_linked]
    if unlinked:
        told.append(
            f"{len(unlinked)} attempt(s) were recorded before audits were chained: of those it proves only that their "
            "lines agree with the plan and are as they were when the next attempt began"
        )
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
