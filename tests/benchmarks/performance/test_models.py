"""The sizes are what they are said to be: the paper's on a GPU, and on a CPU with its proportions."""

import pytest
import torch

from benchmarks.performance import models
from benchmarks.performance.models import GPT2, GPT2_XL, LARGE, ON_GPU, SMALL, TINY, Size, work_of

PARAMETERS = {"ViT-B/16": 85.9e6, "GPT-2": 124.4e6, "XLM-R base": 278.0e6, "GPT2-XL": 1557.6e6}


@pytest.mark.parametrize("size", [*ON_GPU, GPT2_XL], ids=lambda size: size.name)
def test_sizes_for_a_gpu_are_the_papers(size: Size) -> None:
    with torch.device("meta"):
        model = {"ViT": models._vit, "GPT-2": models._gpt2, "XLM-R": models._xlm_roberta}[size.kind](size)[0]
    found = sum(param.numel() for param in model.parameters())
    assert found == pytest.approx(PARAMETERS[size.name], rel=5e-3)


@pytest.mark.parametrize("size", [SMALL[1], LARGE[1]], ids=lambda size: size.name)
def test_language_models_for_a_cpu_have_the_vocabulary_that_their_size_has_of_gpt2s(size: Size) -> None:
    def multiplications_per_word(of: Size) -> float:
        return 2 * (12 * of.layers * of.width**2 + of.width * of.vocabulary) / of.vocabulary

    assert multiplications_per_word(GPT2) == pytest.approx(4920, rel=0.005)
    assert multiplications_per_word(size) == pytest.approx(multiplications_per_word(GPT2), rel=0.005)


@pytest.mark.parametrize("size", TINY, ids=lambda size: size.name)
def test_a_work_is_one_batch_in_its_micro_batches(size: Size) -> None:
    work = work_of(size, torch.device("cpu"), torch.float32)
    assert len(work.micro_batches) == size.micro_batches
    assert sum(len(next(iter(batch.values()))) for batch in work.micro_batches) == size.examples
    loss, logits, _ = work.forward(work.micro_batches[0])
    assert loss.shape == ()
    assert logits.shape[-1] == (3 if size.kind == "XLM-R" else size.vocabulary)
    assert work.model.training
    half = work_of(size, torch.device("cpu"), torch.bfloat16)
    assert half.forward(half.micro_batches[0])[1].dtype == torch.bfloat16
    assert {param.dtype for param in half.model.parameters()} == {torch.float32}
