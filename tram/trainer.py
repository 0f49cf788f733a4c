"""A mixin that gives the Hugging Face Trainer any method, without importing transformers."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tram._checks import one_of
from tram._parallel import Sync
from tram.estimator import TRAM, resolve
from tram.methods import Method

_STATE_FILE = "tram.pt"

_UNSHIFTED = frozenset(
    [
        *("FlaubertWithLMHeadModel", "XLMWithLMHeadModel", "XLNetLMHeadModel", "CpmAntForCausalLM"),
        *("BartForCausalLM", "BigBirdPegasusForCausalLM", "BlenderbotForCausalLM", "BlenderbotSmallForCausalLM"),
        *("MarianForCausalLM", "MBartForCausalLM", "MvpForCausalLM", "PegasusForCausalLM", "PLBartForCausalLM"),
        *("ProphetNetForCausalLM", "TrOCRForCausalLM", "WhisperForCausalLM"),
    ]
)
"""Classes of transformers whose own loss takes the labels as they are: mostly the decoders of encoder-decoders."""


class TRAMTrainerMixin:
    """Trains with the gradient of `method`; everything else is the Trainer's own.

        class TRAMTrainer(TRAMTrainerMixin, Trainer): ...
        TRAMTrainer(model=model, args=args, train_dataset=data, method="TRAM-x").train()

    Gradient accumulation, clipping, mixed precision, label smoothing and schedules are untouched: at the last
    micro-batch of an update the mixin makes the second pass over all of them. d, the radius and the norm of epsilon
    are logged with the loss. Checkpoints hold `tram.pt` beside the optimizer's state, and for a sharded model one such
    file of every process. `sync` says what several processes share, as for `TRAM`.
    """

    def __init__(
        self,
        *args: Any,
        method: str | Method = "TRAM-x",
        input_module: nn.Module | None = None,
        sync: Sync = "global",
        **kwargs: Any,
    ) -> None:
        # Before the Trainer is made, which takes its time, and not when it begins to train.
        one_of(type(self).__name__, "sync", sync, Sync)
        self._method = resolve(method)
        super().__init__(*args, **kwargs)
        self._input_module = input_module
        self._sync: Sync = sync
        self._tram: TRAM | None = None
        self._micro_batches: list[Any] = []
        self._in_training_step = False
        # Made already, so that an input module that is missing is told here, and not when it begins to train.
        self._bound_so_far = _bound(self.tram)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for base in cls.__mro__[1 : cls.__mro__.index(TRAMTrainerMixin)]:
            if "training_step" in vars(base) and not issubclass(base, TRAMTrainerMixin):
                raise TypeError(
                    f"class {cls.__name__} must name TRAMTrainerMixin before {base.__name__}, whose training_step "
                    f"would hide the mixin's: class {cls.__name__}(TRAMTrainerMixin, {base.__name__})"
                )

    @property
    def tram(self) -> TRAM:
        """The estimator of the Trainer's present model; made anew by every `train()`.

        Its `scale` and `maximum` may be set by a callback, from `on_train_begin` on.
        """
        trainer: Any = self
        # The wrapped one knows the other processes.
        if self._tram is None or self._tram.model is not trainer.model_wrapped:
            self._tram = TRAM(
                trainer.model_wrapped,
                self._method,
                input_module=self._input_module,
                scaler=getattr(trainer.accelerator, "scaler", None),
                sync=self._sync,
                seed=trainer.args.seed,
            )
            self._bound_so_far = _bound(self._tram)
        return self._tram

    def _inner_training_loop(self, *args: Any, **kwargs: Any) -> Any:
        """The Trainer's, which begins here once for every batch size that `auto_find_batch_size` tries."""
        if self._tram is not None and _bound(self._tram) != self._bound_so_far:
            raise ValueError(
                "trainer.tram is made anew by every train(), so that the scale or maximum set before it would be lost: "
                "give them to the method's TrustRegion, or set them in a callback's on_train_begin"
            )
        self._tram = None
        self._micro_batches = []
        parent: Any = super()
        try:
            return parent._inner_training_loop(*args, **kwargs)
        finally:
            if self._tram is not None:
                self._bound_so_far = _bound(self._tram)

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """The Trainer's step for pass 1; after the update's last micro-batch, again for each within `perturbed()`."""
        self._micro_batches.append(inputs)
        self._in_training_step = True
        try:
            loss = self._one_pass(model, inputs, num_items_in_batch, seen=len(self._micro_batches))
            if len(self._micro_batches) == self._micro_batch_count():
                if self.tram.method.ascent is not None:
                    with self.tram.perturbed():
                        for seen, micro_batch in enumerate(self._micro_batches, start=1):
                            self._one_pass(model, micro_batch, num_items_in_batch, seen)
                self.tram.advance()
                self._micro_batches = []
        except BaseException:
            # An interrupted training, or one that is tried again with a smaller batch, begins the update anew.
            self._micro_batches = []
            self.tram.reset()
            raise
        finally:
            self._in_training_step = False
        return loss

    def _one_pass(self, model: nn.Module, inputs: Any, num_items_in_batch: Any, seen: int) -> Tensor:
        parent: Any = super()
        loss: Tensor = parent.training_step(model, inputs, num_items_in_batch)
        if self.tram.micro_batches_seen != seen:
            raise RuntimeError(
                f"{type(self).__name__}.compute_loss does not reach the mixin's, so that the method has no effect: "
                "call super().compute_loss(...) in it, or define it in a class that comes after TRAMTrainerMixin, "
                "as in class MyTrainer(TRAMTrainerMixin, TrainerWithMyLoss)"
            )
        return loss

    def compute_loss(
        self, model: nn.Module, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        parent: Any = super()
        if not self._in_training_step:
            return parent.compute_loss(model, inputs, return_outputs, num_items_in_batch=num_items_in_batch)
        # A loss that is already divided by the whole update's items adds up over micro-batches, where d averages.
        share = self._micro_batch_count() if self._is_scaled_by_items(num_items_in_batch) else 1

        def forward(batch: Any) -> tuple[Tensor, Tensor | None, Tensor | None]:
            # A shallow copy, for compute_loss may pop the labels from it.
            loss, outputs = parent.compute_loss(model, dict(batch), True, num_items_in_batch=num_items_in_batch)
            if self.tram.method.trust_region is None:
                return loss * share, None, None
            logits, mask = self.logits_and_mask(model, batch, outputs)
            return loss * share, logits, mask

        return self.tram.objective(forward)(inputs) / share

    def logits_and_mask(self, model: nn.Module, inputs: Any, outputs: Any) -> tuple[Tensor, Tensor | None]:
        """The logits that d compares and which of them count: those with a label other than -100.

        Logits are shifted against labels where transformers does so in the model's own loss: in causal language models,
        also those that see or hear. Override for models that return otherwise. Raises ValueError without logits.
        """
        labels = inputs.get("labels")
        if isinstance(outputs, dict) and "logits" not in outputs:
            raise ValueError(
                f"{type(model).__name__} returns no 'logits' for d to compare, but {', '.join(outputs)}: override "
                "logits_and_mask(model, inputs, outputs) in your Trainer"
            )
        logits = outputs["logits"] if isinstance(outputs, dict) else outputs[1 if labels is not None else 0]
        if labels is None or logits.dim() != labels.dim() + 1 or logits.dim() < 3:
            return logits, None
        if _shifts_labels(model):
            return logits[:, :-1], labels[:, 1:] != -100
        return logits, labels != -100

    def log(self, logs: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        """The Trainer's log of the training loss, with d, the radius and the norm of epsilon of the last step."""
        if "loss" in logs:
            for name in ("distance", "radius", "perturbation_norm"):
                value = getattr(self.tram, name)
                if value is not None:
                    logs[name] = value.item()
        parent: Any = super()
        parent.log(logs, *args, **kwargs)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        parent: Any = super()
        trainer: Any = self
        parent._save_optimizer_and_scheduler(output_dir)
        state = self.tram.state_dict()
        in_shards = any(key.startswith("shard ") for key in state)
        if trainer.args.should_save or in_shards:
            path = Path(output_dir) / (_state_file_of(trainer.args.process_index) if in_shards else _STATE_FILE)
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".partial")
            torch.save(state, partial)
            partial.replace(path)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        parent: Any = super()
        parent._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            trainer: Any = self
            path = Path(checkpoint) / _state_file_of(trainer.args.process_index)
            path = path if path.is_file() else Path(checkpoint) / _STATE_FILE
            if not path.is_file():
                raise FileNotFoundError(
                    f"{path} is missing, without which the run would not continue as it was: the checkpoint is of "
                    "another Trainer, or was saved with save_only_model=True"
                )
            self.tram.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))

    def _micro_batch_count(self) -> int:
        trainer: Any = self
        return int(trainer.current_gradient_accumulation_steps)

    def _is_scaled_by_items(self, num_items_in_batch: Any) -> bool:
        trainer: Any = self
        told = getattr(trainer, "loss_is_scaled_for_ga", None)
        if told is not None:
            return bool(told)
        return trainer.compute_loss_func is not None or (
            trainer.model_accepts_loss_kwargs and num_items_in_batch is not None
        )


def _bound(tram: TRAM) -> tuple[float | None, float | None]:
    return tram.scale, tram.maximum


def _state_file_of(process: int) -> str:
    """What a process of a sharded model saves, whose state is not that of the others."""
    return f"tram-{process}.pt"


def _shifts_labels(model: nn.Module) -> bool:
    """Whether the model's own loss compares the logits at a position with the label of the next."""
    inner: Any = model
    while isinstance(getattr(inner, "module", None), nn.Module):  # DistributedDataParallel and its kin
        inner = inner.module
    inner = getattr(inner, "_orig_mod", inner)  # torch.compile
    inner = inner.get_base_model() if hasattr(inner, "get_base_model") else inner  # PEFT
    names = [kind.__name__ for kind in type(inner).__mro__]
    if not _UNSHIFTED.isdisjoint(names):
        return False
    # Those that see or hear generate on a condition too, but have no decoder of their own to shift for.
    has_decoder = getattr(getattr(inner, "config", None), "is_encoder_decoder", True)
    on_condition = () if has_decoder else ("ForConditionalGeneration",)
    return any(name.endswith(("ForCausalLM", "LMHeadModel", *on_condition)) for name in names)
