"""mini-m2d2-sequence: the model of mini-m2d2, fine-tuned on the docstrings of four domains, one after the other.

Each domain has a split to train on and one to test on; model and tokenizer are mini-m2d2's.
"""

import sys
from pathlib import Path

from safetensors.torch import load_file, load_model, save_file
from tokenizers import Tokenizer

from benchmarks.cache import cached, file_digest, source_digest
from benchmarks.mini import docstrings, m2d2
from benchmarks.mini.docstrings import Corpus
from benchmarks.row import Benchmark
from benchmarks.task import Report, Task, TensorExamples, silent

CORPORA = (
    Corpus("math", ("sympy",), {"train": 500_000, "validation": 25_000, "test": 25_000}),
    Corpus("science", ("scipy",), {"train": 500_000, "test": 25_000}),
    Corpus("tensors", ("torch",), {"train": 500_000, "test": 25_000}),
    Corpus("transformers", ("transformers",), {"train": 500_000, "test": 25_000}),
)

_BLOCKS = "blocks.safetensors"


def prepare(row: Benchmark, report: Report) -> None:
    """Make the blocks of the four domains, and mini-m2d2's model, in the cache, unless they are there."""
    m2d2.prepare(row, report)
    _cached(report)


def task(row: Benchmark, seed: int) -> Task:
    """Fine-tuning on `row.train_domain`, then on each domain of `row.sequence`; tested on all of them."""
    blocks_file, weights = _cached(silent) / _BLOCKS, m2d2.folder() / m2d2.WEIGHTS
    model = m2d2.new_model(m2d2.FINE_TUNING_DROPOUT)
    load_model(model, weights)
    blocks = {name: TensorExamples({"input_ids": ids.long()}) for name, ids in load_file(blocks_file).items()}
    return Task(
        model=model.train(),
        forward=m2d2.forward,
        train=blocks[f"{row.train_domain}/train"],
        validation=blocks[f"{row.train_domain}/validation"],
        test={domain: blocks[f"{domain}/test"] for domain in row.domains},
        sequence={domain: blocks[f"{domain}/train"] for domain in row.sequence},
        input_module=model.get_input_embeddings(),
        revisions={
            **m2d2.package_versions(CORPORA),
            "corpora sha256": file_digest(blocks_file),
            "weights sha256": file_digest(weights),
        },
    )


def _cached(report: Report) -> Path:
    """The folder of all splits as blocks of tokens, named `domain/split`."""
    tokenizer_file = m2d2.folder() / m2d2.TOKENIZER
    read = [name for corpus in CORPORA for name in corpus.distributions]
    key = {
        "corpora": [[corpus.name, dict(corpus.characters)] for corpus in CORPORA],
        "code": source_digest(docstrings, m2d2, sys.modules[__name__]),
        "tokenizer": file_digest(tokenizer_file),
        "versions": docstrings.versions((*read, "tokenizers")),
    }

    def build(folder: Path) -> None:
        tokenizer, block = Tokenizer.from_file(str(tokenizer_file)), m2d2.PRETRAINING.block
        blocks = {}
        for done, (corpus, splits) in enumerate(docstrings.extract(CORPORA)):
            report("mini-m2d2-sequence: corpora", done, len(CORPORA))
            for split, texts in splits.items():
                ids = m2d2.to_blocks(tokenizer, texts, block)
                blocks[f"{corpus.name}/{split}"] = ids if split == "train" else ids[: m2d2.PRETRAINING.test_blocks]
        save_file({name: ids.contiguous() for name, ids in blocks.items()}, folder / _BLOCKS)
        report("mini-m2d2-sequence: corpora", len(CORPORA), len(CORPORA))

    return cached("mini-m2d2-sequence", key, build)
