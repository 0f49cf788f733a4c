"""mini-xnli: a build of two steps, made twice, and its parts against independent computations."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from itertools import islice
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from benchmarks.cache import digest
from benchmarks.mini import cldr_facts, xnli
from benchmarks.mini.cldr_facts import GROUP, KINDS, LABELS, LANGUAGES, Limits, render
from benchmarks.registry import BENCHMARKS
from benchmarks.task import Task, TensorExamples

ROW = BENCHMARKS["mini-xnli"]

Reported = list[tuple[str, int, int]]
START, PAD, END = 0, 1, 2
PER_ROUND = len(KINDS) * GROUP * len(LABELS)
TINY = replace(
    xnli.PRETRAINING,
    train_rounds=4,
    validation_rounds=1,
    test_rounds=2,
    pretraining_rounds=4,
    vocabulary=1500,
    width=32,
    feed_forward=48,
    steps=3,
    english_steps=1,
    warmup_steps=1,
    batch_size=16,
    clip=0.1,
    weight_decay=0.3,
)


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    }


@pytest.fixture(scope="module")
def caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path, Reported]]:
    """Two caches made by `prepare`, the second by a caller with other random numbers and two threads."""
    folders = tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("second")
    reported: Reported = []
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(xnli, "PRETRAINING", TINY)
        patch.setenv("TRAM_CACHE", str(folders[1]))
        torch.manual_seed(12345)
        torch.set_num_threads(2)
        state = torch.get_rng_state()
        xnli.prepare(ROW, lambda *progress: None)
        assert torch.get_num_threads() == 2
        assert torch.equal(torch.get_rng_state(), state)
        torch.set_num_threads(threads)
        patch.setenv("TRAM_CACHE", str(folders[0]))
        xnli.prepare(ROW, lambda *progress: reported.append(progress))
        yield *folders, reported


@pytest.fixture(scope="module")
def task(caches: tuple[Path, Path, Reported]) -> Task:
    return xnli.task(ROW, 0)


@pytest.fixture(scope="module")
def tokenizer(caches: tuple[Path, Path, Reported]) -> Tokenizer:
    return Tokenizer.from_file(str(next(caches[0].glob("mini-xnli-facts-*/tokenizer.json"))))


@pytest.fixture(scope="module")
def rows(caches: tuple[Path, Path, Reported]) -> dict[str, list[dict[str, str]]]:
    """The pairs as text, by set."""
    lines = next(caches[0].glob("mini-xnli-facts-*/pairs.jsonl")).read_text(encoding="utf-8").splitlines()
    sets: dict[str, list[dict[str, str]]] = {}
    for line in lines:
        row = json.loads(line)
        sets.setdefault(row["set"], []).append(row)
    return sets


def tensors(examples: object) -> dict[str, Tensor]:
    assert isinstance(examples, TensorExamples)
    return dict(examples.tensors)


def test_two_builds_are_the_same_bits(caches: tuple[Path, Path, Reported]) -> None:
    first, second, _ = caches
    assert contents(first) == contents(second)
    assert len(contents(first)) == 6  # tokenizer, pairs, examples, encoder and two keys


def test_a_second_call_makes_nothing(caches: tuple[Path, Path, Reported]) -> None:
    before = {path: path.stat().st_mtime_ns for path in caches[0].rglob("*")}
    xnli.prepare(ROW, lambda *progress: pytest.fail("something was made again"))
    xnli.task(ROW, 3)
    assert {path: path.stat().st_mtime_ns for path in caches[0].rglob("*") if path.suffix != ".lock"} == {
        path: time for path, time in before.items() if path.suffix != ".lock"
    }


def test_recipe_packages_and_code_are_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [xnli._key("torch")]
    with monkeypatch.context() as patch:
        patch.setattr(xnli, "PRETRAINING", replace(xnli.PRETRAINING, lr=2e-3))
        keys.append(xnli._key("torch"))
    with monkeypatch.context() as patch:
        patch.setattr(xnli, "PRETRAINING", replace(xnli.PRETRAINING, limits=replace(Limits(), units=31)))
        keys.append(xnli._key("torch"))
    with monkeypatch.context() as patch:
        patch.setattr(xnli, "version", lambda package: f"{package}, another")
        keys.append(xnli._key("torch"))
    with monkeypatch.context() as patch:
        patch.setattr(xnli, "source_digest", lambda *modules: [module.__name__ for module in modules])
        keys.append(xnli._key("torch"))
        assert {cldr_facts.__name__, xnli.__name__} == set(keys[-1]["code"])  # type: ignore[call-overload]
    assert len({digest(key) for key in keys}) == len(keys)
    assert xnli._key("torch") == keys[0]
    assert {"babel", "tokenizers", "torch"} == set(keys[0]["versions"])  # type: ignore[call-overload]


def test_progress_goes_from_nothing_to_all(caches: tuple[Path, Path, Reported]) -> None:
    stages: dict[str, list[tuple[int, int]]] = {}
    for stage, done, total in caches[2]:
        stages.setdefault(stage, []).append((done, total))
    assert list(stages) == ["mini-xnli: facts", "mini-xnli: pre-training"]
    for steps in stages.values():
        total = steps[0][1]
        assert steps == [(done, total) for done in range(total + 1)]


def test_the_task_is_the_registered_one(task: Task, rows: dict[str, list[dict[str, str]]]) -> None:
    row = BENCHMARKS["mini-xnli"]
    assert tuple(task.test) == row.domains
    assert tuple(domain.lower() for domain in task.test) == LANGUAGES
    assert task.input_module is task.model.get_input_embeddings()  # type: ignore[operator]
    assert task.model.training
    assert {module.p for module in task.model.modules() if isinstance(module, nn.Dropout)} == {0.1}
    sizes = {"train/en": 4, "validation/en": 1} | {f"test/{language}": 2 for language in LANGUAGES}
    assert {name: len(part) for name, part in rows.items()} == {name: PER_ROUND * size for name, size in sizes.items()}
    assert set(task.revisions) == {"babel", "cldr", "pairs sha256", "weights sha256"}


def test_tokens_and_labels_are_those_of_the_pairs(
    task: Task, rows: dict[str, list[dict[str, str]]], tokenizer: Tokenizer
) -> None:
    sets = {"train/en": task.train, "validation/en": task.validation}
    sets |= {f"test/{domain.lower()}": examples for domain, examples in task.test.items()}
    for name, examples in sets.items():
        fields = tensors(examples)
        assert fields["attention_mask"].sum(1).max() == fields["input_ids"].shape[1]  # the longest has no padding
        for row, ids, mask, label in zip(rows[name], *fields.values(), strict=True):
            length = int(mask.sum())
            assert mask.tolist() == [1] * length + [0] * (len(mask) - length)
            assert ids[length:].eq(PAD).all()
            premise, hypothesis = (tokenizer.encode(row[side]).ids[1:-1] for side in ("premise", "hypothesis"))
            assert ids[:length].tolist() == [START, *premise, END, END, *hypothesis, END]
            assert LABELS[int(label)] == row["label"]


def test_every_set_says_its_facts_in_its_language(rows: dict[str, list[dict[str, str]]]) -> None:
    drawn = xnli.draw_rounds()
    for name, part in rows.items():
        split, language = name.split("/")
        for row, pair in zip(part, cldr_facts.pairs(drawn[split]), strict=True):
            assert row["premise"] == render(pair.premise, language)
            assert row["hypothesis"] == render(pair.hypothesis, language)
            assert row["label"] == LABELS[pair.label]


def test_languages_are_parallel_and_labels_balanced(task: Task) -> None:
    labels = [tensors(examples)["labels"] for examples in task.test.values()]
    assert all(torch.equal(labels[0], other) for other in labels[1:])
    for examples in (task.train, task.validation, task.test["En"]):
        assert len(set(Counter(tensors(examples)["labels"].tolist()).values())) == 1


def test_no_pair_of_test_or_validation_is_trained_on(rows: dict[str, list[dict[str, str]]]) -> None:
    train, validation, *test = ({(row["premise"], row["hypothesis"]) for row in part} for part in rows.values())
    assert train.isdisjoint(validation.union(*test))


def test_the_encoder_is_the_cached_one_and_the_head_is_the_seeds(caches: tuple[Path, Path, Reported]) -> None:
    saved = load_file(next(caches[0].glob("mini-xnli-encoder-*/encoder.safetensors")))
    state = torch.get_rng_state()
    models = [xnli.task(ROW, seed).model.state_dict() for seed in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), state)
    for name, weight in saved.items():
        assert all(torch.equal(model[f"roberta.{name}"], weight) for model in models)
    heads = [name for name in models[0] if not name.startswith("roberta.")]
    assert set(heads) | {f"roberta.{name}" for name in saved} == set(models[0])
    assert all(torch.equal(models[0][name], models[1][name]) for name in heads)
    assert any(not torch.equal(models[0][name], models[2][name]) for name in heads)


def test_pretraining_moves_every_weight_of_the_encoder(caches: tuple[Path, Path, Reported]) -> None:
    saved = load_file(next(caches[0].glob("mini-xnli-encoder-*/encoder.safetensors")))
    before = xnli.untrained().roberta.state_dict()
    assert [name for name in saved if torch.equal(saved[name], before[name])] == []


def test_the_loss_is_the_cross_entropy_and_ignores_padding(task: Task) -> None:
    task.model.eval()
    batch = {name: tensor[:12] for name, tensor in tensors(task.test["Sw"]).items()}
    loss, logits = task.forward(task.model, batch)
    naive = -logits.double().log_softmax(1)[range(12), batch["labels"]].mean()
    torch.testing.assert_close(loss.double(), naive)
    longer = batch | {
        "input_ids": F.pad(batch["input_ids"], (0, 9), value=PAD),
        "attention_mask": F.pad(batch["attention_mask"], (0, 9)),
    }
    torch.testing.assert_close(task.forward(task.model, longer)[1], logits)
    task.model.train()


def test_pretraining_says_no_held_out_premise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xnli, "PRETRAINING", xnli.Pretraining())
    said = {name: {fact.premise for fact in cldr_facts.facts(rounds)} for name, rounds in xnli.draw_rounds().items()}
    assert said["pre-training"].isdisjoint(said["validation"] | said["test"])
    units = {name: {phrase.of[0] for phrase in part if phrase.form == "quantity"} for name, part in said.items()}
    assert units["test"] <= units["pre-training"]  # its entities are those of every split all the same
    assert units["test"].isdisjoint(units["train"])


def test_pretraining_matches_what_belongs_together(caches: tuple[Path, Path, Reported]) -> None:
    rounds = xnli.draw_rounds()["pre-training"]
    belonging = {
        (render(fact.premise, first), render(fact.hypothesis, second))
        for fact in cldr_facts.facts(rounds)
        for first in LANGUAGES
        for second in LANGUAGES
    }
    sides = list(islice(xnli.pretraining_pairs(rounds), 3000))
    assert all(((side.first, side.second) in belonging) == bool(side.label) for side in sides)
    assert [side.label for side in sides] == [1, 0] * 1500
    english = {render(phrase, "en") for fact in cldr_facts.facts(rounds) for phrase in (fact.premise, fact.hypothesis)}
    early = TINY.english_steps * TINY.batch_size
    assert {text for side in sides[:early] for text in (side.first, side.second)} <= english
    assert not {side.first for side in sides[early:]} <= english


def test_half_of_the_mismatches_are_of_the_same_kind(caches: tuple[Path, Path, Reported]) -> None:
    rounds = xnli.draw_rounds()["pre-training"]
    group = {render(fact.premise, "en"): members for groups in rounds for members in groups for fact in members}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(xnli, "PRETRAINING", replace(TINY, english_steps=1000))
        mismatches = [side for side in islice(xnli.pretraining_pairs(rounds), 2000) if not side.label]
    near = [side for side in mismatches if side.second in {render(f.hypothesis, "en") for f in group[side.first]}]
    assert len(near) / len(mismatches) == pytest.approx(0.5, abs=0.06)


def test_two_halves_make_the_gradient_of_the_batch(caches: tuple[Path, Path, Reported], tokenizer: Tokenizer) -> None:
    sides = list(islice(xnli.pretraining_pairs(xnli.draw_rounds()["pre-training"]), TINY.batch_size * 2))
    model = xnli.untrained().double()
    batch = xnli.encode(tokenizer, sides)
    loss, _ = xnli.forward(model, batch)
    expected = torch.autograd.grad(loss, list(model.parameters()))
    halves = list(xnli.halves(batch))
    assert [len(half["labels"]) for half in halves] == [TINY.batch_size] * 2
    assert halves[0]["attention_mask"].sum(1).max() <= halves[1]["attention_mask"].sum(1).min()
    assert all(half["attention_mask"].any(0).all() for half in halves)
    got = torch.autograd.grad(sum(xnli.forward(model, half)[0] / 2 for half in halves), list(model.parameters()))
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-12)


def test_pretraining_is_adamw_on_one_batch_after_the_other(
    caches: tuple[Path, Path, Reported], tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against the update written out, in float64, on whole batches and their clipped gradient."""
    untrained = xnli.untrained
    monkeypatch.setattr(xnli, "untrained", lambda: untrained().double())
    rounds = xnli.draw_rounds()["pre-training"]
    trained = xnli.pretrain(tokenizer, rounds, lambda *progress: None)
    model = xnli.untrained()
    params = list(model.parameters())
    first, second = ([torch.zeros_like(param) for param in params] for _ in range(2))
    pairs = xnli.pretraining_pairs(rounds)
    beta1, beta2 = TINY.betas
    for step, factor in enumerate((0, 1, 0.5), start=1):  # one step of warm-up, then down to 0 after the third
        loss, _ = xnli.forward(model, xnli.encode(tokenizer, list(islice(pairs, TINY.batch_size))))
        grads = torch.autograd.grad(loss, params)
        norm = torch.cat([grad.flatten() for grad in grads]).norm()
        for param, grad, m, v in zip(params, grads, first, second, strict=True):
            clipped = grad * min(1.0, TINY.clip / (norm + 1e-6))
            m.copy_(beta1 * m + (1 - beta1) * clipped)
            v.copy_(beta2 * v + (1 - beta2) * clipped**2)
            update = m / (1 - beta1**step) / ((v / (1 - beta2**step)).sqrt() + 1e-8)
            with torch.no_grad():
                param -= TINY.lr * factor * (TINY.weight_decay * param + update)
    assert norm > TINY.clip  # so that clipping is seen
    for name, weight in model.roberta.state_dict().items():
        torch.testing.assert_close(trained[name], weight, rtol=1e-7, atol=1e-9)


def test_queries_equal_keys_at_the_start(caches: tuple[Path, Path, Reported]) -> None:
    for layer in xnli.untrained().roberta.encoder.layer:
        attention = layer.attention.self
        assert torch.equal(attention.query.weight, attention.key.weight)
        assert attention.query.weight.data_ptr() != attention.key.weight.data_ptr()


def test_digits_are_tokens_and_case_and_width_do_not_count(tokenizer: Tokenizer) -> None:
    assert not [token for token in tokenizer.get_vocab() if sum(map(str.isdigit, token)) > 1]
    assert tokenizer.encode("57 KM").tokens[:4] == ["<s>", "▁", "5", "7"]
    assert tokenizer.encode("57 km").ids == tokenizer.encode("５７ ＫＭ").ids
