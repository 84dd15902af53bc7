"""A whole study from one config: the commands of Image2Omics in order, each recorded, none done twice."""

from framework.study.carry_out import StudySummary, carry_out
from framework.study.config import StageConfig, StudyConfig, load_study_config
from framework.study.plan import plan_of
from framework.study.process import StepFailed, called
from framework.study.record import State, states_of
from framework.study.settings import overrides_of
from framework.study.step import Step, override

__all__ = [
    "StageConfig",
    "State",
    "Step",
    "StepFailed",
    "StudyConfig",
    "StudySummary",
    "called",
    "carry_out",
    "load_study_config",
    "override",
    "overrides_of",
    "plan_of",
    "states_of",
]
