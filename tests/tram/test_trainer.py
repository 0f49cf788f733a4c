"""The Hugging Face Trainer with any method against a loop written by hand."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import SequentialSampler
from transformers import GPT2LMHeadModel, Trainer, TrainerCallback, TrainingArguments
from transformers.modeling_outputs import QuestionAnsweringModelOutput

from tests.problems import same_bits, weights
from tests.tram.tiny_transformers import GENERATING, classifier, generating, language_model
from tram import METHODS, TRAM, TRAMTrainerMixin


class InOrder(Trainer):
    """A Trainer that takes its data in order, in every version of transformers."""

    def _get_train_sampler(self, *_: Any) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)


class TRAMTrainer(TRAMTrainerMixin, InOrder):
    pass


def tokens(label: Any) -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    rows = torch.randint(2, 17, (16, 6), generator=generator)
    return [{"input_ids": row, "attention_mask": torch.ones_like(row), "labels": label(row)} for row in rows]


def with_ignored_tokens(row: Tensor) -> Tensor:
    """Every row ignores its first tokens, another number for every row: micro-batches differ in what counts."""
    labels = row.clone()
    labels[: int(row[0]) % 4] = -100
    return labels


LANGUAGE = tokens(with_ignored_tokens)
CLASSES = tokens(lambda row: row[0] % 3)


def arguments(folder: Path, **options: Any) -> TrainingArguments:
    defaults: dict[str, Any] = {
        "output_dir": str(folder),
        "max_steps": 4,
        "per_device_train_batch_size": 2,
        "learning_rate": 0.1,
        "lr_scheduler_type": "linear",
        "optim": "sgd",
        "weight_decay": 0.0,
        "logging_steps": 1,
        "report_to": [],
        "save_strategy": "no",
        "use_cpu": True,
        "disable_tqdm": True,
        "seed": 5,
    }
    return TrainingArguments(**{**defaults, **options})


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)


@pytest.mark.parametrize(("accumulation", "clip"), [(1, 0.5), (2, 0.0)])
@pytest.mark.parametrize("name", METHODS)
def test_the_trainer_equals_a_loop_by_hand(name: str, accumulation: int, clip: float, tmp_path: Path) -> None:
    model = classifier()
    trainer = TRAMTrainer(
        model=model,
        args=arguments(tmp_path, gradient_accumulation_steps=accumulation, max_grad_norm=clip),
        train_dataset=CLASSES,
        method=name,
    )
    # This model takes the update's item count and ignores it, which the Trainer cannot know: its loss is a plain mean.
    trainer.model_accepts_loss_kwargs = False
    trainer.train()
    found = weights(model)

    model = classifier().train()
    tram = TRAM(model, name, seed=5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / 4)

    def forward(batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        outputs = model(**batch)
        return outputs.loss, outputs.logits

    for step in range(4):
        start = (2 * accumulation * step) % 16
        rows = CLASSES[start : start + 2 * accumulation]
        batches = [
            {key: torch.stack([row[key] for row in rows[at : at + 2]]) for key in rows[0]}
            for at in range(0, len(rows), 2)
        ]
        tram.backward(forward, *batches)
        if clip:
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    for parameter, value in weights(model).items():
        torch.testing.assert_close(found[parameter], value, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("accumulation", [1, 2])
@pytest.mark.parametrize(("make", "data"), [(classifier, CLASSES), (language_model, LANGUAGE)])
def test_the_plain_method_is_the_plain_trainer_bitwise(make: Any, data: Any, accumulation: int, tmp_path: Path) -> None:
    options = arguments(tmp_path, gradient_accumulation_steps=accumulation)
    plain, model = make(), make()
    InOrder(model=plain, args=options, train_dataset=data).train()
    TRAMTrainer(model=model, args=options, train_dataset=data, method="SGD").train()
    assert same_bits(weights(model), weights(plain))


@pytest.mark.parametrize("name", ["SAM", "TRPO", "ASAM+TRPO", "TRAM-pre"])
def test_accumulation_over_unequal_micro_batches_equals_the_whole_batch(name: str, tmp_path: Path) -> None:
    """The Trainer normalises a language model's loss by the whole update's tokens; the second pass does the same."""
    gradients = []
    for size, accumulation in [(8, 1), (2, 4)]:
        model = language_model()
        model.config.use_cache = False
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        TRAMTrainer(
            model=model,
            args=arguments(
                tmp_path, per_device_train_batch_size=size, gradient_accumulation_steps=accumulation, max_steps=2
            ),
            train_dataset=LANGUAGE,
            method=name,
        ).train()
        gradients.append(weights(model))
    for parameter in gradients[0]:
        # Penalty and radius average d over micro-batches, the loss over tokens: close, not equal, for unequal ones.
        tolerance = 1e-5 if name == "SAM" else 2e-3
        torch.testing.assert_close(gradients[0][parameter], gradients[1][parameter], rtol=tolerance, atol=tolerance)


def test_d_of_a_language_model_is_over_predicted_tokens(tmp_path: Path) -> None:
    model = language_model().eval()
    trainer = TRAMTrainer(model=model, args=arguments(tmp_path), train_dataset=LANGUAGE, method="TRAM-pre")
    rows = LANGUAGE[:3]
    batch = {key: torch.stack([row[key] for row in rows]) for key in rows[0]}
    outputs = model(**batch)
    logits, mask = trainer.logits_and_mask(model, batch, outputs)
    assert mask is not None
    losses = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), batch["labels"][:, 1:].flatten(), ignore_index=-100, reduction="none"
    )
    torch.testing.assert_close(losses.sum() / mask.sum(), outputs.loss)


def test_logs_tell_the_distance_the_radius_and_the_perturbation(tmp_path: Path) -> None:
    trainer = TRAMTrainer(model=classifier(), args=arguments(tmp_path), train_dataset=CLASSES, method="TRAM-pre")
    trainer.train()
    logs = [row for row in trainer.state.log_history if "loss" in row]
    assert [row["distance"] == 0 for row in logs] == [True, False, False, False]
    assert logs[-1]["radius"] == logs[-1]["distance"]
    assert logs[-1]["perturbation_norm"] > 0


@pytest.mark.parametrize("name", METHODS)
def test_a_resumed_training_equals_an_uninterrupted_one(name: str, tmp_path: Path) -> None:
    """With dropout, momentum and a schedule, from files that load as weights only."""
    options = {"save_strategy": "steps", "save_steps": 2, "learning_rate": 0.1, "optim": "adamw_torch"}
    whole = language_model()
    TRAMTrainer(model=whole, args=arguments(tmp_path, **options), train_dataset=LANGUAGE, method=name).train()
    stored = torch.load(tmp_path / "checkpoint-2" / "tram.pt", weights_only=True)
    assert stored["steps"] == 2

    resumed = language_model()
    trainer = TRAMTrainer(model=resumed, args=arguments(tmp_path, **options), train_dataset=LANGUAGE, method=name)
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert same_bits(weights(resumed), weights(whole))


def test_a_checkpoint_of_a_plain_trainer_is_refused(tmp_path: Path) -> None:
    options = {"save_strategy": "steps", "save_steps": 2, "max_steps": 2}
    Trainer(model=classifier(), args=arguments(tmp_path, **options), train_dataset=CLASSES).train()
    trainer = TRAMTrainer(model=classifier(), args=arguments(tmp_path), train_dataset=CLASSES, method="TRAM-prev")
    with pytest.raises(FileNotFoundError, match=r"tram\.pt is missing.*another Trainer, or .*save_only_model=True"):
        trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))


def test_a_model_without_logits_is_told_what_to_override(tmp_path: Path) -> None:
    trainer = TRAMTrainer(model=classifier(), args=arguments(tmp_path), train_dataset=CLASSES, method="TRAM-prev")
    outputs = QuestionAnsweringModelOutput(loss=torch.zeros(()), start_logits=torch.zeros(2, 6))
    with pytest.raises(ValueError, match=r"XLMRoberta\w+ returns no 'logits'.*loss, start_logits.*logits_and_mask\("):
        trainer.logits_and_mask(trainer.model, {}, outputs)


def test_an_interrupted_training_does_not_go_on_unperturbed(tmp_path: Path) -> None:
    trainer = TRAMTrainer(model=classifier(), args=arguments(tmp_path), train_dataset=CLASSES, method="SAM")
    calls = 0

    def interrupt(*_: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt

    trainer.model.register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    trainer.model.zero_grad()
    trainer.train()
    assert trainer.tram.steps == 4
    assert trainer.tram.perturbation_norm is not None


def test_every_training_has_its_own_first_weights(tmp_path: Path) -> None:
    trainer = TRAMTrainer(model=classifier(), args=arguments(tmp_path), train_dataset=CLASSES, method="TRAM-pre")
    for _ in range(2):
        trainer.train()
        assert next(row["distance"] for row in trainer.state.log_history if "distance" in row) == 0


def test_a_bound_is_moved_by_a_callback_and_not_lost_in_silence(tmp_path: Path) -> None:
    class Moving(TrainerCallback):
        def on_step_begin(self, _: Any, state: Any, *__: Any, **___: Any) -> None:
            trainer.tram.scale = 1.0 + state.global_step

    def trained(method: Any) -> TRAMTrainer:
        return TRAMTrainer(model=classifier(), args=arguments(tmp_path), train_dataset=CLASSES, method=method)

    trainer = trained("TRAM-pre")
    trainer.add_callback(Moving())
    for _ in range(2):  # what a training has moved is not held against the next
        trainer.train()
        assert trainer.tram.scale == 4.0
    trainer.tram.scale = 2.0
    with pytest.raises(ValueError, match=r"would be lost: give them to the method's TrustRegion, or .*on_train_begin"):
        trainer.train()
    trainer = trained("TRAM-pre")
    trainer.tram.maximum = 2.0
    with pytest.raises(ValueError, match="would be lost"):
        trainer.train()


def test_every_batch_size_that_is_tried_has_its_own_first_weights(tmp_path: Path) -> None:
    options = {"auto_find_batch_size": True, "per_device_train_batch_size": 4, "max_grad_norm": 0.0}
    trainer = TRAMTrainer(
        model=classifier(), args=arguments(tmp_path, **options), train_dataset=CLASSES, method="TRAM-pre"
    )
    tried: list[Any] = []

    def too_large(_: Any, __: Any, kwargs: dict[str, Any]) -> None:
        if trainer.tram not in tried:
            tried.append(trainer.tram)
        if len(kwargs["input_ids"]) == 4 and trainer.tram.steps == 2:
            raise RuntimeError("CUDA out of memory.")

    trainer.model.register_forward_pre_hook(too_large, with_kwargs=True)
    trainer.train()
    assert [tram.steps for tram in tried] == [2, 4]
    first = [tram.state_dict()["reference.classifier.dense.weight"] for tram in tried]
    assert not torch.equal(*first)


def test_a_missing_input_module_is_told_when_the_trainer_is_made(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Linear has neither get_input_embeddings\(\) nor patch_embed"):
        TRAMTrainer(model=torch.nn.Linear(2, 2), args=arguments(tmp_path), train_dataset=CLASSES, method="TRAM-x")


def test_a_model_made_by_model_init_is_the_one_that_is_perturbed(tmp_path: Path) -> None:
    trainer = TRAMTrainer(model_init=classifier, args=arguments(tmp_path), train_dataset=CLASSES, method="TRPO")
    trainer.train()
    assert trainer.tram.model is trainer.model
    assert trainer.tram.distance > 0


def test_a_loss_of_ones_own_that_hides_the_mixins_is_told(tmp_path: Path) -> None:
    class Hiding(TRAMTrainerMixin, Trainer):
        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
            outputs = model(**inputs)
            return (outputs.loss, outputs) if return_outputs else outputs.loss

    for method in ("SGD", "SAM", "R3F", "TRPO"):
        trainer = Hiding(model=classifier(), args=arguments(tmp_path), train_dataset=CLASSES, method=method)
        with pytest.raises(RuntimeError, match="compute_loss does not reach"):
            trainer.train()


def test_a_loss_of_ones_own_behind_the_mixin_is_used(tmp_path: Path) -> None:
    class Doubled(InOrder):
        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
            outputs = model(**inputs)
            return (2 * outputs.loss, outputs) if return_outputs else 2 * outputs.loss

    class DoubledTRAM(TRAMTrainerMixin, Doubled):
        pass

    half = classifier()
    TRAMTrainer(
        model=half, args=arguments(tmp_path, learning_rate=0.1, max_grad_norm=0.0), train_dataset=CLASSES, method="SAM"
    ).train()
    plain = classifier()
    DoubledTRAM(
        model=plain,
        args=arguments(tmp_path, learning_rate=0.05, max_grad_norm=0.0),
        train_dataset=CLASSES,
        method="SAM",
    ).train()
    for name, value in weights(plain).items():
        torch.testing.assert_close(value, weights(half)[name], rtol=1e-5, atol=1e-7)


def test_what_there_is_not_is_refused_before_the_trainer_is_made(tmp_path: Path) -> None:
    for options, error, match in (
        ({"method": "TRAM-y"}, ValueError, "no method 'TRAM-y'; the nearest is 'TRAM-x'"),
        ({"method": 0.05}, TypeError, "method must be a name of METHODS"),
        ({"sync": "globl"}, ValueError, "TRAMTrainer has no sync='globl'; the nearest is 'global'"),
    ):
        with pytest.raises(error, match=match):
            TRAMTrainer(model=None, args=arguments(tmp_path), **options)


def test_the_wrong_order_of_bases_is_refused() -> None:
    with pytest.raises(TypeError, match="before Trainer"):

        class Wrong(Trainer, TRAMTrainerMixin):
            pass


def test_a_method_without_a_trust_region_needs_no_logits(tmp_path: Path) -> None:
    class NoLogits(TRAMTrainer):
        def logits_and_mask(self, model: Any, inputs: Any, outputs: Any) -> Any:
            raise AssertionError("asked for logits")

    NoLogits(model=classifier(), args=arguments(tmp_path, max_steps=1), train_dataset=CLASSES, method="SAM").train()


@pytest.mark.parametrize("name", GENERATING)
def test_d_is_over_the_positions_of_the_models_own_loss(name: str, tmp_path: Path) -> None:
    """The cross-entropy of the logits that count, against the labels that are not -100, is the loss of transformers."""
    model = generating(name).eval()
    trainer = TRAMTrainer(model=classifier(), args=arguments(tmp_path), train_dataset=CLASSES, method="TRAM-x")
    batch = {key: torch.stack([row[key] for row in LANGUAGE[:3]]) for key in LANGUAGE[0]}
    batch["labels"][:, 0] = -100  # nothing predicts it where labels are shifted
    outputs = model(**batch)
    logits, mask = trainer.logits_and_mask(model, batch, outputs)
    assert mask is not None
    predicted = batch["labels"][batch["labels"] != -100]
    torch.testing.assert_close(torch.nn.functional.cross_entropy(logits[mask], predicted), outputs.loss)


def test_a_subclass_of_a_causal_language_model_is_shifted_too(tmp_path: Path) -> None:
    class Mine(GPT2LMHeadModel):
        pass

    model = language_model()
    model.__class__ = Mine
    trainer = TRAMTrainer(model=model, args=arguments(tmp_path), train_dataset=LANGUAGE, method="TRAM-pre")
    batch = {key: torch.stack([row[key] for row in LANGUAGE[:3]]) for key in LANGUAGE[0]}
    assert trainer.logits_and_mask(model, batch, model(**batch))[0].shape[1] == 5
