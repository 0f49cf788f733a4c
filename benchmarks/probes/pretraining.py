"""Examples that a benchmark's model was pre-trained on, in the form of its batches: what fine-tuning may forget."""

from collections.abc import Callable
from functools import cache
from itertools import islice
from typing import Any

import torch
from safetensors.torch import load_file
from torch.utils.data import Dataset

from benchmarks.probes.examples import evenly
from benchmarks.row import Benchmark
from benchmarks.task import Task, TensorExamples, silent


def pretraining_examples(row: Benchmark, task: Task, count: int) -> tuple[str, Dataset[Any]]:
    """What they are, and `count` of them; of the training domain's test set where nothing else is at hand."""
    if row.family not in _MAKERS:
        domain, examples = next(iter(task.test.items()))
        return f"test set of {domain}", evenly(examples, count)
    name, make = _MAKERS[row.family]
    return name, make(count)


# The mini benchmarks' modules take seconds to import, and a benchmark needs its own alone.


@cache
def _glyphs(count: int) -> TensorExamples:
    """Symbols of the source alphabet, noisy and warped in full as at the end of pre-training.

    The new head has other classes: what is asked of it is what it says, not whether that is right.
    """
    from benchmarks.mini import glyphs, targets, vision

    recipe = vision.PRETRAINING
    drawn = glyphs.draw(recipe.faces, targets.alphabets()[1])
    random = targets.generator("source, to probe")
    chosen = torch.randint(len(drawn.labels), (count,), generator=random)
    images = recipe.noise(glyphs.vary(drawn.images[chosen], recipe.warp, random), random)
    return TensorExamples({"images": vision.standardised(images), "labels": torch.zeros(count, dtype=torch.long)})


@cache
def _docstrings(count: int) -> Dataset[Any]:
    """Blocks of the general corpus, from its beginning to its end."""
    from benchmarks.mini import m2d2

    blocks = load_file(m2d2.folder() / "blocks.safetensors")[f"{m2d2.PRETRAINING.general.name}/train"]
    return evenly(TensorExamples({"input_ids": blocks.long()}), count)


@cache
def _facts(count: int) -> TensorExamples:
    """Pairs in all languages, the first after those in English alone."""
    from tokenizers import Tokenizer

    from benchmarks.mini import xnli

    recipe = xnli.PRETRAINING
    first = recipe.english_steps * recipe.batch_size
    pairs = islice(xnli.pretraining_pairs(xnli.draw_rounds()["pre-training"]), first, first + count)
    tokenizer = Tokenizer.from_file(str(xnli._facts(silent) / xnli._TOKENIZER))
    return TensorExamples(xnli.encode(tokenizer, list(pairs)))


_MAKERS: dict[str, tuple[str, Callable[[int], Dataset[Any]]]] = {
    "mini-vision": ("glyphs of the source alphabet", _glyphs),
    "mini-m2d2": ("docstrings of the general corpus", _docstrings),
    "mini-m2d2-sequence": ("docstrings of the general corpus", _docstrings),
    "mini-xnli": ("pairs of facts in fifteen languages", _facts),
}
