"""mini-xnli: natural language inference on CLDR facts, learned in English, tested in fifteen languages."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from random import Random

import babel
import tokenizers
import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from torch import Tensor, nn
from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM, XLMRobertaForSequenceClassification

from benchmarks.cache import cached, source_digest
from benchmarks.mini import cldr_facts
from benchmarks.mini.cldr_facts import GROUP, KINDS, LABELS, LANGUAGES, Fact, Limits, Phrase, Split, render
from benchmarks.task import Batch, Report, Task, TensorExamples

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
START, PAD, END, UNKNOWN, MASK = range(len(SPECIAL))
IGNORED = -100


@dataclass(frozen=True)
class Plan:
    """Everything that is chosen about the data, the model and its pre-training."""

    limits: Limits = Limits()
    train_rounds: int = 100
    validation_rounds: int = 5
    test_rounds: int = 7
    vocabulary: int = 3000
    layers: int = 2
    width: int = 128
    heads: int = 4
    feed_forward: int = 256
    labelled_rounds: int = 100
    unlabelled_rounds: int = 100
    labelled_share: float = 0.6
    labelled_all: bool = False
    hard: float = 0.7
    init: float = 0.08
    tie: bool = False
    steps: int = 2000
    batch_size: int = 64
    lr: float = 2e-3
    warmup_steps: int = 100
    masked_share: float = 0.2
    same_language_share: float = 0.6
    mismatched_share: float = 0.5
    match_weight: float = 1.0


PLAN = Plan()


def _config(plan: Plan) -> XLMRobertaConfig:
    return XLMRobertaConfig(
        vocab_size=plan.vocabulary,
        hidden_size=plan.width,
        num_hidden_layers=plan.layers,
        num_attention_heads=plan.heads,
        intermediate_size=plan.feed_forward,
        max_position_embeddings=130,
        type_vocab_size=1,
        num_labels=len(LABELS),
        initializer_range=plan.init,
        bos_token_id=START,
        pad_token_id=PAD,
        eos_token_id=END,
    )


def train_tokenizer(texts: Sequence[str], vocabulary: int) -> Tokenizer:
    tokenizer = Tokenizer(BPE(unk_token=SPECIAL[UNKNOWN]))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Digits(individual_digits=True)]
    )
    tokenizer.train_from_iterator(texts, BpeTrainer(vocab_size=vocabulary, special_tokens=list(SPECIAL), show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", START), ("</s>", END)]
    )
    return tokenizer


def pretraining_pairs(plan: Plan) -> list[tuple[str, str, int]]:
    pool = cldr_facts.all_entities(plan.limits)
    train = pool if plan.labelled_all else cldr_facts.split_entities(pool)["train"]
    labelled = cldr_facts.rounds(train, plan.labelled_rounds, "labelled")
    unlabelled = cldr_facts.rounds(pool, plan.unlabelled_rounds, "unlabelled")
    random = Random("pre-training")
    made = []
    while len(made) < plan.steps * plan.batch_size:
        has_label = random.random() < plan.labelled_share
        groups = random.choice(labelled if has_label else unlabelled)
        kind = random.randrange(len(groups))
        place = random.randrange(GROUP)
        fact = groups[kind][place]
        languages = random.choices(LANGUAGES, k=2)
        if random.random() < plan.same_language_share:
            languages[1] = languages[0]
        if has_label:
            if random.random() < plan.hard:
                other = groups[kind][(place + random.randrange(1, GROUP)) % GROUP]
            else:
                other = groups[(kind + random.randrange(1, len(groups))) % len(groups)][place]
            said = [(fact.premise, fact.hypothesis, 1), (fact.premise, other.hypothesis, 0)]
        else:
            said = [(fact.premise, fact.hypothesis, IGNORED)]
            if languages[0] != languages[1]:
                said = [random.choice([(fact.premise, fact.hypothesis, IGNORED), (fact.premise, fact.premise, IGNORED), (fact.hypothesis, fact.hypothesis, IGNORED)])]
        made += [(render(x, languages[0]), render(y, languages[1]), z) for x, y, z in said]
    made = made[:plan.steps * plan.batch_size]
    return made


def _padded(sequences: Sequence[Sequence[int]], length: int | None = None) -> Tensor:
    length = length or max(map(len, sequences))
    return torch.tensor([[*ids, *[PAD] * (length - len(ids))] for ids in sequences])


def pretrain(plan: Plan, tokenizer: Tokenizer, pairs, report: Report) -> dict[str, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = _config(plan)
        config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
        model = XLMRobertaForMaskedLM(config).train()
        if plan.tie:
            for layer in model.roberta.encoder.layer:
                layer.attention.self.key.load_state_dict(layer.attention.self.query.state_dict())
        match_head = nn.Sequential(nn.Linear(plan.width, plan.width), nn.Tanh(), nn.Linear(plan.width, 2))
    optimizer = torch.optim.AdamW([*model.parameters(), *match_head.parameters()], plan.lr, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min((s + 1) / plan.warmup_steps, (plan.steps - s) / (plan.steps - plan.warmup_steps)))
    ids = [e.ids for e in tokenizer.encode_batch([(a, b) for a, b, _ in pairs])]
    labels = torch.tensor([l for *_, l in pairs])
    g = torch.Generator().manual_seed(0)
    # batches of similar length
    order = []
    chunk = plan.batch_size * 50
    for start in range(0, len(ids), chunk):
        order += sorted(range(start, min(start + chunk, len(ids))), key=lambda i: len(ids[i]))
    batches = torch.tensor(order).view(-1, plan.batch_size)[torch.randperm(plan.steps, generator=g)].tolist()
    params = [*model.parameters(), *match_head.parameters()]
    for step, chosen in enumerate(batches):
        input_ids = _padded([ids[i] for i in chosen])
        attention = input_ids != PAD
        masked = (torch.rand(input_ids.shape, generator=g) < plan.masked_share) & (input_ids > MASK)
        masked &= (labels[chosen] == IGNORED)[:, None]
        hidden = model.roberta(input_ids.masked_fill(masked, MASK), attention.long()).last_hidden_state
        lm = F.cross_entropy(model.lm_head(hidden[masked]), input_ids[masked], reduction='sum') / masked.sum().clamp(min=1)
        match = F.cross_entropy(match_head(hidden[:, 0]), labels[chosen], ignore_index=IGNORED)
        (lm + plan.match_weight * match).backward()
        nn.utils.clip_grad_norm_(params, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        S = globals().setdefault("S", [0, 0]); S[0] += lm.item(); S[1] += match.item()
        if step % 200 == 199:
            report(f"pre-training lm {S[0]/200:.3f} match {S[1]/200:.3f}", step + 1, plan.steps); S[:] = [0, 0]
    return {n: t.detach().contiguous() for n, t in model.roberta.state_dict().items()}
