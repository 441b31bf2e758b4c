# The public names of viscy_data, each written here and nowhere else: `lazy_loader` reads this file when the
# package is imported, and type checkers and the reference read it, too.

from .augment.transforms import (
    Augment as Augment,
    Geometry as Geometry,
    Intensity as Intensity,
    center_crop as center_crop,
)
from .check.finding import CheckReport as CheckReport, Finding as Finding
from .check.run import check_anchors as check_anchors, check_experiments as check_experiments
from .cli.plain_errors import run_plainly as run_plainly
from .composition.axes import (
    AtMost as AtMost,
    Balance as Balance,
    Distinct as Distinct,
    Focus as Focus,
    Grouping as Grouping,
    Locality as Locality,
    Weighting as Weighting,
)
from .composition.curriculum import Curriculum as Curriculum
from .composition.plan import BatchPlan as BatchPlan
from .convert.run import convert_movies as convert_movies
from .dataset.anchor_dataset import AnchorDataset as AnchorDataset, Reading as Reading
from .dataset.loader import AnchorLoader as AnchorLoader, anchor_loader as anchor_loader
from .dataset.on_device import normalize_batch as normalize_batch
from .dataset.shown import ShownPatches as ShownPatches
from .errors import (
    CompositionWarning as CompositionWarning,
    ExperimentsFileError as ExperimentsFileError,
    InvalidInputError as InvalidInputError,
    OutputError as OutputError,
    StoreError as StoreError,
    TracksError as TracksError,
    ViscyDataError as ViscyDataError,
    WorkerError as WorkerError,
    suggest as suggest,
)
from .files.outputs import (
    check_entries as check_entries,
    check_output as check_output,
    check_outside as check_outside,
    claimed as claimed,
    marked as marked,
    write_text as write_text,
)
from .files.whole import (
    clear_leftovers as clear_leftovers,
    whole_file as whole_file,
    whole_folder as whole_folder,
)
from .files.yaml_file import read_yaml as read_yaml
from .images.statistics import (
    compute_statistics as compute_statistics,
    read_statistics as read_statistics,
    statistics_path as statistics_path,
    write_statistics as write_statistics,
)
from .images.store import StoreReader as StoreReader, describe as describe
from .images.z_window import ZWindow as ZWindow
from .importing.run import ImportSummary as ImportSummary, import_viscy as import_viscy
from .indexing.run import IndexSummary as IndexSummary, build_index as build_index
from .progress import LoggedProgress as LoggedProgress, progress_bar as progress_bar
from .rich_text import verbatim as verbatim
from .sampling.batch import IndexBatch as IndexBatch
from .sampling.deviations import Deviation as Deviation, deviations as deviations
from .sampling.described import describe_plan as describe_plan
from .sampling.flat import FlatArguments as FlatArguments, flat_plan as flat_plan
from .sampling.plan_file import change_plan as change_plan
from .sampling.ramp import ramp as ramp
from .sampling.report import CompositionReport as CompositionReport
from .sampling.sampler import FlexibleBatchSampler as FlexibleBatchSampler
from .synthetic.writing import synthesize as synthesize
from .tables.anchors.build import build_anchors as build_anchors
from .tables.anchors.read import (
    AnchorsMetadata as AnchorsMetadata,
    read_anchors as read_anchors,
    read_metadata as read_metadata,
)
from .tables.anchors.write import write_anchors as write_anchors
from .tables.experiment import Experiment as Experiment, FovInfo as FovInfo
from .tables.experiments import Experiments as Experiments
from .tables.normalizations import Normalization as Normalization
from .tables.own_columns.joins import JoinReport as JoinReport
from .tables.own_columns.onto import join_annotations as join_annotations
from .tables.pairing import Pairing as Pairing
from .tables.positives import Positives as Positives
from .tables.splits import leave_one_out as leave_one_out, split_lineages as split_lineages
from .tables.tau import TauRange as TauRange
from .tables.valid_anchors import read_valid_anchors as read_valid_anchors
from .tables.tracks.read import read_tracks as read_tracks
from .text import shown as shown, shown_lines as shown_lines

__version__: str
