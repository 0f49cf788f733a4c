"""Models as people have them, against the naive implementation: transformers' three kinds, a ViT, a ConvNet."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import BartForConditionalGeneration, T5ForConditionalGeneration

from tests.problems import Batch, classification, same_bits, weights
from tests.tram.naive import Naive
from tests.tram.test_methods import fixed_noise
from tests.tram.tiny_transformers import bart, classifier, language_model, t5
from tram import METHODS, TRAM
from tram._noise import InputNoise


def vit() -> nn.Module:
    return timm.create_model(
        "vit_tiny_patch16_224", img_size=8, patch_size=4, embed_dim=8, depth=1, num_heads=2, num_classes=3
    )


def convnet() -> nn.Module:
    return timm.create_model("test_resnet", num_classes=3)


def first_logits(outputs: Any) -> Tensor:
    """A tuple's first, a ModelOutput's logits, or the tensor itself: the forward callable decides."""
    return outputs[0] if isinstance(outputs, tuple) else getattr(outputs, "logits", outputs)


def classified(logits: Tensor, batch: Batch) -> Tensor:
    return F.cross_entropy(logits, batch["y"])


def next_token(logits: Tensor, batch: Batch) -> Tensor:
    return F.cross_entropy(logits.flatten(0, 1), batch["x"][:, 1:].flatten())


def same_tokens(logits: Tensor, batch: Batch) -> Tensor:
    return F.cross_entropy(logits.flatten(0, 1), batch["x"].flatten())


def tokens() -> Batch:
    return {"x": torch.randint(3, 13, (4, 6)), "y": torch.randint(3, (4,))}


def images() -> Batch:
    return {"x": torch.randn(4, 3, 8, 8, dtype=torch.float64), "y": torch.randint(3, (4,))}


@dataclass(frozen=True)
class Model:
    make: Callable[[], nn.Module]
    batch: Callable[[], Batch] = tokens
    loss: Callable[[Tensor, Batch], Tensor] = classified
    call: dict[str, Any] | None = None
    input_module: str | None = None
    shift: bool = False


MODELS = {
    "encoder": Model(classifier, call={"return_dict": False}),
    "decoder": Model(partial(language_model, dropout=0.0), loss=next_token, shift=True),
    "T5": Model(t5, loss=same_tokens, call={"decoder_input_ids": None}),
    "BART": Model(bart, loss=same_tokens, call={"decoder_input_ids": None}),
    "ViT": Model(vit, images),
    "ConvNet": Model(convnet, images, input_module="conv1"),
}


class Called(nn.Module):
    """A model of one tensor that returns logits, whatever it is and returns inside."""

    def __init__(self, kind: Model) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.inner = kind.make().double().train()
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        options = {name: x if value is None else value for name, value in (self.kind.call or {}).items()}
        logits = first_logits(self.inner(x, **options))
        return logits[:, :-1] if self.kind.shift else logits


@pytest.mark.parametrize("name", ["ASAM+R3F", "ASAM+MESA", "TRAM-prev", "TRAM-x", "TRAM-Fisher"])
@pytest.mark.parametrize("kind", MODELS)
def test_three_steps_equal_the_naive_implementation(kind: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InputNoise, "_draw", lambda self, noise, output, seed: fixed_noise(output))
    row = MODELS[kind]
    model = Called(row)
    named = None if row.input_module is None else model.inner.get_submodule(row.input_module)
    tram = TRAM(model.inner, name, input_module=named)
    batches = [row.batch() for _ in range(3)]
    twin = copy.deepcopy(model)
    other = copy.deepcopy(model)
    plain = Naive(
        name,
        other,
        # The noise is where the estimator would put it by itself.
        other.inner.get_submodule(row.input_module) if named else input_module_of(other.inner),
        row.loss,
        inputs_of=lambda batch: batch["x"],
        cut=lambda logits: logits,
        z=fixed_noise,
    )
    expected = plain.run(batches)

    def forward(batch: Batch) -> tuple[Tensor, Tensor]:
        logits = model(batch["x"])
        return row.loss(logits, batch), logits

    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for step, batch in enumerate(batches):
        tram.backward(forward, batch)
        if step == 0 and name != "TRAM-Fisher":
            twin(batch["x"])  # one forward at theta_0
            assert same_bits(dict(model.named_buffers()), dict(twin.named_buffers()))
        optimizer.step()
        optimizer.zero_grad()
    counts = [buffer for key, buffer in model.named_buffers() if key.endswith("num_batches_tracked")]
    assert (len(counts) > 0) == (kind == "ConvNet")
    assert all(count == 3 for count in counts)
    for parameter, value in model.named_parameters():
        # T5 normalises in single precision.
        torch.testing.assert_close(value, expected[parameter], rtol=1e-4, atol=1e-5 if kind == "T5" else 1e-8)


def input_module_of(model: nn.Module) -> nn.Module:
    if isinstance(model, BartForConditionalGeneration | T5ForConditionalGeneration):
        return model.get_encoder().embed_tokens
    return model.patch_embed if hasattr(model, "patch_embed") else model.get_input_embeddings()  # type: ignore[operator]


# ----------------------------------------------------------------------------------------------- gradient checkpointing


def steps(model: nn.Module, called: Callable[[Tensor], Tensor], name: str, input_module: nn.Module | None) -> TRAM:
    torch.manual_seed(0)
    tram = TRAM(model, name, input_module=input_module)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def forward(batch: Batch) -> tuple[Tensor, Tensor]:
        logits = called(batch["x"])
        return classified(logits, batch), logits

    for batch in classification().batches[:3]:
        tram.backward(forward, batch)
        optimizer.step()
        optimizer.zero_grad()
    return tram


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad:UserWarning")  # torch's, of no_grad forwards
@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("name", METHODS)
def test_recomputed_layers_train_as_kept_ones(name: str, reentrant: bool) -> None:
    """Checkpointing behind the input module, with dropout, whose masks it repeats."""
    found = []
    for recompute in (False, True):
        problem = classification(dropout=0.3)
        model: Any = problem.model
        rest = nn.Sequential(model.norm, nn.Tanh(), model.dropout, model.head)

        def called(x: Tensor, model: Any = model, rest: nn.Module = rest, recompute: bool = recompute) -> Tensor:
            h = model.embedding(x)
            return checkpoint(rest, h, use_reentrant=reentrant) if recompute else rest(h)

        steps(model, called, name, problem.input_module)
        found.append(weights(model))
    assert same_bits(*found)


@pytest.mark.parametrize("name", METHODS)
def test_a_recomputed_input_module_trains_the_same_or_is_refused(name: str) -> None:
    """Where the noise of a forward to be differentiated would be missing from its recomputation, it is told."""
    method = METHODS[name]
    noise_is_differentiated = method.sees_noise_first or (method.needs_input_module and method.penalty > 0)
    problem, plain = classification(dropout=0.3), classification(dropout=0.3)
    recomputed = partial(checkpoint, problem.model, use_reentrant=False)
    if noise_is_differentiated:
        before = weights(problem.model)
        with pytest.raises(RuntimeError, match=r"checkpointing calls the input module Linear again.*leave the input"):
            steps(problem.model, recomputed, name, problem.input_module)
        assert same_bits(weights(problem.model), before)
        assert not problem.input_module._forward_pre_hooks
        assert type(problem.input_module) is nn.Linear
        return
    steps(problem.model, recomputed, name, problem.input_module)
    steps(plain.model, plain.model, name, plain.input_module)
    assert same_bits(weights(problem.model), weights(plain.model))


def test_a_forward_of_ones_own_before_the_backward_is_no_recomputation() -> None:
    problem = classification()
    tram = TRAM(problem.model, "R3F", input_module=problem.input_module)
    loss = tram.objective(problem.forward)(problem.batches[0])
    expected = problem.forward(problem.batches[1])[0]
    loss.backward()
    tram.advance()
    assert torch.equal(problem.forward(problem.batches[1])[0], expected)
