"""The Trainer's options with the mixin: each does what it does without it."""

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch._dynamo
import torch.nn.functional as F
from torch import Tensor
from torch._dynamo.utils import counters
from torch.utils.data import SequentialSampler
from transformers import Seq2SeqTrainer, Seq2SeqTrainingArguments, TrainingArguments

from tests.problems import same_bits, weights
from tests.tram.test_trainer import CLASSES, LANGUAGE, InOrder, TRAMTrainer, arguments
from tests.tram.tiny_transformers import classifier, language_model, t5
from tram import TRAM, TRAMTrainerMixin

# transformers is renaming it.
CHECKPOINTING = (
    "activation_checkpointing" if hasattr(TrainingArguments, "activation_checkpointing") else "gradient_checkpointing"
)
ASCENDING = ["SAM", "ASAM+TRPO", "TRAM-prev", "TRAM-x", "TRAM-Fisher"]


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)


def train(make: Any, data: Any, folder: Path, method: str, **options: Any) -> TRAMTrainer:
    trainer = TRAMTrainer(
        model=make(), args=arguments(folder, **options), train_dataset=data, eval_dataset=data[:4], method=method
    )
    trainer.train()
    return trainer


def batches(data: Any, size: int = 2) -> list[dict[str, Tensor]]:
    return [
        {key: torch.stack([row[key] for row in data[at : at + size]]) for key in data[0]}
        for at in range(0, len(data), size)
    ]


def by_hand(model: Any, method: str, forward: Any, data: Any, steps: int = 4) -> dict[str, Tensor]:
    """The Trainer's loop: SGD with a schedule that falls to 0, norms of gradients at most 1."""
    model.train()
    tram = TRAM(model, method, seed=5)
    optimizer = torch.optim.SGD([param for param in model.parameters() if param.requires_grad], lr=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    for batch in batches(data)[:steps]:
        tram.backward(forward, batch)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    return weights(model)


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["SGD", *ASCENDING])
def test_label_smoothing(name: str, tmp_path: Path) -> None:
    """transformers takes the labels out of the inputs for it: not out of those of the next pass."""
    found = train(classifier, CLASSES, tmp_path, name, label_smoothing_factor=0.2)
    model = classifier()

    def forward(batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        logits = model(**batch).logits
        return F.cross_entropy(logits, batch["labels"], label_smoothing=0.2), logits

    assert_close(weights(found.model), by_hand(model, name, forward, CLASSES))


def test_label_smoothing_of_a_language_model_shifts_d_too(tmp_path: Path) -> None:
    trainer = train(language_model, LANGUAGE, tmp_path, "TRAM-pre", label_smoothing_factor=0.2)
    assert trainer.tram.distance is not None
    assert trainer.tram.distance > 0
    batch = batches(LANGUAGE)[0]
    unlabelled = {key: value for key, value in batch.items() if key != "labels"}
    logits, mask = trainer.logits_and_mask(trainer.model, batch, trainer.model(**unlabelled))
    assert logits.shape == (2, 5, 17)
    assert mask is not None
    assert torch.equal(mask, batch["labels"][:, 1:] != -100)


def test_fp16_on_a_cpu_is_full_precision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As docs/training/hugging-face.md says: without autocast and without a scaler."""
    # Older transformers tells accelerate by the environment, where it would stay for the tests after.
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    full, half = (train(classifier, CLASSES, tmp_path, "TRAM-prev", fp16=fp16) for fp16 in (False, True))
    assert half.args.fp16
    assert half.tram.scaler is None
    assert same_bits(weights(half.model), weights(full.model))


@pytest.mark.parametrize("name", ASCENDING)
def test_evaluation_during_training_changes_nothing(name: str, tmp_path: Path) -> None:
    found = train(classifier, CLASSES, tmp_path, name, eval_strategy="steps", eval_steps=1)
    expected = train(classifier, CLASSES, tmp_path, name)
    assert same_bits(weights(found.model), weights(expected.model))
    evaluated = [row["eval_loss"] for row in found.state.log_history if "eval_loss" in row]
    assert len(evaluated) == 4
    model = found.model.eval()
    batch = batches(CLASSES, size=4)[0]
    assert evaluated[-1] == pytest.approx(model(**batch).loss.item(), rel=1e-5)


def test_the_best_model_is_loaded_at_the_end(tmp_path: Path) -> None:
    """Were the highest loss the best, it would be the first and not the last."""
    trainer = train(
        language_model,
        LANGUAGE,
        tmp_path,
        "TRAM-prev",
        eval_strategy="steps",
        eval_steps=1,
        save_strategy="steps",
        save_steps=1,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=True,
    )
    assert trainer.state.best_model_checkpoint == str(tmp_path / "checkpoint-1")
    loaded = type(trainer.model).from_pretrained(tmp_path / "checkpoint-1")
    assert same_bits(weights(trainer.model), weights(loaded))
    assert trainer.tram.steps == 4


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("name", ["SGD", "ASAM+R3F", *ASCENDING])
def test_gradient_checkpointing(name: str, reentrant: bool, tmp_path: Path) -> None:
    """With GPT-2's dropout: embeddings are outside of what is recomputed."""
    with warnings.catch_warnings():
        # torch's, where nothing requires a gradient: the reference's forward.
        warnings.filterwarnings("ignore", "None of the inputs have requires_grad", UserWarning)
        found = train(
            language_model,
            LANGUAGE,
            tmp_path,
            name,
            **{CHECKPOINTING: True, f"{CHECKPOINTING}_kwargs": {"use_reentrant": reentrant}},
        )
    assert any(getattr(module, "gradient_checkpointing", False) for module in found.model.modules())
    expected = train(language_model, LANGUAGE, tmp_path, name)
    assert_close(weights(found.model), weights(expected.model))


@pytest.fixture
def _dynamo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # transformers tells accelerate by the environment, where it would stay for the tests after.
    monkeypatch.setenv("ACCELERATE_DYNAMO_BACKEND", "no")
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


@pytest.mark.usefixtures("_dynamo")
def test_torch_compile(tmp_path: Path) -> None:
    expected = train(classifier, CLASSES, tmp_path, "TRAM-x")
    assert counters["stats"]["unique_graphs"] == 0
    found = train(classifier, CLASSES, tmp_path, "TRAM-x", torch_compile=True, torch_compile_backend="eager")
    assert counters["stats"]["unique_graphs"] > 0
    assert_close(weights(found.model), weights(expected.model))


@pytest.mark.parametrize("name", ["SAM", "TRAM-pre", "TRAM-x"])
def test_low_rank_adapters(name: str, tmp_path: Path) -> None:
    """PEFT's weights alone are trained, perturbed, kept as the reference and saved."""
    from peft import LoraConfig, get_peft_model

    def adapted() -> Any:
        torch.manual_seed(3)
        config = LoraConfig(r=2, target_modules=["query"], task_type="SEQ_CLS", init_lora_weights=False)
        return get_peft_model(classifier(), config)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT's, about transformers' names
        trainer = TRAMTrainer(
            model=adapted(), args=arguments(tmp_path, label_names=["labels"]), train_dataset=CLASSES, method=name
        )
        trainer.train()
        model = adapted()

    def forward(batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        outputs = model(**batch)
        return outputs.loss, outputs.logits

    before = weights(model)
    after = by_hand(model, name, forward, CLASSES)
    assert_close(weights(trainer.model), after)
    moved = {key for key, value in after.items() if not torch.equal(value, before[key])}
    assert moved
    assert all("lora_" in key or "classifier" in key for key in moved)


class Seq2SeqInOrder(Seq2SeqTrainer):
    def _get_train_sampler(self, *_: Any) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)


class TRAMSeq2SeqTrainer(TRAMTrainerMixin, Seq2SeqInOrder):
    pass


@pytest.mark.parametrize("name", ["SGD", *ASCENDING])
def test_an_encoder_decoder_with_the_seq2seq_trainer(name: str, tmp_path: Path) -> None:
    defaults = arguments(tmp_path).to_dict()
    kept = ("output_dir", "max_steps", "per_device_train_batch_size", "learning_rate", "optim", "seed", "use_cpu")
    trainer = TRAMSeq2SeqTrainer(
        model=t5(),
        args=Seq2SeqTrainingArguments(
            **{key: defaults[key] for key in kept},
            report_to=[],
            disable_tqdm=True,
            save_strategy="no",
            eval_strategy="steps",
            eval_steps=2,
            predict_with_generate=True,
            generation_max_length=4,
        ),
        train_dataset=LANGUAGE,
        eval_dataset=LANGUAGE[:2],
        method=name,
    )
    trainer.train()
    assert sum("eval_loss" in row for row in trainer.state.log_history) == 2
    model = t5()

    def forward(batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        outputs = model(**batch)
        return outputs.loss, outputs.logits, batch["labels"] != -100

    assert_close(weights(trainer.model), by_hand(model, name, forward, LANGUAGE))


def test_the_batch_is_handed_on_untouched(tmp_path: Path) -> None:
    """Whatever compute_loss takes out of its inputs is there for the next pass."""

    class Taking(InOrder):
        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
            labels = inputs.pop("labels")
            outputs = model(**inputs)
            loss = F.cross_entropy(outputs.logits, labels)
            return (loss, outputs) if return_outputs else loss

    class TakingTRAM(TRAMTrainerMixin, Taking):
        pass

    for name in ("TRPO", "ASAM+R3F", "TRAM-x", "TRAM-Fisher"):
        trainer = TakingTRAM(
            model=classifier(), args=arguments(tmp_path, max_steps=1), train_dataset=CLASSES, method=name
        )
        trainer.train()
        assert trainer.tram.steps == 1
