"""The Trainer with `TRAMTrainerMixin`, stopped and resumed by its own checkpoints."""

from typing import Any

from accelerate.state import AcceleratorState  # type: ignore[import-untyped]
from torch import Tensor
from transformers import Trainer, TrainerCallback, TrainingArguments

from tests.conformance.accelerate_loop import refuse_to_pretend
from tests.conformance.cells import Cell
from tests.conformance.problem import MAX_NORM, SEED, STEPS, STOP, examples_in_turn, make_optimizer, rows_of
from tests.conformance.setting import Setting, weights_of
from tram import TRAMTrainerMixin


class TRAMTrainer(TRAMTrainerMixin, Trainer):
    pass


class Stop(TrainerCallback):
    """Saves and stops in the middle, as a run does whose time is up."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == STOP:
            control.should_save = control.should_training_stop = True


def train(cell: Cell, setting: Setting) -> dict[str, Tensor]:
    AcceleratorState._reset_state(reset_partial_state=True)
    if cell.resumed:
        trainer_of(cell, setting, callbacks=[Stop()]).train()
    trainer = trainer_of(cell, setting, resuming=cell.resumed)
    trainer.train(resume_from_checkpoint=str(setting.folder / f"checkpoint-{STOP}") if cell.resumed else None)
    assert trainer.model is not None
    return weights_of(trainer.model)


def trainer_of(cell: Cell, setting: Setting, resuming: bool = False, **options: Any) -> Trainer:
    model = setting.model(resuming)
    arguments = TrainingArguments(
        output_dir=str(setting.folder),
        max_steps=STEPS,
        per_device_train_batch_size=rows_of(cell),
        gradient_accumulation_steps=cell.micro_batches,
        max_grad_norm=MAX_NORM if cell.clipping else 0.0,
        lr_scheduler_type="constant",
        bf16=cell.precision == "bf16",
        fp16=cell.precision == "fp16",
        fsdp=True if cell.layout == "FSDP2" else None,  # type: ignore[arg-type]
        fsdp_config={"version": 2} if cell.layout == "FSDP2" else None,
        seed=SEED,
        use_cpu=True,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
        train_sampling_strategy="sequential",
        dataloader_pin_memory=False,
    )
    trainer = TRAMTrainer(
        model=model,
        args=arguments,
        train_dataset=examples_in_turn(cell),
        optimizers=(make_optimizer(cell.method, model), None),
        method=cell.method,
        sync=setting.sync,
        **options,
    )
    refuse_to_pretend(cell, trainer.accelerator)
    return trainer
