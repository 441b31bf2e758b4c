# The public names of viscy_train, each written here and nowhere else: `lazy_loader` reads this file when the
# package is imported, and type checkers and the reference read it, too.

from .callbacks import CompositionLog as CompositionLog, DataWait as DataWait, FitProgress as FitProgress
from .datamodule import AnchorDataModule as AnchorDataModule, PatchOptions as PatchOptions
from .demo import run_demo as run_demo
from .encoder import ContrastiveEncoder as ContrastiveEncoder, EncoderOptions as EncoderOptions
from .evaluation import (
    Evaluation as Evaluation,
    Metric as Metric,
    NotAvailable as NotAvailable,
    evaluate as evaluate,
    evaluate_arrays as evaluate_arrays,
    read_embeddings as read_embeddings,
)
from .losses import NTXentHCL as NTXentHCL
from .models.embedding import embed_table as embed_table
from .models.export import export as export
from .models.packing import pack as pack
from .module import (
    ContrastiveModule as ContrastiveModule,
    LossOptions as LossOptions,
    OptimizerOptions as OptimizerOptions,
)
from .packed import Model as Model, TrainedOn as TrainedOn, read_model as read_model
from .parts import BatchOptions as BatchOptions, SplitOptions as SplitOptions
from .schedules import WarmupCosine as WarmupCosine
from .view.write import view_embeddings as view_embeddings

__version__: str
