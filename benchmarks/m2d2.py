"""M2D2: GPT-2 learns one domain of Wikipedia or of scientific papers and is tested on eleven.

What to know about the data:

- The repository holds an archive per domain, with a file per split, and a script that is not run. Each split is read
  from its own file: reading an archive as a whole would put the test split into the training set.
- Validation and test splits are cut from one text at a byte, so that a line, even a letter, may be broken there.
- What stands between two lines is a choice (`M2D2Source.joiner`), which `calibrate` helps to make: a line break, as
  the corpus's authors evaluate; the end-of-text token; or nothing, as the usual training script has it for stripped
  lines. Blank lines are lines.
- A split becomes blocks of equal length that do not overlap. What is left at the end is dropped from a training split
  and scored, as a shorter block, in the others; the first token of a block is never predicted.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import nn
from transformers import AutoModelForCausalLM

from benchmarks.cache import digest
from benchmarks.data.archives import lines
from benchmarks.data.blocks import Blocks, padded_right, pieces, token_ids, write_blocks
from benchmarks.data.hub import config_of, fetch, fetched_by, model_folder, pretrained
from benchmarks.data.prepared import Prepared, prepared, require
from benchmarks.data.quiet import quiet
from benchmarks.errors import DataError
from benchmarks.row import Benchmark
from benchmarks.sources import Joiner, M2D2Source, Repository
from benchmarks.task import Batch, Outputs, Report, Task, TensorExamples, silent

Split = Literal["train", "validation", "test"]
FILES: dict[Split, str] = {"train": "train.txt", "validation": "valid.txt", "test": "test.txt"}
MODEL_FILES = ("config.json", "model.safetensors", "tokenizer.json")

_ARROW = "blocks.arrow"
_IGNORED = -100


@dataclass(frozen=True)
class Part:
    """One split of one domain, to be cut into blocks of tokens."""

    repository: Repository
    config: str
    split: Split
    joiner: Joiner
    block: int

    def folder(self, tokenizer: str) -> str:
        """The name of its folder below the data folder; `tokenizer` is the tokenizer's checksum."""
        return f"m2d2/{self.config}/{self.split}-{self.joiner}-{self.block}-{tokenizer[:8]}"

    def __str__(self) -> str:
        return f"{self.config}/{self.split}"


# -------------------------------------------------------------------------------------------------------- what runs use


def forward(model: nn.Module, batch: Batch) -> Outputs:
    """(loss, logits) or (loss, logits, mask) of predicting each token of `input_ids` but the first of a block.

    loss is the mean negative log-likelihood in nats; logits are (blocks, tokens - 1, vocabulary), and mask, where the
    batch has one, (blocks, tokens - 1).
    """
    tokens = batch["input_ids"]
    logits = model(input_ids=tokens[:, :-1], use_cache=False).logits  # nothing is predicted from a block's last token
    targets = tokens[:, 1:]
    if "mask" not in batch:
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten()), logits
    mask = batch["mask"][:, 1:]
    targets = targets.masked_fill(~mask, _IGNORED)
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=_IGNORED), logits, mask


def task(row: Benchmark, seed: int) -> Task:
    """Language modelling learned on the training domain, then on those of the row's sequence, tested on all.

    Domains that the source does not train on have no training set, and no validation set, to give. The seed changes
    nothing here: the model has no fresh head; data order and dropout are the training loop's. Raises DataError where
    something is not prepared or a training split does not fill a batch; the hub is never asked.
    """
    source = _source(row)
    require([model_folder(source.model)], row.name)
    tokenizer = pretrained(source.model, MODEL_FILES, silent).checksums["tokenizer.json"]
    require([part.folder(tokenizer) for part in parts(row).values()], row.name)
    weights, found = _prepared(row, silent)
    blocks = {name: Blocks(part.folder / _ARROW) for name, part in found.items()}
    for domain in source.trained:
        if len(blocks[f"{domain}/train"]) < row.recipe.batch_size:
            raise DataError(
                f"{row.name}: the training split of {domain} has {len(blocks[f'{domain}/train'])} blocks, fewer than "
                f"the {row.recipe.batch_size} of a batch. Lower batch_size or block in the benchmark's row."
            )
    model = pretrained_model(weights.folder)
    nothing = TensorExamples({"input_ids": torch.empty(0, source.block, dtype=torch.int64)})
    return Task(
        model=model.train(),
        forward=forward,
        train=blocks.get(f"{row.train_domain}/train", nothing),
        validation=blocks.get(f"{row.train_domain}/validation"),
        test={domain: blocks[f"{domain}/test"] for domain in row.domains},
        sequence={domain: blocks[f"{domain}/train"] for domain in row.sequence},
        input_module=model.get_input_embeddings(),
        collate=padded_right,
        revisions=_revisions(source, weights, found),
    )


def pretrained_model(folder: Path) -> Any:
    """The causal language model that lies in `folder`, in float32, without a cache of keys and values."""
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, use_safetensors=True, trust_remote_code=False
        )
    model.config.use_cache = False
    return model


# ------------------------------------------------------------------------------------------------------ how it is made


def prepare(row: Benchmark, report: Report) -> None:
    """Fetch the model and the archives that a row needs and store their tokens, part by part, unless they are there."""
    with fetched_by(row.name):
        _prepared(row, report)


def parts(row: Benchmark) -> dict[str, Part]:
    """What a row needs, as `domain/split`: every domain's test split, and all splits of the domains trained on."""
    source = _source(row)
    wanted = {
        f"{domain}/{split}": (config, split)
        for domain, config in source.configs
        for split in FILES
        if split == "test" or domain in source.trained
    }
    return {
        name: Part(source.repository, config, split, source.joiner, source.block)
        for name, (config, split) in wanted.items()
    }


@dataclass(frozen=True)
class Size:
    """How much one prepared part holds, and how many tokens the paper says it does, where it does."""

    name: str
    lines: int
    tokens: int
    blocks: int
    published_tokens: float | None

    @property
    def ratio(self) -> float | None:
        """Tokens here to tokens in the paper."""
        return self.tokens / self.published_tokens if self.published_tokens else None


def sizes(row: Benchmark) -> list[Size]:
    """How much each part of a prepared row holds."""
    published = dict(_source(row).published_tokens)
    _, found = _prepared(row, silent)
    return [
        Size(name, part.details["lines"], part.details["tokens"], part.details["blocks"], published.get(name))
        for name, part in found.items()
    ]


def _source(row: Benchmark) -> M2D2Source:
    assert isinstance(row.source, M2D2Source)
    return row.source


def _prepared(row: Benchmark, report: Report) -> tuple[Prepared, dict[str, Prepared]]:
    """The model and the parts as `domain/split`, made unless they are there."""
    source = _source(row)
    model = pretrained(source.model, MODEL_FILES, report)
    _check_length(model.folder, source)
    tokenizer = model.checksums["tokenizer.json"]
    found: dict[str, Prepared] = {}
    commit = source.repository.revision
    for name, part in parts(row).items():
        key = {
            "repository": source.repository.name,
            "revision": source.repository.revision,
            "config": part.config,
            "split": part.split,
            "joiner": part.joiner,
            "block": part.block,
            "tokenizer": tokenizer,
        }
        # The newest commit, where none is named, is that of the first part: all are of the same.
        pinned = replace(part, repository=replace(source.repository, revision=commit))
        build = partial(_tokenised, pinned, model.folder, source, report)
        found[name] = prepared(part.folder(tokenizer), key, build)
        made_from: str = found[name].details["revision"]
        if len(found) > 1 and commit != made_from:
            raise DataError(
                f"{found[name].folder}: was made from commit {made_from[:12]}, and what else {row.name} needs from "
                f"{commit}. Delete this folder and prepare it again."
            )
        commit = made_from
    return model, found


def _check_length(model: Path, source: M2D2Source) -> None:
    """The model has a position for every token of a block; raises DataError."""
    config = config_of(model)
    positions = config.get("n_positions", config.get("max_position_embeddings"))
    if positions is None:
        raise DataError(f"{source.model}: its config.json names no number of positions. Name a GPT-2.")
    if source.block > positions:
        raise DataError(
            f"{source.model}: has {positions:,} positions, fewer than the {source.block:,} tokens of a block. Lower "
            "block in the benchmark's row."
        )


def _tokenizer(model: Path, source: M2D2Source) -> Tokenizer:
    """The model's tokenizer; raises DataError where it is of another model."""
    config = config_of(model)
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if tokenizer.get_vocab_size() > config["vocab_size"]:
        raise DataError(
            f"{source.model}: its tokenizer knows {tokenizer.get_vocab_size():,} tokens, its embedding "
            f"{config['vocab_size']:,}. Name a repository whose tokenizer belongs to its model."
        )
    if source.joiner == "newline" and not _parts_at_line_breaks(tokenizer):
        raise DataError(f"{source.model}: its tokenizer does not part texts at line breaks. Use another joiner.")
    return tokenizer


def _parts_at_line_breaks(tokenizer: Tokenizer) -> bool:
    """Whether what `pieces` relies on holds for one example."""
    whole, first, second = (tokenizer.encode(text, add_special_tokens=False).ids for text in ("a.\n\nC", "a.\n", "\nC"))
    return whole == first + second


def _separator(model: Path, source: M2D2Source) -> tuple[int, ...]:
    """The tokens between two lines that are tokenised one by one."""
    if source.joiner != "eos":
        return ()
    end = config_of(model).get("eos_token_id")
    if not isinstance(end, int):
        raise DataError(f"{source.model}: its config.json names no end-of-text token. Use another joiner than eos.")
    return (end,)


def _tokenised(part: Part, model: Path, source: M2D2Source, report: Report, folder: Path) -> dict[str, Any]:
    """Write the blocks of one part into `folder`; what the manifest says of them."""
    tokenizer, separator = _tokenizer(model, source), _separator(model, source)
    archive = f"data/{part.config}.tar.gz"
    fetched = fetch(part.repository, [archive], report)
    counts = {"lines": 0, "blank": 0}

    def counted() -> Iterator[str]:
        for line in lines(fetched.folder / archive, FILES[part.split], partial(report, f"tokenise {part}")):
            counts["lines"] += 1
            counts["blank"] += not line
            yield line

    added = tuple(token.content for token in tokenizer.get_added_tokens_decoder().values())
    texts = pieces(counted(), part.joiner, added, f"{fetched.folder / archive}: {FILES[part.split]}")
    dtype = np.dtype(np.uint16 if tokenizer.get_vocab_size() <= 2**16 else np.uint32)
    written = write_blocks(
        token_ids(tokenizer, texts, separator, dtype), part.block, part.split != "train", dtype, folder / _ARROW
    )
    if counts["lines"] == counts["blank"]:
        raise DataError(
            f"{fetched.folder / archive}: {FILES[part.split]} is empty. Correct the config in the benchmark's row, or "
            "delete the archive and prepare again."
        )
    return {"revision": fetched.revision, "tokenizers": version("tokenizers"), **counts, **written}


def _revisions(source: M2D2Source, model: Prepared, found: Mapping[str, Prepared]) -> dict[str, str]:
    return {
        source.model.name: model.details["revision"],
        source.repository.name: next(iter(found.values())).details["revision"],
        "joiner": source.joiner,
        "weights sha256": model.checksums["model.safetensors"][:16],
        "blocks sha256": digest({name: part.checksums[_ARROW] for name, part in found.items()}),
    }
