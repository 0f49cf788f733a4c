"""mini-m2d2: a small GPT-2, pre-trained on the docstrings of general packages, fine-tuned on one domain of eleven.

The pre-training corpus has none of the domains' packages in it, as WebText has no M2D2 split. It does have packages
that use some of them, such as timm, which calls PyTorch.
"""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, load_model, save_file, save_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel, get_linear_schedule_with_warmup

from benchmarks.cache import cached, file_digest, source_digest
from benchmarks.mini import docstrings
from benchmarks.mini.docstrings import STANDARD_LIBRARY, Corpus
from benchmarks.mini.reproducible import one_thread
from benchmarks.row import Benchmark
from benchmarks.task import Batch, Report, Task, TensorExamples, silent

_ENOUGH_FOR_TESTING = 25_000
_DOMAINS = (
    Corpus("math", ("sympy",), {"train": 700_000, "validation": _ENOUGH_FOR_TESTING, "test": _ENOUGH_FOR_TESTING}),
    Corpus("science", ("scipy",), {"test": _ENOUGH_FOR_TESTING}),
    Corpus("graphs", ("networkx",), {"test": _ENOUGH_FOR_TESTING}),
    Corpus("plotting", ("matplotlib",), {"test": _ENOUGH_FOR_TESTING}),
    Corpus("arrays", ("numpy",), {"test": _ENOUGH_FOR_TESTING}),
    Corpus("learning", ("scikit-learn",), {"test": _ENOUGH_FOR_TESTING}),
    Corpus("tables", ("pandas",), {"test": _ENOUGH_FOR_TESTING}),
    Corpus("fonts", ("fonttools",), {"test": _ENOUGH_FOR_TESTING}),
    Corpus("tensors", ("torch",), {"test": _ENOUGH_FOR_TESTING}),
    Corpus("stdlib", (STANDARD_LIBRARY,), {"test": _ENOUGH_FOR_TESTING}),
    Corpus("transformers", ("transformers",), {"test": _ENOUGH_FOR_TESTING}),
)
# All of these come with the extra `bench` on every platform. Left out although they do: narwhals and pyarrow (tables),
# mpmath (math), mlxtend (learning), multiprocess and setuptools (forks of parts of the standard library).
_GENERAL = Corpus(
    "general",
    (
        "accelerate",
        "babel",
        "click",
        "contourpy",
        "datasets",
        "dill",
        "filelock",
        "fsspec",
        "huggingface-hub",
        "jinja2",
        "joblib",
        "markdown-it-py",
        "packaging",
        "pillow",
        "platformdirs",
        "psutil",
        "pydantic",
        "pygments",
        "pyparsing",
        "python-dateutil",
        "regex",
        "rich",
        "safetensors",
        "submitit",
        "timm",
        "tokenizers",
        "torchvision",
        "tqdm",
        "typer",
    ),
    {"train": 3_400_000},
)


@dataclass(frozen=True)
class Pretraining:
    """What makes the pre-trained model: corpora, tokenizer, architecture and training."""

    domains: tuple[Corpus, ...] = _DOMAINS
    general: Corpus = _GENERAL
    vocabulary: int = 1024
    block: int = 64
    test_blocks: int = 128
    """Blocks of every validation and test split, 8,192 tokens, so that every domain weighs the same."""
    layers: int = 2
    width: int = 128
    heads: int = 4
    dropout: float = 0.0
    """None: the model sees no block twice, so there is nothing yet to overfit."""
    batch_size: int = 16
    steps: int = 1200
    warmup_steps: int = 50
    lr: float = 1.5e-3
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    seed: int = 0

    @property
    def corpora(self) -> tuple[Corpus, ...]:
        return (*self.domains, self.general)


PRETRAINING = Pretraining()
FINE_TUNING_DROPOUT = 0.1

_SEPARATOR = "<|endoftext|>"
_BLOCKS = "blocks.safetensors"
TOKENIZER = "tokenizer.json"
WEIGHTS = "model.safetensors"


def forward(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """(loss, logits) of predicting every token of `input_ids` (blocks, tokens) but the first of a block.

    loss is the mean negative log-likelihood in nats; logits are (blocks, tokens - 1, vocabulary).
    """
    tokens = batch["input_ids"]
    logits = model(input_ids=tokens[:, :-1]).logits  # nothing is predicted from a block's last token
    return F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten()), logits


def prepare(row: Benchmark, report: Report) -> None:
    """Make the corpora, the tokenizer and the pre-trained model in the cache, unless they are there."""
    _cached(report)


def task(row: Benchmark, seed: int) -> Task:
    """Fine-tuning on math, tested on all eleven domains.

    The seed changes nothing here: the model has no fresh head; data order and dropout are the training loop's.
    """
    folder = _cached(silent)
    model = new_model(FINE_TUNING_DROPOUT)
    load_model(model, folder / WEIGHTS)
    blocks = {name: TensorExamples({"input_ids": ids.long()}) for name, ids in load_file(folder / _BLOCKS).items()}
    return Task(
        model=model.train(),
        forward=forward,
        train=blocks[f"{row.train_domain}/train"],
        validation=blocks[f"{row.train_domain}/validation"],
        test={domain: blocks[f"{domain}/test"] for domain in row.domains},
        input_module=model.get_input_embeddings(),
        revisions={
            **package_versions(PRETRAINING.corpora),
            "corpora sha256": file_digest(folder / _BLOCKS),
            "weights sha256": file_digest(folder / WEIGHTS),
        },
    )


def package_versions(corpora: Iterable[Corpus]) -> dict[str, str]:
    """What each corpus was made from, as `sympy 1.14.0`."""
    return {
        corpus.name: ", ".join(f"{name} {number}" for name, number in docstrings.versions(corpus.distributions).items())
        for corpus in corpora
    }


def folder() -> Path:
    """The folder of the tokenizer, the blocks and the weights, made if it is not there."""
    return _cached(silent)


def _cached(report: Report) -> Path:
    """The folder of the tokenizer, of all splits as blocks of tokens, named `domain/split`, and of the weights."""
    read = [name for corpus in PRETRAINING.corpora for name in corpus.distributions]
    key = {
        "recipe": asdict(PRETRAINING),
        "code": source_digest(docstrings, sys.modules[__name__]),
        "versions": docstrings.versions((STANDARD_LIBRARY, *read, "tokenizers", "torch", "transformers")),
    }

    def build(folder: Path) -> None:
        _write_blocks(folder, report)
        blocks = load_file(folder / _BLOCKS)[f"{PRETRAINING.general.name}/train"]
        save_model(pretrain(blocks, report), str(folder / WEIGHTS))

    return cached("mini-m2d2", key, build)


def _write_blocks(folder: Path, report: Report) -> None:
    """Extract the corpora, train the tokenizer on the general one and write both."""
    recipe, stage = PRETRAINING, "mini-m2d2: corpus"
    parts = len(recipe.corpora) + 1  # the last is the tokenizer
    report(stage, 0, parts)
    documents: dict[str, list[str]] = {}
    for done, (corpus, splits) in enumerate(docstrings.extract(recipe.corpora), start=1):
        documents |= {f"{corpus.name}/{split}": texts for split, texts in splits.items()}
        report(stage, done, parts)
    tokenizer = train_tokenizer(documents[f"{recipe.general.name}/train"], recipe.vocabulary)
    tokenizer.save(str(folder / TOKENIZER))
    blocks = {name: to_blocks(tokenizer, texts, recipe.block) for name, texts in documents.items()}
    save_file({name: _cut(name, split, recipe.test_blocks) for name, split in blocks.items()}, folder / _BLOCKS)
    report(stage, parts, parts)


def _cut(name: str, blocks: Tensor, wanted: int) -> Tensor:
    if name.endswith("/train"):
        return blocks
    if len(blocks) < wanted:
        raise ValueError(f"{name} has {len(blocks)} blocks, not {wanted}: give it more characters")
    return blocks[:wanted].contiguous()


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Byte-level byte-pair encoding, as GPT-2's, with `vocabulary` entries; the end of a text is entry 0."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[_SEPARATOR],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def to_blocks(tokenizer: Tokenizer, texts: list[str], block: int) -> Tensor:
    """(blocks, `block`) 16-bit token ids of the texts, one after the other, each ended by entry 0.

    What is left at the end and does not fill a block is dropped.
    """
    ids = [token for encoding in tokenizer.encode_batch(texts) for token in (*encoding.ids, 0)]
    whole = len(ids) - len(ids) % block
    return torch.tensor(ids[:whole], dtype=torch.int16).view(-1, block)


def new_model(dropout: float) -> GPT2LMHeadModel:
    """A GPT-2 of the recipe's size, its weights drawn at random."""
    recipe = PRETRAINING
    config = GPT2Config(
        vocab_size=recipe.vocabulary,
        n_positions=recipe.block,
        n_layer=recipe.layers,
        n_embd=recipe.width,
        n_head=recipe.heads,
        resid_pdrop=dropout,
        embd_pdrop=dropout,
        attn_pdrop=dropout,
        bos_token_id=0,
        eos_token_id=0,
        activation_function="gelu_pytorch_tanh",  # the same function as GPT-2's `gelu_new`, in one fused kernel
        use_cache=False,
    )
    return GPT2LMHeadModel(config)


def pretrain(blocks: Tensor, report: Report) -> GPT2LMHeadModel:
    """GPT-2 trained from scratch on `blocks` (blocks, tokens) by `PRETRAINING`: AdamW, linear decay after a warm-up.

    One thread, and a random state of its own: the same blocks give the same bits, whatever the caller did before.
    """
    recipe = PRETRAINING
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = new_model(recipe.dropout).train()
        optimizer = torch.optim.AdamW(
            model.parameters(), recipe.lr, recipe.betas, weight_decay=recipe.weight_decay, fused=True
        )
        scheduler = get_linear_schedule_with_warmup(optimizer, recipe.warmup_steps, recipe.steps)
        batches = _shuffled(blocks, recipe.batch_size)
        for step in range(recipe.steps):
            report("mini-m2d2: pre-training", step, recipe.steps)
            loss, _ = forward(model, {"input_ids": next(batches).long()})
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            scheduler.step()
        report("mini-m2d2: pre-training", recipe.steps, recipe.steps)
    return model


def _shuffled(blocks: Tensor, batch_size: int) -> Iterator[Tensor]:
    """Batches of `blocks` without end, in a new order each epoch; the last, incomplete batch is left out."""
    while True:
        yield from blocks[torch.randperm(len(blocks))].split(batch_size)[: len(blocks) // batch_size]
