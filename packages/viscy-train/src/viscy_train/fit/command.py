"""The command: parse, build, train, and say what came of it.

Every argument of `ContrastiveModule`, `AnchorDataModule` and the trainer can be given in a YAML file or
follow on the command line, which wins. What a run needs beyond Lightning's command line is added here:
checkpoints that are whole (`viscy_train.models.checkpoint_file`) and recent (`SaveLast`), and a plain ending.
"""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, override

import jsonargparse
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, LearningRateMonitor
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.plugins import CheckpointIO
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console

from viscy_data import InvalidInputError, ViscyDataError, check_anchors, describe_plan
from viscy_train.callbacks import (
    CompositionLog,
    DataWait,
    FitProgress,
    PlanCheck,
    SaveLast,
    SaveModel,
    ValidationProbe,
)
from viscy_train.callbacks.save_model import MODEL
from viscy_train.datamodule import AnchorDataModule
from viscy_train.fit.earlier import (
    AlreadyTrained,
    EarlierRun,
    NoteRun,
    RunRecord,
    find_runs,
    is_first_rank,
    keep_ids,
    take_lock,
)
from viscy_train.fit.from_table import SetUp, set_up_from_table
from viscy_train.fit.going_on import note_end, refuse_other_patches, refuse_other_weights, take_options
from viscy_train.fit.loggers import continue_files, csv_by_default, named_loggers
from viscy_train.fit.packaged import packaged, quiet_lightning
from viscy_train.fit.rehearsal import rehearse
from viscy_train.fit.sentences import PlainParser, sentence
from viscy_train.fit.stated import check_configurations, stated_options
from viscy_train.models.checkpoint_file import LocalCheckpoints, local_path, read_checkpoint
from viscy_train.module import ContrastiveModule
from viscy_train.packed.trained_on import KEY
from viscy_train.ranks import join_launcher
from viscy_train.saying import say
from viscy_train.stopping import Stopped, StopRequest

if TYPE_CHECKING:
    from filelock import FileLock

FRESH: Final = "--fresh"
"""Begin a new run, whatever the same command has begun before."""


class KeepConfig(SaveConfigCallback):
    """Keep the configuration in the logger's folder; without a logger there is no folder of the run's own.

    A run that goes on keeps the one that it began with.
    """

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write it."""
        if trainer.loggers and not Path(trainer.log_dir or "", self.config_filename).exists():
            super().setup(trainer, pl_module, stage)


class FitCLI(LightningCLI):
    """Fit as the arguments say; `run_fit` is how to start it."""

    def __init__(self, arguments: Sequence[str], request: StopRequest) -> None:
        check_configurations(arguments)
        self._arguments = list(arguments)
        self._fresh = FRESH in self._arguments
        self._request = request
        self._note: NoteRun | None = None
        self._earlier: EarlierRun | None = None
        self._saved: SaveLast | None = None
        self._checkpoint: dict[str, Any] | None = None
        self._begun: str | None = None
        self._lock: FileLock | None = None
        self._taken: list[str] = []
        super().__init__(
            ContrastiveModule,
            AnchorDataModule,
            trainer_defaults={
                "use_distributed_sampler": False,
                "callbacks": [FitProgress(), CompositionLog(), PlanCheck(), DataWait(), SaveModel()],
            },
            seed_everything_default=0,
            save_config_callback=KeepConfig,
            save_config_kwargs={"overwrite": True},
            parser_class=PlainParser,
            parser_kwargs={"prog": "viscy-train"},
            args=["fit", *named_loggers(packaged([one for one in arguments if one != FRESH]))],
            # options are saved as plain values by the module itself
            load_from_checkpoint_support=False,
            auto_configure_optimizers=False,
        )

    @staticmethod
    @override
    def subcommands() -> dict[str, set[str]]:
        return {"fit": LightningCLI.subcommands()["fit"]}

    @override
    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_lightning_class_args(SaveLast, "save")
        parser.add_lightning_class_args(ValidationProbe, "probe")

    @override
    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        # Lightning's own warns that sys.argv holds arguments too: they are the same ones here
        self.config = parser.parse_args(args)

    @override
    def _parse_ckpt_path(self) -> None:
        """Leave the options: Lightning's own lets those of a checkpoint replace them in silence."""

    @override
    def before_instantiate_classes(self) -> None:
        """Set the run up from its checkpoint and its table, or refuse it, before anything is written."""
        asked = self.config.fit
        if asked.weights_only is False:
            raise InvalidInputError(
                "weights_only=False: of a checkpoint, only tensors and plain values are read; leave it out."
            )
        csv_by_default(asked.trainer)
        setup = SetUp(asked, stated_options([one for one in self._arguments if one != FRESH]))
        if asked.ckpt_path is not None:
            self._begun = local_path(asked.ckpt_path)
            self._checkpoint = read_checkpoint(self._begun)
            setup.given = setup.given | take_options(setup, self._checkpoint)
            note_end(setup, self._checkpoint)
        set_up_from_table(setup)
        setup.refuse_all()
        self._taken += setup.said
        self._record = RunRecord.of_command(asked)
        runs = [] if self._fresh else find_runs(asked)
        self._earlier = next((run for run in runs if not run.differs(self._record)), None)
        if self._earlier is not None:
            self._go_on(setup, self._earlier)
        elif runs:
            there = ", ".join(runs[0].differs(self._record)[:5])
            self._taken.append(f"a new run, since {runs[0].folder} has {there}")

    def _go_on(self, setup: SetUp, earlier: EarlierRun) -> None:
        """Go on with the run that the same command began, or say that it has ended."""
        if is_first_rank():
            self._lock = take_lock(earlier.folder)
        self._begun = str(earlier.checkpoint)
        self._checkpoint = read_checkpoint(self._begun)
        step, changed = self._checkpoint["global_step"], earlier.changed_limits(self._record)
        if earlier.record.ended and not changed:
            packed = (earlier.folder if setup.config.trainer.logger else earlier.checkpoint.parent) / MODEL
            raise AlreadyTrained(
                f"trained already: {self._begun} holds step {step}, the last, and nothing was done. To train "
                f"longer, raise trainer.max_steps; to begin another run beside it, add {FRESH}. "
                + self._how_to_embed(str(packed if packed.exists() else self._begun))
            )
        note_end(setup, self._checkpoint)
        setup.refuse_all()
        keep_ids(setup.config, earlier)
        self._taken += [
            f"going on with {self._begun} from step {step}; {FRESH} would begin another run",
            *changed,
        ]

    @override
    def instantiate_classes(self) -> None:
        """Build; what a class refuses is refused in a sentence, too."""
        try:
            super().instantiate_classes()
        except ViscyDataError:
            raise
        except (ValueError, TypeError, ImportError, MisconfigurationException) as error:
            raise InvalidInputError(sentence(str(error), [])) from error

    @override
    def after_instantiate_classes(self) -> None:
        """Open the table and try a cell of each experiment, before a folder of the run is made."""
        if self._saved is not None and not self.trainer.loggers:
            self._saved.claim(Path(self.trainer.default_root_dir), self._begun)
        if self._earlier is not None and self._checkpoint is not None and is_first_rank():
            continue_files(self.trainer.loggers, self._checkpoint["global_step"])
        self.trainer.strategy.connect(self.model)  # whether its loss gathers decides the batches
        self.datamodule.trainer = self.trainer
        self.datamodule.setup()
        if self._checkpoint is not None:
            refuse_other_weights(self.model, self._checkpoint, str(self._begun))
            refuse_other_patches(self.datamodule.hparams[KEY], self._checkpoint, str(self._begun))
            self._check_place(self._checkpoint)
        rehearse(self.model, self.datamodule)
        sampler = self.datamodule.train_sampler.sampler
        plan = sampler.plan_at(0, epoch=0)
        _say(f"each batch{'' if plan == sampler.plan else ', at first'}: {describe_plan(plan)}")
        if self.trainer.world_size > 1 and plan.span > 1:
            _say(f"batches of {plan.span} ranks in a step share their group: negatives of another are masked")
        if self.trainer.is_global_zero:
            console = Console(stderr=True, soft_wrap=True, highlight=False)
            later = self.datamodule.dataset.rule == "lineage"
            console.print(check_anchors(self.datamodule.anchors, thorough=False, later=later))
        for line in filter(None, [*self._taken, self.datamodule.dataset.left_out]):
            _say(line)

    def _check_place(self, checkpoint: Mapping[str, Any]) -> None:
        """Refuse a checkpoint of other anchors."""
        try:
            self.datamodule.train_sampler.load_state_dict(checkpoint["AnchorDataModule"]["training"])
        except KeyError:
            raise InvalidInputError(
                f"ckpt_path={self._begun!r} does not say where its batches were; give "
                "one that viscy-train fit wrote."
            ) from None
        except InvalidInputError as error:
            raise InvalidInputError(
                f"ckpt_path={self._begun!r} is of other anchors than data.anchors="
                f"{str(self.datamodule.anchors)!r}. {error}"
            ) from None

    @override
    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        trainer = self._get(self.config_init, "trainer")
        plugins = trainer.get("plugins") or []
        plugins = plugins if isinstance(plugins, list) else [plugins]
        if not any(isinstance(one, CheckpointIO) for one in plugins):
            plugins = [*plugins, LocalCheckpoints()]
        return super().instantiate_trainer(**kwargs, plugins=plugins)

    @override
    def _instantiate_trainer(self, config: dict[str, Any], callbacks: list[Any]) -> Trainer:
        """Leave out the callbacks for which there is no place: Lightning's own refuses the trainer."""
        left_out: tuple[type[Any], ...] = ()
        if config.get("logger") is False:
            left_out += (LearningRateMonitor,)
        if config.get("enable_checkpointing") is False:
            left_out += (Checkpoint,)
        given = config.get("callbacks") or []
        given = given if isinstance(given, list) else [given]
        config["callbacks"] = [one for one in given if not isinstance(one, left_out)]
        ours = self.trainer_defaults["callbacks"]
        if config.get("enable_checkpointing") is False:
            ours = [one for one in ours if not isinstance(one, SaveModel)]
        if config.get("enable_progress_bar") is False:
            ours = [one for one in ours if not isinstance(one, FitProgress)]
        self.trainer_defaults = {**self.trainer_defaults, "callbacks": ours}
        callbacks = [one for one in callbacks if not isinstance(one, left_out)]
        for one in callbacks:
            if isinstance(one, SaveLast):
                one.request = self._request
                self._saved = one
                self._note = NoteRun(self._record, one, self._lock)
        if self._note is not None:
            callbacks.append(self._note)
        return super()._instantiate_trainer(config, callbacks)

    def fit(self, **kwargs: Any) -> None:
        """Train, and say where the checkpoint is and what comes next; Lightning's own calls this."""
        kwargs["ckpt_path"] = self._begun
        try:
            self.trainer.fit(**kwargs)
        except (Stopped, ViscyDataError, OSError, RuntimeError) as error:
            hint = self._how_to_go_on()
            if hint:
                error.add_note(hint)
            raise
        saved = self._saved
        if saved is None:
            _say("trained, and no checkpoint was kept: trainer.enable_checkpointing is false.")
        elif saved.path is not None:
            if self._note is not None and self.trainer.is_global_zero:
                self._note.end()
            packed = next((one.path for one in self._models() if one.path is not None), saved.path)
            _say(f"trained: {saved.path} holds step {saved.step}. {self._how_to_embed(str(packed))}")

    def _how_to_embed(self, checkpoint: str) -> str:
        anchors = shlex.quote(str(self.config.fit.data.anchors))
        embed = f"viscy-train embed {shlex.quote(checkpoint)} {anchors} -o embeddings.zarr"
        return f"To embed all cells:\n  {embed}"

    def _models(self) -> list[SaveModel]:
        return [one for one in self.trainer_defaults["callbacks"] if isinstance(one, SaveModel)]

    def _how_to_go_on(self) -> str:
        saved = self._saved
        if saved is None or saved.path is None or saved.step is None:
            return ""
        same = shlex.join(one for one in self._arguments if one != FRESH)
        return f"{saved.path} holds step {saved.step}. The same command goes on:\n  viscy-train fit {same}"


def run_fit(arguments: Sequence[str]) -> FitCLI:
    """Fit, and return what was built.

    Parameters
    ----------
    arguments : sequence of str
        As on the command line, after ``viscy-train fit``. ``--config small`` is a packaged file.

    Raises
    ------
    Stopped
        A signal asked the run to stop; the notes name the checkpoint and how to go on.
    ViscyDataError
        What was asked for cannot be, or the run cannot go on.
    """
    quiet_lightning()
    join_launcher()
    # Lightning lets configurations, too, be fetched from addresses
    jsonargparse.set_config_read_mode(urls_enabled=False, fsspec_enabled=False)
    request = StopRequest()
    with request.installed():
        return FitCLI(arguments, request)


@rank_zero_only
def _say(text: str) -> None:
    say(text)
