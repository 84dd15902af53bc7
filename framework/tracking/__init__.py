"""What a run writes down while it goes: metrics for people (JSON lines, wandb) and the audit of consumed tiles."""

from framework.tracking.audit import AuditLog, AuditTrail, Stretch, next_attempt, read_audit
from framework.tracking.metrics import read_metrics
from framework.tracking.tracker import Tracker, TrackingConfig

__all__ = [
    "AuditLog",
    "AuditTrail",
    "Stretch",
    "Tracker",
    "TrackingConfig",
    "next_attempt",
    "read_audit",
    "read_metrics",
]
