"""XNLI, MultiNLI and XLM-R in exactly the hub's layout, as small as can be.

A hypothesis says of the premise's number that it is there (entailment) or is not (contradiction), or speaks of another
(neutral).
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from datasets import ClassLabel, Features, Value
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

from benchmarks.sources import XNLISource

CLASSES = ("entailment", "neutral", "contradiction")
SHARD = "00000-of-00001.parquet"
_WORDS = ("▁the", "▁of", "▁is", "▁not", "▁it", "▁was", "▁there", "▁in", "ar", "en", "on", "er", "st")


def small(source: XNLISource, train: int = 48, validation: int = 12, test: int = 9) -> XNLISource:
    """The same repositories and languages, with few pairs of few tokens."""
    return replace(source, train_size=train, validation_size=validation, test_size=test, max_length=24)


def write_xnli(root: Path, source: XNLISource, seed: int = 0) -> None:
    """All repositories of `source` below `root`, with as many pairs in each split as it says."""
    folder = root / "datasets" / source.repository.name
    splits = {"train": source.train_size, "validation": source.validation_size, "test": source.test_size}
    for (_, language), (split, count) in product(source.configs, splits.items()):
        write_pairs(folder / language / f"{split}-{SHARD}", pairs(language, count, f"{seed} {split}"))
    if source.train is not None:
        write_multinli(root / "datasets" / source.train.name, pairs("en", source.train_size, f"{seed} multi"))
    write_model(root / "models" / source.model.name, source.max_length + 2, seed)


def pairs(language: str, count: int, seed: str) -> list[tuple[str, str, int]]:
    """(premise, hypothesis, class), the same facts in every language, whose words are the language's."""
    random = Random(seed)
    examples = []
    for number in range(count):
        place, value, label = random.randrange(10, 99), random.randrange(10, 99), number % len(CLASSES)
        said = {0: f"is {value}", 1: f"was {place}", 2: f"is not {value}"}[label]
        more = " , there it was in the" * (number % 4)
        premise, hypothesis = f"the {language} is {value}", f"{language} {said}"
        longer_hypothesis = number % 5 == 0
        examples.append(
            (premise, hypothesis + more, label) if longer_hypothesis else (premise + more, hypothesis, label)
        )
    random.shuffle(examples)
    return examples


def write_pairs(
    path: Path,
    examples: Sequence[tuple[str | None, str | None, int]],
    names: Sequence[str] = CLASSES,
    others: Sequence[str] = (),
) -> None:
    """One parquet file with a ClassLabel, as `datasets` writes it, and other text columns before the label."""
    premises, hypotheses, labels = (
        (list(column) for column in zip(*examples, strict=True)) if examples else ([], [], [])
    )
    columns: dict[str, Any] = {"premise": premises, "hypothesis": hypotheses}
    columns |= {name: [""] * len(labels) for name in others}
    features = {name: Value("string") for name in columns} | {"label": ClassLabel(names=list(names))}
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pydict(columns | {"label": labels}, Features(features).arrow_schema)
    pq.write_table(table, path)


def write_multinli(folder: Path, examples: Sequence[tuple[str, str, int]]) -> None:
    others = ("premise_binary_parse", "premise_parse", "hypothesis_binary_parse", "hypothesis_parse", "genre")
    for split in ("train", "validation_matched", "validation_mismatched"):
        write_pairs(folder / "data" / f"{split}-{SHARD}", examples if split == "train" else examples[:3], others=others)


def tokenizer() -> Tokenizer:
    """XLM-R's: unigram pieces of words that begin with ▁, four special tokens first and `<mask>` last."""
    letters = [chr(code) for code in range(ord("!"), ord("~") + 1)]
    pieces = [(token, 0.0) for token in ("<s>", "<pad>", "</s>", "<unk>")]
    pieces += [("▁", -4.0), *((word, -3.0) for word in _WORDS), *((letter, -6.0) for letter in letters)]
    made = Tokenizer(models.Unigram([*pieces, ("<mask>", 0.0)], unk_id=3, byte_fallback=False))
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    made.decoder = decoders.Metaspace()
    made.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True)])
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return made


def write_model(folder: Path, positions: int, seed: int = 0) -> None:
    """XLM-R as it was pre-trained, with the head that fills in masks; and a pickle that nobody may read."""
    folder.mkdir(parents=True, exist_ok=True)
    made = tokenizer()
    config = XLMRobertaConfig(
        vocab_size=made.get_vocab_size(),
        max_position_embeddings=positions,
        num_hidden_layers=2,
        hidden_size=32,
        num_attention_heads=4,
        intermediate_size=64,
        type_vocab_size=1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        XLMRobertaForMaskedLM(config).save_pretrained(folder)
    made.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "XLMRobertaTokenizer", "model_max_length": positions - 2}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "pytorch_model.bin").write_bytes(b"not to be read")
