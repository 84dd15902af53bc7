"""What commands need beside the face ``wellstream``, loaded at the first use of a name; see ``framework.lazy``."""

from framework.data.dataset import Dataset as Dataset
from framework.data.format.schema import of_plates as of_plates
from framework.distributed import Meeting as Meeting
from framework.distributed import place_of_master as place_of_master
from framework.distributed import start_processes as start_processes
from framework.distributed import this_rank as this_rank
from framework.evaluate import evaluation_kind as evaluation_kind
from framework.evaluate import render as render
from framework.evaluate import render_baselines as render_baselines
from framework.evaluate import targets_beside_baselines as targets_beside_baselines
from framework.run import config_to_train as config_to_train
from framework.study import StepFailed as StepFailed
from launch.doctor import doctor as doctor
from launch.submit import ingest_elsewhere as ingest_elsewhere
from launch.submit import train_elsewhere as train_elsewhere
from launch.train import train as train
