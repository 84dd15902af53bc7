"""The names of the face, each once: type checkers read them here, ``framework.lazy`` at the first use of a name."""

from data_tools.pipeline import convert as convert
from data_tools.readers.cells import CELL_READERS as CELL_READERS
from data_tools.readers.plates import READERS
from data_tools.readers.tables import CELL_TABLES as CELL_TABLES
from data_tools.release import import_release as import_release
from framework import __version__ as __version__
from framework.baselines import BASELINES as BASELINES
from framework.data.export import EXPORTS as EXPORTS
from framework.data.export import export_dataset as export_dataset
from framework.data.export import is_dataset as is_dataset
from framework.data.plan import PLANS as PLANS
from framework.data.verify import verify_dataset as verify_dataset
from framework.errors import WellstreamError as WellstreamError
from framework.evaluate import EVALUATIONS as EVALUATIONS
from framework.evaluate import align as align
from framework.evaluate import correlate as correlate
from framework.models import BACKBONES as BACKBONES
from framework.objectives import OBJECTIVES as OBJECTIVES
from framework.profiles import METHODS
from framework.report import FIGURES as FIGURES
from framework.run import features as features
from framework.run import import_checkpoint as import_checkpoint
from framework.run import verify_run as verify_run
from wellstream.calibration import intervals as intervals
from wellstream.configs import config as config
from wellstream.configs import config_kinds as config_kinds
from wellstream.data import Dataset as Dataset
from wellstream.drawings import figure as figure
from wellstream.drawings import list_figures as list_figures
from wellstream.exports import ingest as ingest
from wellstream.exports import update as update
from wellstream.expression import express as express
from wellstream.feature_sets import evaluate_features as evaluate_features
from wellstream.looks import preview as preview
from wellstream.pages import report as report
from wellstream.pages import track as track
from wellstream.profiles import aggregate as aggregate
from wellstream.profiles import normalise as normalise
from wellstream.profiles import retrieve as retrieve
from wellstream.runs import Run as Run
from wellstream.runs import export as export
from wellstream.runs import fit as fit
from wellstream.runs import fit_heads as fit_heads
from wellstream.runs import open_run as open_run
from wellstream.runs import rehearse as rehearse
from wellstream.scores import evaluate as evaluate
from wellstream.shared import joined as joined
from wellstream.simulations import simulate_crops as simulate_crops
from wellstream.simulations import simulate_ifc as simulate_ifc
from wellstream.simulations import simulate_plate as simulate_plate
from wellstream.single_cells import prepare as prepare
from wellstream.starts import init as init
from wellstream.studies import study as study

PLATE_READERS = READERS
NORMALISATIONS = METHODS
