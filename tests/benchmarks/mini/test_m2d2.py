"""mini-m2d2: the same bits from the same inputs, the contract of a task, and a loss that is what it says."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor
from transformers import GPT2LMHeadModel

from benchmarks.mini import docstrings, m2d2
from benchmarks.mini.docstrings import Corpus
from benchmarks.registry import BENCHMARKS
from benchmarks.task import Task, TensorExamples

ROW = BENCHMARKS["mini-m2d2"]

TINY = m2d2.Pretraining(
    # One package stands for all: reading eleven takes seconds.
    domains=tuple(
        Corpus(row.name, ("networkx",), dict.fromkeys(row.characters, 2_500)) for row in m2d2.PRETRAINING.domains
    ),
    general=Corpus("general", ("huggingface-hub",), {"train": 20_000}),
    vocabulary=300,
    block=16,
    test_blocks=8,
    width=16,
    heads=2,
    dropout=0.1,
    batch_size=4,
    steps=5,
    warmup_steps=1,
)

Calls = list[tuple[str, int, int]]


def silent(stage: str, done: int, total: int) -> None:
    pass


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _tiny(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(m2d2, "PRETRAINING", TINY)
    monkeypatch.setenv("TRAM_CACHE", str(cache))


@pytest.fixture
def task() -> Task:
    return m2d2.task(ROW, seed=0)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    }


def ids(examples: object) -> Tensor:
    assert isinstance(examples, TensorExamples)
    return examples.tensors["input_ids"]


def test_two_builds_agree_to_the_last_bit_and_leave_no_trace_in_the_process(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    m2d2.prepare(ROW, silent)
    monkeypatch.setenv("TRAM_CACHE", str(tmp_path))
    threads = torch.get_num_threads()
    torch.manual_seed(123)
    torch.set_num_threads(2)
    try:
        state = torch.get_rng_state()
        m2d2.prepare(ROW, silent)
        assert torch.get_num_threads() == 2
        assert torch.equal(torch.get_rng_state(), state)
    finally:
        torch.set_num_threads(threads)
    expected = contents(cache)
    assert {Path(name).name for name in expected} == {
        "blocks.safetensors",
        "key.json",
        "model.safetensors",
        "tokenizer.json",
    }
    assert contents(tmp_path) == expected


def test_a_second_prepare_does_nothing(cache: Path) -> None:
    m2d2.prepare(ROW, silent)
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.suffix != ".lock"}
    calls: Calls = []
    m2d2.prepare(ROW, lambda *call: calls.append(call))
    assert calls == []
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.suffix != ".lock"} == before


def test_progress_counts_up_to_the_total_in_two_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAM_CACHE", str(tmp_path))
    calls: Calls = []
    m2d2.prepare(ROW, lambda *call: calls.append(call))
    corpora, steps = len(TINY.domains) + 2, TINY.steps
    assert calls == [
        *(("mini-m2d2: corpus", done, corpora) for done in range(corpora + 1)),
        *(("mini-m2d2: pre-training", done, steps) for done in range(steps + 1)),
    ]


@pytest.mark.parametrize("changed", ["version", "recipe"])
def test_another_package_version_or_recipe_is_another_entry(
    changed: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    m2d2.prepare(ROW, silent)
    before = {path.name for path in cache.iterdir() if path.is_dir()}
    monkeypatch.setenv("TRAM_CACHE", str(tmp_path))
    if changed == "version":
        installed = docstrings.version
        monkeypatch.setattr(docstrings, "version", lambda name: "0.0" if name == "networkx" else installed(name))
    else:
        monkeypatch.setattr(m2d2, "PRETRAINING", replace(TINY, steps=TINY.steps + 1))
    m2d2.prepare(ROW, silent)
    assert not before & {path.name for path in tmp_path.iterdir()}


def test_the_task_is_what_the_registry_promises(task: Task) -> None:
    assert tuple(task.test) == BENCHMARKS["mini-m2d2"].domains
    assert task.train is not task.test["math"]
    for examples in (task.validation, *task.test.values()):
        assert ids(examples).shape == (TINY.test_blocks, TINY.block)
        assert ids(examples).dtype == torch.int64
    assert ids(task.train).shape[1] == TINY.block
    assert task.model.training
    assert {module.p for module in task.model.modules() if isinstance(module, torch.nn.Dropout)} == {0.1}
    assert isinstance(task.model, GPT2LMHeadModel)
    assert task.input_module is task.model.transformer.wte


def test_revisions_name_every_corpus_and_both_files(task: Task) -> None:
    assert set(task.revisions) == {*task.test, "general", "corpora sha256", "weights sha256"}
    assert task.revisions["learning"] == f"networkx {docstrings.version('networkx')}"
    assert {len(task.revisions[name]) for name in ("corpora sha256", "weights sha256")} == {16}


def test_the_model_carries_the_pretrained_weights_whatever_the_seed(cache: Path, task: Task) -> None:
    (saved,) = cache.glob("mini-m2d2-*/model.safetensors")
    weights = load_file(saved)
    other = m2d2.task(ROW, seed=1).model.state_dict()
    assert len(weights) > 10
    for name, value in weights.items():
        assert torch.equal(task.model.state_dict()[name], value)
        assert torch.equal(other[name], value)
    untied = set(other) - set(weights)
    assert untied <= {"lm_head.weight", "transformer.wte.weight"}
    assert torch.equal(other["lm_head.weight"], other["transformer.wte.weight"])


def test_loss_is_the_mean_nll_of_every_token_given_those_before_it(task: Task) -> None:
    model = task.model.eval()
    tokens = ids(task.train)[:3]
    with torch.no_grad():
        loss, logits = m2d2.forward(model, {"input_ids": tokens})
        whole = model(input_ids=tokens).logits
        naive = [
            -torch.log_softmax(whole[block, position].double(), -1)[tokens[block, position + 1]].item()
            for block in range(3)
            for position in range(TINY.block - 1)
        ]
    assert logits.shape == (3, TINY.block - 1, TINY.vocabulary)
    torch.testing.assert_close(logits, whole[:, :-1])
    assert loss.item() == pytest.approx(math.fsum(naive) / len(naive), rel=1e-5)


def test_no_prediction_sees_the_token_it_predicts(task: Task) -> None:
    model = task.model.eval()
    tokens = ids(task.train)[:1]
    changed = tokens.clone()
    changed[:, 9] = (changed[:, 9] + 1) % TINY.vocabulary
    with torch.no_grad():
        _, before = m2d2.forward(model, {"input_ids": tokens})
        _, after = m2d2.forward(model, {"input_ids": changed})
    assert torch.equal(before[:, :9], after[:, :9])  # predictions of tokens 1 to 9
    assert not torch.equal(before[:, 9:], after[:, 9:])


def test_blocks_decode_to_the_texts_with_a_separator_after_each() -> None:
    texts = ["alpha beta gamma\n\n    delta", "Zwölf π ≤ 2", "xyz " * 9]
    tokenizer = m2d2.train_tokenizer(texts, 270)
    blocks = m2d2.to_blocks(tokenizer, texts, 8)
    stream = blocks.flatten().tolist()
    assert blocks.shape[1] == 8
    assert len(stream) == sum(len(tokenizer.encode(text).ids) + 1 for text in texts) // 8 * 8
    assert "<|endoftext|>".join(texts).startswith(tokenizer.decode(stream, skip_special_tokens=False))
    assert stream.count(0) == 2


def test_the_tokenizer_learns_from_the_general_corpus_alone(cache: Path, task: Task) -> None:
    (saved,) = cache.glob("mini-m2d2-*/tokenizer.json")
    *_, (_, general) = docstrings.extract(TINY.corpora)
    expected = m2d2.train_tokenizer(general["train"], TINY.vocabulary)
    assert Tokenizer.from_file(str(saved)).get_vocab() == expected.get_vocab()
    assert expected.get_vocab_size() == TINY.vocabulary


def test_a_split_with_too_few_blocks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAM_CACHE", str(tmp_path))
    monkeypatch.setattr(m2d2, "PRETRAINING", replace(TINY, test_blocks=10_000))
    with pytest.raises(ValueError, match=r"math/validation has \d+ blocks, not 10000"):
        m2d2.prepare(ROW, silent)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_pretraining_learns_a_sequence_without_entropy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting modulo 7 from an unknown start: once a token is seen, the next is certain, so the nll is zero."""
    recipe = replace(TINY, dropout=0.0, steps=150, batch_size=8, lr=2e-2, warmup_steps=10)
    monkeypatch.setattr(m2d2, "PRETRAINING", recipe)
    blocks = ((torch.arange(TINY.block) + torch.arange(7)[:, None]) % 7).repeat(4, 1).to(torch.int16)
    model = m2d2.pretrain(blocks, silent).eval()
    with torch.no_grad():
        loss, _ = m2d2.forward(model, {"input_ids": blocks[:7].long()})
    assert loss.item() < 0.02


def test_batches_visit_every_block_once_an_epoch_and_differ_between_epochs() -> None:
    torch.manual_seed(0)
    batches = m2d2._shuffled(torch.arange(12).view(12, 1), 4)
    epochs = [torch.cat([next(batches) for _ in range(3)]).flatten().tolist() for _ in range(2)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(12))] * 2
    assert epochs[0] != epochs[1]
    incomplete = m2d2._shuffled(torch.arange(10).view(10, 1), 4)
    assert [len(next(incomplete)) for _ in range(6)] == [4] * 6
