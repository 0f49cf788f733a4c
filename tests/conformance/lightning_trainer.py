"""What both ways of Lightning share: the module, and the Trainer of a cell, which stops and resumes it."""

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.distributed as dist
from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.plugins.precision import MixedPrecision
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy, Strategy, model_parallel
from torch import Tensor
from torch.utils.data import DataLoader

from tests.conformance.cells import Cell
from tests.conformance.problem import SEED, STEPS, STOP, Batch, make_optimizer, make_scaler, parts
from tests.conformance.setting import Setting, sharded, weights_of
from tram import TRAM

# Every mesh has process groups, whose threads nobody ends: one mesh for all cells of a process.
model_parallel._setup_device_mesh = cache(model_parallel._setup_device_mesh)


class Net(LightningModule):
    """A LightningModule around the model; its estimator knows the strategy's model, and is in the checkpoints."""

    tram: TRAM

    def loaded(self, micro_batches: list[Batch]) -> list[Any]:
        """What `training_step` is given, in turn, for a step's micro-batches."""
        raise NotImplementedError

    def __init__(self, cell: Cell, setting: Setting, resuming: bool) -> None:
        super().__init__()
        self.cell, self.setting, self.resuming = cell, setting, resuming
        self.net = setting.model(resuming)
        self.tram_state: dict[str, Any] | None = None

    def configure_model(self) -> None:
        if self.cell.layout == "FSDP2":
            sharded(self.net)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return make_optimizer(self.cell.method, self.net)

    def train_dataloader(self) -> Any:
        batches: Any = self.loaded(parts(self.cell, self.setting.rank)[self.current_epoch])
        return DataLoader(batches, batch_size=None)

    def on_train_start(self) -> None:
        strategy: Any = self.trainer.strategy
        self.tram = TRAM(
            strategy.model,
            self.cell.method,
            input_module=self.net.embedding,
            scaler=getattr(strategy.precision_plugin, "scaler", None),
            sync=self.setting.sync,
            seed=SEED + 1 if self.resuming else SEED,
        )
        if self.tram_state is not None:
            self.tram.load_state_dict(self.tram_state)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The first process writes what it is given, so it is given everyone's."""
        states: list[Any] = [self.tram.state_dict()] * self.cell.processes
        if self.cell.processes > 1:
            dist.all_gather_object(states, self.tram.state_dict())
        checkpoint["tram"] = states

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.tram_state = checkpoint["tram"][self.setting.rank]

    def outputs(self, batch: Batch) -> tuple[Tensor, Tensor]:
        net: Any = self.net
        outputs = net(**batch)
        return outputs["loss"], outputs["logits"]


def train(
    cell: Cell, setting: Setting, make: Callable[[Cell, Setting, bool], Net], **options: Any
) -> dict[str, Tensor]:
    """An epoch is a step: Lightning resumes at the beginning of an epoch."""
    path = str(setting.folder / "stopped.ckpt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PossibleUserWarning)  # advice, as on how many workers a loader might have
        warnings.filterwarnings("ignore", ".*LeafSpec", FutureWarning)  # of torch, to Lightning
        if cell.resumed:
            stopped = trainer_of(cell, STOP, **options)
            stopped.fit(make(cell, setting, False))
            stopped.save_checkpoint(path)
        module, resume = make(cell, setting, cell.resumed), path if cell.resumed else None
        trainer_of(cell, STEPS, **options).fit(module, ckpt_path=resume, weights_only=True)
    return weights_of(module)


def trainer_of(cell: Cell, steps: int, **options: Any) -> Trainer:
    return Trainer(
        accelerator="cpu",
        devices=cell.processes,
        strategy=strategy_of(cell),
        max_epochs=steps,
        reload_dataloaders_every_n_epochs=1,
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        logger=False,
        plugins=plugins_of(cell),
        **options,
    )


def strategy_of(cell: Cell) -> Strategy | str:
    if cell.layout == "one process":
        return "auto"
    if cell.layout == "FSDP2":
        return ModelParallelStrategy(data_parallel_size=2, tensor_parallel_size=1)
    return DDPStrategy()


def plugins_of(cell: Cell) -> list[Any]:
    """Also the environment, lest Lightning look for a cluster; and autocast, whose fp16 it has on GPUs only by name."""
    if cell.precision == "full":
        return [LightningEnvironment()]
    precision: Any = "bf16-mixed" if cell.precision == "bf16" else "16-mixed"
    return [LightningEnvironment(), MixedPrecision(precision, "cpu", scaler=make_scaler(cell.precision))]
