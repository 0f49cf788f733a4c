"""mini-xnli: a small XLM-R, fine-tuned on inference between English facts, tested in fifteen languages.

DOCSTRING
"""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import version
from itertools import count, islice
from pathlib import Path
from random import Random
from typing import NamedTuple, TypeVar

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
    XLMRobertaModel,
    XLMRobertaPreTrainedModel,
    get_linear_schedule_with_warmup,
)

from benchmarks.cache import cached, source_digest
from benchmarks.mini import cldr_facts
from benchmarks.mini.cldr_facts import GROUP, LABELS, LANGUAGES, Limits, Round, render
from benchmarks.registry import BENCHMARKS
from benchmarks.task import Batch, Report, Task, TensorExamples

Model = TypeVar("Model", bound=XLMRobertaPreTrainedModel)


@dataclass(frozen=True)
class Pretraining:
    """What makes the facts, the tokenizer and the pre-trained encoder."""

    limits: Limits = Limits()
    train_rounds: int = 100
    validation_rounds: int = 5
    test_rounds: int = 7
    pretraining_rounds: int = 100
    vocabulary: int = 4000
    positions: int = 128
    layers: int = 2
    width: int = 128
    heads: int = 4
    feed_forward: int = 256
    initial_std: float = 0.08
    """Of the weights: about width^-1/2. With the usual 0.02 the attention of so narrow a model starts flat."""
    dropout: float = 0.0
    queries_equal_keys: bool = True
    """At the start: a token then attends to its like, which is how two sides are compared."""
    steps: int = 1500
    english_steps: int = 300
    """The first of them, matching English alone. Comparing is learned there, for all languages: without them it takes
    several times as long."""
    batch_size: int = 64
    warmup_steps: int = 100
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    clip: float = 1.0
    masking_chance: float = 0.3
    """That a drawn fact is for predicting masked tokens, and not for matching."""
    translating_chance: float = 0.2
    """That the hypothesis is in a language of its own."""
    masked_share: float = 0.2
    seed: int = 0


PRETRAINING = Pretraining()
FINE_TUNING_DROPOUT = 0.1

_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_START, _PAD, _END, _UNKNOWN, _MASK = range(len(_SPECIAL))
_UNASKED = -100  # what cross_entropy leaves out
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
    """The facts of each split, and those of `pre-training`: of all entities, without a premise of another split's."""
    recipe = PRETRAINING
    entities = cldr_facts.all_entities(recipe.limits)
    wanted = {"train": recipe.train_rounds, "validation": recipe.validation_rounds, "test": recipe.test_rounds}
    drawn = {
        split: cldr_facts.rounds(part, wanted[split], f"{split}, {recipe.seed}")
        for split, part in cldr_facts.split_entities(entities).items()
    }
    held_out = {fact.premise for split in ("validation", "test") for fact in cldr_facts.facts(drawn[split])}
    drawn["pre-training"] = cldr_facts.rounds(
        entities, recipe.pretraining_rounds, f"pre-training, {recipe.seed}", held_out
    )
    return drawn


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
            texts += [
                render(phrase, language)
                for fact in cldr_facts.facts(drawn["pre-training"])
                for phrase in (fact.premise, fact.hypothesis)
            ]
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


def pretraining_sides(rounds: Sequence[Round]) -> Iterator[Sides]:
    """Examples without end: English ones to match for `english_steps` batches, then all languages, also to unmask.

    Every premise to match comes twice: with its own hypothesis, and with one of its contrast group or of another kind.
    """
    recipe = PRETRAINING
    random = Random(f"pre-training, {recipe.seed}")
    for index in count():
        early = index < recipe.english_steps * recipe.batch_size // 2
        languages = ("en",) if early else LANGUAGES
        masking = not early and random.random() < recipe.masking_chance
        groups = random.choice(rounds)
        kind, place = random.randrange(len(groups)), random.randrange(GROUP)
        fact = groups[kind][place]
        first = second = random.choice(languages)
        if random.random() < recipe.translating_chance:
            second = random.choice(languages)
        premise, hypothesis = render(fact.premise, first), render(fact.hypothesis, second)
        if masking:
            yield Sides(premise, hypothesis, _UNASKED)
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
        id2label=dict(enumerate(LABELS)),
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
        save_file(pretrain(tokenizer, draw_rounds()["pre-training"], report), folder / _ENCODER)

    return cached("mini-xnli-encoder", _key("torch", "transformers"), build)


class Pretrained(nn.Module):
    """XLM-R with its head for masked tokens, and a head on `<s>` that tells whether two sides match."""

    def __init__(self) -> None:
        super().__init__()
        recipe = PRETRAINING
        self.language_model = _new(XLMRobertaForMaskedLM, recipe.dropout, recipe.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            self.matching = nn.Sequential(nn.Linear(recipe.width, recipe.width), nn.Tanh(), nn.Linear(recipe.width, 2))
        if recipe.queries_equal_keys:
            for layer in self.encoder.encoder.layer:
                layer.attention.self.key.load_state_dict(layer.attention.self.query.state_dict())

    @property
    def encoder(self) -> XLMRobertaModel:
        return self.language_model.roberta

    def forward(self, batch: Batch) -> Tensor:
        """The sum, in nats, over the examples that are asked to match and over the masked tokens, each weighted.

        `input_ids`, `attention_mask`, `tokens` (examples, tokens), where `tokens` is -100 but at the masks;
        `match` (examples,); `match_weight` and `token_weight`, scalars.
        """
        hidden = self.encoder(batch["input_ids"], batch["attention_mask"]).last_hidden_state
        masked = batch["tokens"] != _UNASKED
        unmasking = F.cross_entropy(
            self.language_model.lm_head(hidden[masked]), batch["tokens"][masked], reduction="sum"
        )
        matching = F.cross_entropy(self.matching(hidden[:, 0]), batch["match"], reduction="sum")
        return batch["token_weight"] * unmasking + batch["match_weight"] * matching


def pretrain(tokenizer: Tokenizer, rounds: Sequence[Round], report: Report) -> dict[str, Tensor]:
    """The weights of an XLM-R encoder trained from scratch by `PRETRAINING`: AdamW, linear decay after a warm-up.

    One thread, and random numbers of its own: the same bits, whatever the caller did before.
    """
    recipe = PRETRAINING
    stage = "mini-xnli: pre-training"
    model = Pretrained().train()
    params = list(model.parameters())
    optimizer = torch.optim.AdamW(params, recipe.lr, recipe.betas, weight_decay=recipe.weight_decay, fused=True)
    scheduler = get_linear_schedule_with_warmup(optimizer, recipe.warmup_steps, recipe.steps)
    batches = _batches(tokenizer, pretraining_sides(rounds))
    with _one_thread():
        for step in range(recipe.steps):
            report(stage, step, recipe.steps)
            for part in next(batches):
                model(part).backward()
            nn.utils.clip_grad_norm_(params, recipe.clip)
            optimizer.step()
            optimizer.zero_grad()
            scheduler.step()
        report(stage, recipe.steps, recipe.steps)
    return {name: weight.contiguous() for name, weight in model.encoder.state_dict().items()}


def _batches(tokenizer: Tokenizer, sides: Iterator[Sides]) -> Iterator[tuple[Batch, ...]]:
    """Every batch in two parts, its shorter and its longer examples, which saves a third of the padding.

    Longer runs of examples must not be ordered by length: a batch of one length is of one kind, and nothing is learned.
    """
    recipe = PRETRAINING
    random = torch.Generator().manual_seed(recipe.seed)
    while True:
        drawn = list(islice(sides, recipe.batch_size))
        encodings = tokenizer.encode_batch([(first, second) for first, second, _ in drawn])
        examples = sorted(
            zip((encoding.ids for encoding in encodings), (match for *_, match in drawn), strict=True),
            key=lambda example: len(example[0]),
        )
        middle = len(examples) // 2
        parts = [_masked(part, random) for part in (examples[:middle], examples[middle:])]
        for question, weight in (("tokens", "token_weight"), ("match", "match_weight")):
            asked = torch.cat([part[question].flatten() for part in parts]).ne(_UNASKED).sum()
            for part in parts:
                part[weight] = 1 / asked.clamp(min=1)
        yield tuple(parts)


def _masked(examples: Sequence[tuple[list[int], int]], random: torch.Generator) -> Batch:
    """Padded, with a share of the tokens masked where matching is not asked."""
    batch = pad([ids for ids, _ in examples])
    ids, match = batch["input_ids"], torch.tensor([match for _, match in examples])
    masked = (torch.rand(ids.shape, generator=random) < PRETRAINING.masked_share) & (ids >= len(_SPECIAL))
    masked &= (match == _UNASKED)[:, None]
    return batch | {
        "input_ids": ids.masked_fill(masked, _MASK),
        "tokens": ids.masked_fill(~masked, _UNASKED),
        "match": match,
    }


@contextmanager
def _one_thread() -> Iterator[None]:
    """The last bits of a sum depend on how many threads share it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
