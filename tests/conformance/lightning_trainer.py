"""What both ways of Lightning share: the module, and the Trainer of a cell, which stops and resumes it."""

import warnings
from functools import cache
from typing import Any

import torch
from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning.pytorch import Trainer
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.plugins.precision import MixedPrecision
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy, Strategy, model_parallel
from torch import Tensor
from torch.utils.data import DataLoader

from tests.conformance.cells import Cell
from tests.conformance.problem import SEED, STEPS, STOP, Batch, make_optimizer, make_scaler, parts
from tests.conformance.setting import Setting, sharded, weights_of
from tests.snippets import run_all

# Every mesh has process groups, whose threads nobody ends: one mesh for all cells of a process.
model_parallel._setup_device_mesh = cache(model_parallel._setup_device_mesh)

_PAGE = run_all("lightning", torch=torch)
Estimated: Any = _PAGE["Estimated"]
Automatic: Any = _PAGE["Automatic"]
Manual: Any = _PAGE["Manual"]
InShards: Any = _PAGE["InShards"]
"""The classes of docs/training/lightning.md: the matrix trains with what the page prints."""


class OfCell(Estimated):
    """The data, the optimizer and the layout of a cell, for one of the page's classes to come after this one."""

    def __init__(self, cell: Cell, setting: Setting, resuming: bool) -> None:
        network = setting.model(resuming)
        seed = SEED + 1 if resuming else SEED
        super().__init__(network, cell.method, input_module=network.embedding, sync=setting.sync, seed=seed)
        self.cell, self.setting = cell, setting

    def configure_model(self) -> None:
        if self.cell.layout == "FSDP2":
            sharded(self.network)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return make_optimizer(self.cell.method, self.network)

    def loss_and_logits(self, batch: Batch) -> tuple[Tensor, Tensor]:
        outputs = self.network(**batch)
        return outputs["loss"], outputs["logits"]

    def train_dataloader(self) -> Any:
        batches: Any = self.loaded(parts(self.cell, self.setting.rank)[self.current_epoch])
        return DataLoader(batches, batch_size=None)

    def loaded(self, micro_batches: list[Batch]) -> list[Any]:
        """What `training_step` is given, in turn, for a step's micro-batches."""
        raise NotImplementedError


def train(cell: Cell, setting: Setting, way: type[OfCell], **options: Any) -> dict[str, Tensor]:
    """An epoch is a step: Lightning resumes at the beginning of an epoch."""
    path = str(setting.folder / "stopped.ckpt")
    made: Any = type("Sharded", (way, InShards), {}) if cell.layout == "FSDP2" else way
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PossibleUserWarning)  # advice, as on how many workers a loader might have
        warnings.filterwarnings("ignore", ".*LeafSpec", FutureWarning)  # of torch, to Lightning
        if cell.resumed:
            stopped = trainer_of(cell, STOP, **options)
            stopped.fit(made(cell, setting, False))
            stopped.save_checkpoint(path)
        module, resume = made(cell, setting, cell.resumed), path if cell.resumed else None
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
