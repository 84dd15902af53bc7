"""What a run writes down while it goes: metrics for people (JSON lines, wandb) and the audit of consumed tiles."""

from framework.tracking.audit import AuditLog, heads_in, next_attempt
from framework.tracking.audit_file import AuditTrail, RankFile, Stretch, read_audit
from framework.tracking.commit import commit_of
from framework.tracking.lines import Head, heads_of_state, heads_to_plain
from framework.tracking.metrics import read_metrics
from framework.tracking.replay import ReplaySummary, replay_run
from framework.tracking.tracker import Tracker, TrackingConfig
from framework.tracking.versions import versions

__all__ = [
    "AuditLog",
    "AuditTrail",
    "Head",
    "RankFile",
    "ReplaySummary",
    "Stretch",
    "Tracker",
    "TrackingConfig",
    "commit_of",
    "heads_in",
    "heads_of_state",
    "heads_to_plain",
    "next_attempt",
    "read_audit",
    "read_metrics",
    "replay_run",
    "versions",
]
