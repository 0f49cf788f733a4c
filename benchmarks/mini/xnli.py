"""mini-xnli: a small XLM-R, fine-tuned on inference between English facts, tested in fifteen languages.

DOCSTRING
"""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import NamedTuple

import torch
import torch.nn.functional as F
from babel.core import get_cldr_version
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor, nn
from transformers import (
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
    XLMRobertaForSequenceClassification,
    get_linear_schedule_with_warmup,
)

from benchmarks.cache import cached, source_digest
from benchmarks.mini import cldr_facts
from benchmarks.mini.cldr_facts import GROUP, LABELS, LANGUAGES, SPLITS, Limits, Pair, Phrase, Round, Split, render
from benchmarks.registry import BENCHMARKS
from benchmarks.task import Batch, Report, Task, TensorExamples


@dataclass(frozen=True)
class Pretraining:
    """What makes the facts, the tokenizer and the pre-trained encoder."""

    limits: Limits = Limits()
    train_rounds: int = 100
    validation_rounds: int = 5
    test_rounds: int = 7
    unlabelled_rounds: int = 100
    """Of facts about the entities of every split, for masked prediction alone."""
    vocabulary: int = 4000
    positions: int = 128
    layers: int = 2
    width: int = 128
    heads: int = 4
    feed_forward: int = 256
    initial_std: float = 0.08
    """Of the weights: about width^-1/2. With the usual 0.02 the attention of so narrow a model starts flat."""
    dropout: float = 0.0
    steps: int = 1500
    batch_size: int = 64
    warmup_steps: int = 100
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    matching_share: float = 0.7
    """Of the examples: do premise and hypothesis match? In the others, tokens are masked and predicted."""
    translated_share: float = 0.2
    """Of the examples: the two sides are in languages drawn independently."""
    masked_share: float = 0.2
    seed: int = 0


PRETRAINING = Pretraining()
FINE_TUNING_DROPOUT = 0.1

_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_START, _PAD, _END, _UNKNOWN, _MASK = range(len(_SPECIAL))
_UNLABELLED = -100
_TOKENIZER = "tokenizer.json"
_PAIRS = "pairs.jsonl"
_EXAMPLES = "examples.safetensors"
_ENCODER = "encoder.safetensors"


class Sides(NamedTuple):
    """A pre-training example: two texts, and whether they match (1 or 0; -100 where that is not asked)."""

    first: str
    second: str
    match: int


def forward(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """(loss, logits) of `input_ids`, `attention_mask` (examples, tokens) and `labels`; logits (examples, 3)."""
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    return F.cross_entropy(logits, batch["labels"]), logits


def prepare(report: Report) -> None:
    """Make the pairs, the tokenizer and the pre-trained encoder in the cache, unless they are there."""
    _encoder(_facts(report), report)


def task(seed: int) -> Task:
    """Inference learned in English and tested in all fifteen languages; the head is drawn from `seed`."""
    facts = _facts(_silent)
    encoder = _encoder(facts, _silent) / _ENCODER
    model = _new(XLMRobertaForSequenceClassification, FINE_TUNING_DROPOUT, seed)
    model.roberta.load_state_dict(load_file(encoder))
    tensors = load_file(facts / _EXAMPLES)
    examples = {
        name: TensorExamples({field: tensors[f"{name}/{field}"] for field in ("input_ids", "attention_mask", "labels")})
        for name in _examples_names()
    }
    return Task(
        model=model.train(),
        forward=forward,
        train=examples["train/en"],
        validation=examples["validation/en"],
        test={domain: examples[f"test/{domain.lower()}"] for domain in BENCHMARKS["mini-xnli"].domains},
        input_module=model.get_input_embeddings(),
        revisions={
            "babel": version("babel"),
            "cldr": get_cldr_version(),
            "pairs sha256": _short_sha256(facts / _PAIRS),
            "weights sha256": _short_sha256(encoder),
        },
    )


def _silent(stage: str, done: int, total: int) -> None:
    """The report of work that nobody watches."""


def _short_sha256(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()[:16]


def _key(*packages: str) -> dict[str, object]:
    """All that determines the content of the cache: the recipe, the code and the packages."""
    return {
        "recipe": asdict(PRETRAINING),
        "code": source_digest(cldr_facts, sys.modules[__name__]),
        "versions": {package: version(package) for package in ("babel", "tokenizers", *packages)},
    }


def _examples_names() -> list[str]:
    """`split/language` of every set: train and validation are English only."""
    return ["train/en", "validation/en", *(f"test/{language}" for language in LANGUAGES)]


def draw_rounds() -> dict[str, list[Round]]:
    """The facts of each split, and those of all splits' entities together, `unlabelled`."""
    recipe = PRETRAINING
    entities = cldr_facts.all_entities(recipe.limits)
    wanted = {"train": recipe.train_rounds, "validation": recipe.validation_rounds, "test": recipe.test_rounds}
    drawn = {
        split: cldr_facts.rounds(part, wanted[split], f"{split}, {recipe.seed}")
        for split, part in cldr_facts.split_entities(entities).items()
    }
    return drawn | {"unlabelled": cldr_facts.rounds(entities, recipe.unlabelled_rounds, f"unlabelled, {recipe.seed}")}


def _facts(report: Report) -> Path:
    """The folder of the pairs, as text and as tokens, and of the tokenizer."""

    def build(folder: Path) -> None:
        stage = "mini-xnli: facts"
        names = _examples_names()
        parts = len(LANGUAGES) + 1 + len(names)  # the pre-training texts, the tokenizer, the examples
        drawn = draw_rounds()
        texts: list[str] = []
        for done, language in enumerate(LANGUAGES):
            report(stage, done, parts)
            texts += [render(phrase, language) for phrase in _phrases(drawn["train"] + drawn["unlabelled"])]
        report(stage, len(LANGUAGES), parts)
        tokenizer = train_tokenizer(texts, PRETRAINING.vocabulary)
        tokenizer.save(str(folder / _TOKENIZER))
        tensors: dict[str, Tensor] = {}
        with (folder / _PAIRS).open("w", encoding="utf-8") as file:
            for done, name in enumerate(names, start=len(LANGUAGES) + 1):
                report(stage, done, parts)
                split, language = name.split("/")
                pairs = cldr_facts.pairs(drawn[split])
                sides = [(render(pair.premise, language), render(pair.hypothesis, language)) for pair in pairs]
                labels = [pair.label for pair in pairs]
                for (premise, hypothesis), label in zip(sides, labels, strict=True):
                    row = {"set": name, "premise": premise, "hypothesis": hypothesis, "label": LABELS[label]}
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")
                tokens = pad([encoding.ids for encoding in tokenizer.encode_batch(sides)])
                tensors |= {f"{name}/{field}": tensor for field, tensor in tokens.items()}
                tensors[f"{name}/labels"] = torch.tensor(labels)
        save_file(tensors, folder / _EXAMPLES)
        report(stage, parts, parts)

    return cached("mini-xnli-facts", _key(), build)


def _phrases(rounds: Sequence[Round]) -> Iterator[Phrase]:
    for groups in rounds:
        for group in groups:
            for fact in group:
                yield fact.premise
                yield fact.hypothesis


def train_tokenizer(texts: Sequence[str], vocabulary: int) -> Tokenizer:
    """Byte-pair encoding of lower-cased words, a digit a token. A pair becomes `<s> premise </s> </s> hypothesis </s>`.

    Not XLM-R's unigram model: its trainer does not give the same pieces the same numbers twice.
    """
    tokenizer = Tokenizer(models.BPE(unk_token=_SPECIAL[_UNKNOWN]))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Digits(individual_digits=True)]
    )
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, special_tokens=list(_SPECIAL), show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[(_SPECIAL[index], index) for index in (_START, _END)],
    )
    return tokenizer


def pad(sequences: Sequence[Sequence[int]]) -> Batch:
    """`input_ids` and `attention_mask` (sequences, tokens), padded on the right to the longest of `sequences`."""
    longest = max(map(len, sequences))
    input_ids = torch.tensor([[*sequence, *[_PAD] * (longest - len(sequence))] for sequence in sequences])
    return {"input_ids": input_ids, "attention_mask": (input_ids != _PAD).long()}


def pretraining_sides(drawn: dict[str, list[Round]]) -> Iterator[Sides]:
    """Examples without end, in all languages.

    Matching is asked of the training split's facts only, of every premise twice: with its own hypothesis, and with one
    of its contrast group or of another kind, as often. Masked prediction also sees the other splits' entities.
    """
    recipe = PRETRAINING
    random = Random(f"pre-training, {recipe.seed}")
    while True:
        matching = random.random() < recipe.matching_share
        groups = random.choice(drawn["train" if matching else "unlabelled"])
        kind, place = random.randrange(len(groups)), random.randrange(GROUP)
        fact = groups[kind][place]
        first = second = random.choice(LANGUAGES)
        if random.random() < recipe.translated_share:
            second = random.choice(LANGUAGES)
        premise, hypothesis = render(fact.premise, first), render(fact.hypothesis, second)
        if not matching:
            yield Sides(premise, hypothesis, _UNLABELLED)
            continue
        if random.random() < 0.5:
            other = groups[kind][(place + random.randrange(1, GROUP)) % GROUP]
        else:
            other = groups[(kind + random.randrange(1, len(groups))) % len(groups)][place]
        yield Sides(premise, hypothesis, 1)
        yield Sides(premise, render(other.hypothesis, second), 0)


def _config(dropout: float) -> XLMRobertaConfig:
    recipe = PRETRAINING
    return XLMRobertaConfig(
        vocab_size=recipe.vocabulary,
        max_position_embeddings=recipe.positions,
        num_hidden_layers=recipe.layers,
        hidden_size=recipe.width,
        num_attention_heads=recipe.heads,
        intermediate_size=recipe.feed_forward,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        initializer_range=recipe.initial_std,
        type_vocab_size=1,
        num_labels=len(LABELS),
        bos_token_id=_START,
        pad_token_id=_PAD,
        eos_token_id=_END,
    )


def _new(architecture: type[Model], dropout: float, seed: int) -> Model:
    """A model with weights drawn from `seed`; the caller's random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return architecture(_config(dropout))


def _encoder(facts: Path, report: Report) -> Path:
    """The folder of the pre-trained encoder."""

    def build(folder: Path) -> None:
        tokenizer = Tokenizer.from_file(str(facts / _TOKENIZER))
        save_file(pretrain(tokenizer, report), folder / _ENCODER)

    return cached("mini-xnli-encoder", _key("torch", "transformers"), build)


class Pretrained(nn.Module):
    """XLM-R with its head for masked tokens, and one on `<s>` that tells whether two sides match."""

    def __init__(self) -> None:
        super().__init__()
        recipe = PRETRAINING
        self.model = _new(XLMRobertaForMaskedLM, recipe.dropout, recipe.seed)
