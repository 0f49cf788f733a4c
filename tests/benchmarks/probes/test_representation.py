"""Where the representation is found, and what of it is compared, for each kind of model of the registry."""

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel, XLMRobertaConfig, XLMRobertaForSequenceClassification

from benchmarks.probes.representation import Site, representation, site_of
from benchmarks.task import Batch, Forward, Outputs, Task, TensorExamples

TOKENS = torch.randint(5, 30, (3, 6), generator=torch.Generator().manual_seed(0))


def task_of(model: nn.Module, forward: Forward, batch: Batch) -> Task:
    examples = TensorExamples(batch)
    return Task(model.eval(), forward, examples, None, {"home": examples})


def language_model() -> GPT2LMHeadModel:
    return GPT2LMHeadModel(GPT2Config(vocab_size=30, n_positions=8, n_layer=1, n_embd=4, n_head=1))


def predict(model: nn.Module, batch: Batch) -> Outputs:
    logits = model(input_ids=batch["input_ids"][:, :-1], use_cache=False).logits
    targets = batch["input_ids"][:, 1:]
    loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    return (loss, logits, batch["mask"][:, 1:]) if "mask" in batch else (loss, logits)


def test_of_a_language_model_every_predicted_token_is_a_row() -> None:
    task = task_of(language_model(), predict, {"input_ids": TOKENS})
    site = site_of(task, {"input_ids": TOKENS})
    assert site == Site("transformer", is_output=True)
    found = representation(task, task.model, site, {"input_ids": TOKENS})
    with torch.no_grad():
        expected = task.model.transformer(TOKENS[:, :-1]).last_hidden_state
    assert torch.equal(found, expected.reshape(15, 4))


def test_of_a_masked_language_model_only_what_counts() -> None:
    mask = torch.tensor([[True] * 6, [True] * 3 + [False] * 3, [True] * 2 + [False] * 4])
    task = task_of(language_model(), predict, {"input_ids": TOKENS, "mask": mask})
    site = site_of(task, {"input_ids": TOKENS, "mask": mask})
    found = representation(task, task.model, site, {"input_ids": TOKENS, "mask": mask})
    with torch.no_grad():
        expected = task.model.transformer(TOKENS[:, :-1]).last_hidden_state
    assert torch.equal(found, torch.cat([expected[0, :5], expected[1, :2], expected[2, :1]]))


def test_of_a_classified_text_the_first_token_which_the_head_reads() -> None:
    config = XLMRobertaConfig(
        vocab_size=30,
        hidden_size=4,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=4,
        max_position_embeddings=10,
        type_vocab_size=1,
        num_labels=3,
    )
    model = XLMRobertaForSequenceClassification(config)

    def classify(model: nn.Module, batch: Batch) -> Outputs:
        logits = model(input_ids=batch["input_ids"]).logits
        return F.cross_entropy(logits, batch["labels"]), logits

    batch = {"input_ids": TOKENS, "labels": torch.zeros(3, dtype=torch.long)}
    task = task_of(model, classify, batch)
    site = site_of(task, batch)
    assert site == Site("roberta", is_output=True)
    with torch.no_grad():
        expected = model.roberta(TOKENS).last_hidden_state[:, 0]
        assert torch.allclose(representation(task, model, site, batch), expected)


@pytest.mark.parametrize(("name", "options"), [("vit_tiny_patch16_224", {"img_size": 32}), ("resnet10t", {})])
def test_of_a_timm_model_what_goes_into_its_classifier(name: str, options: dict[str, int]) -> None:
    small = {"depth": 1, "embed_dim": 12} if name.startswith("vit") else {}
    model = timm.create_model(name, num_classes=5, **small, **options)

    def classify(model: nn.Module, batch: Batch) -> Outputs:
        logits = model(batch["images"])
        return F.cross_entropy(logits, batch["labels"]), logits

    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    batch = {"images": images, "labels": torch.zeros(2, dtype=torch.long)}
    task = task_of(model, classify, batch)
    site = site_of(task, batch)
    assert str(site) == f"input of {'head' if name.startswith('vit') else 'fc'}"
    with torch.no_grad():
        expected = model.forward_head(model.forward_features(images), pre_logits=True)
    assert torch.allclose(representation(task, model, site, batch), expected, atol=1e-6)


class TwoLayers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(3, 2)  # named first, called last
        self.first = nn.Linear(2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.first(x).relu())


def plainly(model: nn.Module, batch: Batch) -> Outputs:
    logits = model(batch["x"])
    return logits.mean(), logits


def test_of_any_other_model_what_goes_into_the_linear_layer_that_is_called_last() -> None:
    model, batch = TwoLayers(), {"x": torch.ones(4, 2)}
    task = task_of(model, plainly, batch)
    site = site_of(task, batch)
    assert site == Site("last")
    assert torch.equal(representation(task, model, site, batch), model.first(batch["x"]).relu())
    assert not model.first._forward_hooks
    assert not model.last._forward_pre_hooks


def test_a_model_without_a_linear_layer_needs_a_name() -> None:
    batch = {"x": torch.ones(4, 2)}
    with pytest.raises(ValueError, match="Sequential calls no linear layer: name the module"):
        site_of(task_of(nn.Sequential(nn.ReLU()), plainly, batch), batch)


def test_a_site_whose_features_are_of_other_predictions_is_refused() -> None:
    batch = {"x": torch.ones(2, 3, 2)}
    task = task_of(nn.Sequential(nn.Linear(2, 2), nn.Flatten(), nn.Linear(6, 4)), plainly, batch)
    with pytest.raises(
        ValueError, match=r"input of 0: features of shape \(2, 3, 1, 2\) for predictions of shape \(2,\); name an"
    ):
        representation(task, task.model, Site("0"), {"x": torch.ones(2, 3, 1, 2)})
