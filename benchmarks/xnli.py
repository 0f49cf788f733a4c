"""XNLI: XLM-R learns inference between sentences in one language and is tested in all fifteen.

The training language is that of the row's training domain. Its pairs, and the validation set that selects the model,
are the only labels that training sees; training sets in other languages, which are machine translations, are not read.

What to know about the data:

- The English training sentences of `facebook/xnli` have a space before every full stop, those of `nyu-mll/multi_nli`,
  which they were made from, have not. The paper names the former, so it is the default.
- A pair becomes `<s> premise </s></s> hypothesis </s>`; while it has more than `max_length` tokens, the longer of its
  sentences loses its last one.
- Padding is on the right. XLM-R's positions skip the padding where they are made from tokens, and count it where they
  are made from embeddings: only on the right is that the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import XLMRobertaForSequenceClassification

from benchmarks.cache import digest
from benchmarks.data.hub import config_of, fetch, fetched_by, model_folder, pretrained
from benchmarks.data.parquet import Wanted, batches, read, write
from benchmarks.data.prepared import Prepared, prepared, require
from benchmarks.data.quiet import quiet
from benchmarks.errors import DataError
from benchmarks.row import Benchmark
from benchmarks.sources import Repository, XNLISource
from benchmarks.task import Batch, Report, Task, silent

LABELS = ("entailment", "neutral", "contradiction")
MODEL_FILES = ("config.json", "model.safetensors", "tokenizer.json")

_TEXTS = ("premise", "hypothesis")
_BLANK_SHARE = 0.01
"""The largest share of a set's pairs in which a sentence may be blank."""
_ROWS = 1000
_TOKENS = pa.schema([("input_ids", pa.list_(pa.int32())), ("label", pa.int64())])


@dataclass(frozen=True)
class Part:
    """One split in one language."""

    repository: Repository
    pattern: str
    language: str
    split: str
    examples: int

    @property
    def folder(self) -> str:
        return f"xnli/{self.repository.name.replace('/', '--')}/{self.language}/{self.split}"

    def __str__(self) -> str:
        return f"{self.repository} {self.language}/{self.split}"


@dataclass(frozen=True)
class PaddedRight:
    """Makes a batch: `input_ids` and `attention_mask` (pairs, tokens of the longest), `labels` (pairs,)."""

    padding: int

    def __call__(self, pairs: Sequence[Mapping[str, Any]]) -> Batch:
        sequences = [torch.tensor(pair["input_ids"]) for pair in pairs]
        return {
            "input_ids": pad_sequence(sequences, batch_first=True, padding_value=self.padding),
            "attention_mask": pad_sequence([torch.ones_like(sequence) for sequence in sequences], batch_first=True),
            "labels": torch.tensor([pair["label"] for pair in pairs]),
        }


def forward(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """(loss, logits) of `input_ids`, `attention_mask` (pairs, tokens) and `labels` (pairs,).

    loss is the mean cross-entropy in nats; logits are (pairs, 3).
    """
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    return F.cross_entropy(logits, batch["labels"]), logits


def prepare(row: Benchmark, report: Report) -> None:
    """Fetch XLM-R and the sets of pairs, check them and store their tokens, unless they are there."""
    with fetched_by(row.name):
        _prepared(row, report)


def task(row: Benchmark, seed: int) -> Task:
    """Inference learned in the language of the training domain; the head is drawn from `seed`."""
    source = _source(row)
    require((model_folder(source.model), *(part.folder for part in parts(row).values())), row.name)
    weights, sets = _prepared(row, silent)
    model = new_model(weights.folder, source, seed)
    read_sets = {name: read(part.folder) for name, part in sets.items()}
    return Task(
        model=model,
        forward=forward,
        train=read_sets["train"],
        validation=read_sets["validation"],
        test={domain: read_sets[f"test {domain}"] for domain in row.domains},
        input_module=model.get_input_embeddings(),
        collate=PaddedRight(config_of(weights.folder)["pad_token_id"]),
        revisions=_revisions(source, weights, sets),
    )


def parts(row: Benchmark) -> dict[str, Part]:
    """The sets that a run needs: `train`, `validation` and `test <domain>` for each domain."""
    source = _source(row)
    languages = dict(source.configs)
    language = languages[row.train_domain]

    def part(language: str, split: str, examples: int) -> Part:
        return Part(source.repository, f"{language}/{split}-*.parquet", language, split, examples)

    train = part(language, "train", source.train_size)
    if source.train is not None:
        train = replace(train, repository=source.train, pattern="data/train-*.parquet")
    tests = {f"test {domain}": part(languages[domain], "test", source.test_size) for domain in row.domains}
    return {"train": train, "validation": part(language, "validation", source.validation_size), **tests}


def new_model(folder: Path, source: XNLISource, seed: int) -> XLMRobertaForSequenceClassification:
    """XLM-R with a new head for three classes, drawn from `seed`; the caller's random state is left as it was."""
    with torch.random.fork_rng(devices=[]), quiet():
        torch.default_generator.manual_seed(seed)
        loaded: Any = XLMRobertaForSequenceClassification.from_pretrained(
            folder,
            num_labels=len(LABELS),
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
        )
    model, report = loaded
    lacking = sorted(name for name in report["missing_keys"] if not name.startswith("classifier."))
    if lacking:
        raise DataError(f"{source.model}: its weights lack {lacking[0]}. Name a repository of a pre-trained XLM-R.")
    return model.train()


def _source(row: Benchmark) -> XNLISource:
    assert isinstance(row.source, XNLISource)
    return row.source


def _prepared(row: Benchmark, report: Report) -> tuple[Prepared, dict[str, Prepared]]:
    """The model and the sets by name, made unless they are there."""
    source = _source(row)
    model = pretrained(source.model, MODEL_FILES, report)
    _check_model(model.folder, source)
    sets: dict[str, Prepared] = {}
    commits: dict[str, str] = {}
    for name, part in parts(row).items():
        repository = part.repository
        key = {
            "repository": repository.name,
            "revision": repository.revision,
            "pattern": part.pattern,
            "examples": part.examples,
            "tokenizer": model.checksums["tokenizer.json"],
            "max_length": source.max_length,
        }
        # The newest commit, where none is named, is that of the first set: all are of the same.
        pinned = replace(repository, revision=commits.get(repository.name, repository.revision))
        build = partial(_tokenised, replace(part, repository=pinned), model.folder, source, report)
        sets[name] = prepared(part.folder, key, build)
        commits[repository.name] = sets[name].details["revision"]
    return model, sets


def _check_model(folder: Path, source: XNLISource) -> None:
    """The model is an XLM-R with a position for every token; raises DataError."""
    config = config_of(folder)
    if config.get("model_type") != "xlm-roberta":
        raise DataError(f"{source.model}: is of type {config.get('model_type')!r}. Name an 'xlm-roberta' model.")
    positions = config["max_position_embeddings"] - config["pad_token_id"] - 1
    if source.max_length > positions:
        raise DataError(
            f"{source.model}: has {positions} positions, fewer than the {source.max_length} tokens of max_length. "
            "Lower max_length in the benchmark's row."
        )


def _tokenizer(folder: Path, source: XNLISource) -> Tokenizer:
    """The model's tokenizer, which cuts pairs to `max_length`; raises DataError where it is of another model."""
    config = config_of(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    fault = None
    if tokenizer.get_vocab_size() > config["vocab_size"]:
        fault = f"its tokenizer knows {tokenizer.get_vocab_size():,} tokens, its embedding {config['vocab_size']:,}"
    elif tokenizer.token_to_id("<pad>") != config["pad_token_id"]:
        fault = f"its tokenizer pads with {tokenizer.token_to_id('<pad>')}, its embedding with {config['pad_token_id']}"
    if fault:
        raise DataError(f"{source.model}: {fault}. Name a repository whose tokenizer belongs to its model.")
    tokenizer.enable_truncation(source.max_length, strategy="longest_first")
    tokenizer.no_padding()
    return tokenizer


def _tokenised(part: Part, model: Path, source: XNLISource, report: Report, folder: Path) -> dict[str, Any]:
    """Write the tokens of one set into `folder`; what the manifest says of them."""
    tokenizer = _tokenizer(model, source)
    fetched = fetch(part.repository, [part.pattern], report)
    wanted = Wanted(str(part), _TEXTS, pa.types.is_string, "text", "label", LABELS, part.examples)
    counts = {"examples": 0, "tokens": 0, "longest": 0, "blank": 0}

    def tokens() -> Iterator[pa.RecordBatch]:
        for first, batch in batches([fetched.folder / name for name in fetched.files], wanted, _ROWS):
            report(f"tokenise {part.language}/{part.split}", first, part.examples)
            premises, hypotheses = (_texts(batch.column(column), column, first, part) for column in _TEXTS)
            ids = [encoding.ids for encoding in tokenizer.encode_batch(list(zip(premises, hypotheses, strict=True)))]
            counts["examples"] += len(ids)
            counts["tokens"] += sum(map(len, ids))
            counts["longest"] = max(counts["longest"], *map(len, ids))
            counts["blank"] += sum(
                not (premise.strip() and hypothesis.strip())
                for premise, hypothesis in zip(premises, hypotheses, strict=True)
            )
            yield pa.record_batch(
                [pa.array(ids, _TOKENS.field("input_ids").type), batch.column("label").cast(pa.int64())], _TOKENS
            )

    write(tokens(), _TOKENS, folder)
    if counts["blank"] > _BLANK_SHARE * part.examples:
        raise DataError(
            f"{part}: a sentence is blank in {counts['blank']:,} of {part.examples:,} pairs. Name another revision."
        )
    report(f"tokenise {part.language}/{part.split}", part.examples, part.examples)
    return {"revision": fetched.revision, "tokenizers": version("tokenizers"), **counts}


def _texts(column: pa.Array, name: str, first: int, part: Part) -> list[str]:
    if column.null_count:
        row = first + column.is_null().index(True).as_py()
        raise DataError(f"{part}: row {row} has no {name}. Name a revision without such rows.")
    return list(column.to_pylist())


def _revisions(source: XNLISource, model: Prepared, sets: Mapping[str, Prepared]) -> dict[str, str]:
    revisions = {
        source.model.name: model.details["revision"],
        source.repository.name: sets["validation"].details["revision"],
    }
    if source.train is not None:
        revisions[source.train.name] = sets["train"].details["revision"]
    return revisions | {
        "weights sha256": model.checksums["model.safetensors"][:16],
        "pairs sha256": digest({name: dict(part.checksums) for name, part in sets.items()}),
    }
