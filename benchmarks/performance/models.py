"""What is timed: models of the paper's three kinds with random weights, and one synthetic batch of each.

Nothing is downloaded, and there is no dropout: its random numbers cost every pass the same, and would only hide what is
compared. The sizes for a GPU are the paper's own. Those for a CPU keep what decides how much a method adds to its
passes: for what is done once to every weight a thousand tokens in a batch, and four thousand for the larger models, as
many as a batch of XNLI has in the paper, whose other batches have more; for what is done to every logit as many
multiplications of a language model per entry of its vocabulary as GPT-2 has (4,920).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Kind = Literal["ViT", "GPT-2", "XLM-R"]
Outputs = tuple[Tensor, Tensor, Tensor | None]


@dataclass(frozen=True)
class Size:
    """A model and its batch. `length` is tokens of an example, or the side of an image in pixels."""

    name: str
    kind: Kind
    width: int
    layers: int
    vocabulary: int
    examples: int
    length: int
    micro_batches: int = 1

    @property
    def heads(self) -> int:
        return max(1, self.width // 64)

    @property
    def work(self) -> float:
        """Roughly the multiplications of a forward: to tell which takes how long."""
        tokens = self.examples * ((self.length // 16) ** 2 if self.kind == "ViT" else self.length)
        head = self.width * self.vocabulary if self.kind == "GPT-2" else 0
        return float(tokens * (12 * self.layers * self.width**2 + head))


@dataclass(frozen=True)
class Work:
    """A model in training mode on its device, and micro-batches for `forward`."""

    model: nn.Module
    forward: Callable[[Mapping[str, Tensor]], Outputs]
    micro_batches: tuple[Mapping[str, Tensor], ...]
    input_module: nn.Module

    @property
    def parameters(self) -> int:
        return sum(param.numel() for param in self.model.parameters())


TINY = (
    Size("ViT, tiny", "ViT", width=32, layers=1, vocabulary=10, examples=2, length=32),
    Size("GPT-2, tiny", "GPT-2", width=32, layers=1, vocabulary=101, examples=2, length=8, micro_batches=2),
    Size("XLM-R, tiny", "XLM-R", width=32, layers=1, vocabulary=101, examples=2, length=8),
)
"""For tests: nothing that they measure means anything."""

SMALL = (
    Size("ViT, 3M", "ViT", width=192, layers=6, vocabulary=100, examples=20, length=112),
    Size("GPT-2, 3M", "GPT-2", width=192, layers=6, vocabulary=1168, examples=4, length=256),
    Size("XLM-R, 2M", "XLM-R", width=128, layers=4, vocabulary=12500, examples=32, length=64),
)
LARGE = (
    Size("ViT, 11M", "ViT", width=384, layers=6, vocabulary=100, examples=80, length=112),
    Size("GPT-2, 13M", "GPT-2", width=384, layers=6, vocabulary=5110, examples=16, length=256),
    Size("XLM-R, 11M", "XLM-R", width=256, layers=6, vocabulary=25000, examples=32, length=128),
)
"""For a CPU, from which on a step may take no more than 1.03 times its passes."""

GPT2 = Size("GPT-2, 124M", "GPT-2", width=768, layers=12, vocabulary=50257, examples=1, length=1024)

ON_GPU = (
    Size("ViT-B/16", "ViT", width=768, layers=12, vocabulary=100, examples=128, length=224),
    Size("GPT-2", "GPT-2", width=768, layers=12, vocabulary=50257, examples=16, length=1024, micro_batches=4),
    Size("XLM-R base", "XLM-R", width=768, layers=12, vocabulary=250002, examples=32, length=128),
)
GPT2_XL = Size("GPT2-XL", "GPT-2", width=1600, layers=48, vocabulary=50257, examples=4, length=1024, micro_batches=4)
"""The paper's models at its batch sizes, cut into micro-batches where a batch of logits would not fit."""


def work_of(size: Size, device: torch.device, dtype: torch.dtype) -> Work:
    """The model and batch of `size`; below float32 the forward runs under autocast, weights stay float32."""
    torch.manual_seed(0)
    make = {"ViT": _vit, "GPT-2": _gpt2, "XLM-R": _xlm_roberta}[size.kind]
    model, inputs, forward = make(size)
    model.to(device).train()
    batch = {name: tensor.to(device) for name, tensor in inputs.items()}
    pieces = zip(*(tensor.chunk(size.micro_batches) for tensor in batch.values()), strict=True)

    def cast(batch: Mapping[str, Tensor]) -> Outputs:
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            return forward(batch)

    micro_batches = tuple(dict(zip(batch, piece, strict=True)) for piece in pieces)
    return Work(model, cast, micro_batches, _input_module(model))


Made = tuple[nn.Module, dict[str, Tensor], Callable[[Mapping[str, Tensor]], Outputs]]


def _vit(size: Size) -> Made:
    from timm.models.vision_transformer import VisionTransformer

    model = VisionTransformer(
        img_size=size.length,
        patch_size=16,
        num_classes=size.vocabulary,
        embed_dim=size.width,
        depth=size.layers,
        num_heads=size.heads,
    )
    inputs = {
        "images": torch.randn(size.examples, 3, size.length, size.length),
        "labels": torch.randint(size.vocabulary, (size.examples,)),
    }

    def forward(batch: Mapping[str, Tensor]) -> Outputs:
        logits = model(batch["images"])
        return F.cross_entropy(logits.float(), batch["labels"]), logits, None

    return model, inputs, forward


def _gpt2(size: Size) -> Made:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=size.vocabulary,
        n_positions=size.length,
        n_embd=size.width,
        n_layer=size.layers,
        n_head=size.heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=None,
        eos_token_id=None,
    )
    model = GPT2LMHeadModel(config)
    inputs = {"tokens": torch.randint(size.vocabulary, (size.examples, size.length))}

    def forward(batch: Mapping[str, Tensor]) -> Outputs:
        logits = model(batch["tokens"], use_cache=False).logits[:, :-1]
        return F.cross_entropy(logits.float().flatten(0, 1), batch["tokens"][:, 1:].flatten()), logits, None

    return model, inputs, forward


def _xlm_roberta(size: Size) -> Made:
    from transformers import XLMRobertaConfig, XLMRobertaForSequenceClassification

    config = XLMRobertaConfig(
        vocab_size=size.vocabulary,
        hidden_size=size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        intermediate_size=4 * size.width,
        max_position_embeddings=size.length + 2,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    config.num_labels = 3
    model = XLMRobertaForSequenceClassification(config)
    inputs = {
        "tokens": torch.randint(3, size.vocabulary, (size.examples, size.length)),
        "labels": torch.randint(3, (size.examples,)),
    }

    def forward(batch: Mapping[str, Tensor]) -> Outputs:
        logits = model(batch["tokens"]).logits
        return F.cross_entropy(logits.float(), batch["labels"]), logits, None

    return model, inputs, forward


def _input_module(model: Any) -> nn.Module:
    module = model.get_input_embeddings() if hasattr(model, "get_input_embeddings") else model.patch_embed
    assert isinstance(module, nn.Module)
    return module
