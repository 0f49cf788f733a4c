"""A loop with Hugging Face accelerate, stopped and resumed by its `save_state` and `load_state`."""

from typing import cast

from accelerate import (  # type: ignore[import-untyped]
    Accelerator,
    FullyShardedDataParallelPlugin,
    skip_first_batches,
)
from accelerate.state import AcceleratorState  # type: ignore[import-untyped]
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from tests.conformance.cells import Cell
from tests.conformance.problem import MAX_NORM, SEED, STEPS, STOP, Batch, examples_in_turn, make_optimizer, rows_of
from tests.conformance.setting import NotRunnableHereError, Setting, weights_of
from tram import TRAM

PRECISION = {"full": "no", "bf16": "bf16", "fp16": "fp16"}


def train(cell: Cell, setting: Setting) -> dict[str, Tensor]:
    if not cell.resumed:
        return weights_of(_Run(cell, setting).steps(0, STEPS).model)
    _Run(cell, setting).steps(0, STOP).accelerator.save_state(str(setting.folder / "state"))
    run = _Run(cell, setting, resuming=True)
    run.accelerator.load_state(str(setting.folder / "state"))
    return weights_of(run.steps(STOP, STEPS).model)


class _Run:
    def __init__(self, cell: Cell, setting: Setting, resuming: bool = False) -> None:
        AcceleratorState._reset_state(reset_partial_state=True)
        self.cell = cell
        self.accelerator = Accelerator(
            cpu=True,
            mixed_precision=PRECISION[cell.precision],
            fsdp_plugin=FullyShardedDataParallelPlugin(fsdp_version=2) if cell.layout == "FSDP2" else None,
        )
        refuse_to_pretend(cell, self.accelerator)
        model, examples = setting.model(resuming), cast(Dataset[Batch], examples_in_turn(cell))
        self.model, self.optimizer, self.loader = self.accelerator.prepare(
            model, make_optimizer(cell.method, model), DataLoader(examples, rows_of(cell))
        )
        self.tram = TRAM(
            self.model,
            cell.method,
            scaler=self.accelerator.scaler,
            sync=setting.sync,
            seed=SEED + 1 if resuming else SEED,
        )
        self.accelerator.register_for_checkpointing(self.tram)

    def steps(self, begin: int, end: int) -> "_Run":
        count = self.cell.micro_batches
        batches = iter(skip_first_batches(self.loader, begin * count))
        for _ in range(begin, end):
            self.tram.backward(self._forward, *(next(batches) for _ in range(count)))
            if self.cell.clipping:
                self.accelerator.clip_grad_norm_(self.model.parameters(), MAX_NORM)
            self.optimizer.step()
            self.optimizer.zero_grad()
        return self

    def _forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        outputs = self.model(**batch)
        return outputs["loss"], outputs["logits"]


def refuse_to_pretend(cell: Cell, accelerator: Accelerator) -> None:
    """Where there is no GPU, accelerate goes on without a GradScaler and without shards, and says nothing."""
    if cell.precision == "fp16" and accelerator.scaler is None:
        raise NotRunnableHereError("accelerate has fp16 on GPUs only")
    if cell.layout == "FSDP2" and not accelerator.is_fsdp2:
        raise NotRunnableHereError("accelerate shards on GPUs only")
