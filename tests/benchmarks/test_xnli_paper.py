"""The paper's XNLI row, on pairs and an XLM-R in the hub's layout that are small enough for a test."""

import json
import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch.utils.data import DataLoader
from transformers import AutoTokenizer, XLMRobertaForSequenceClassification
from transformers.utils import logging

from benchmarks import xnli
from benchmarks.errors import DataError
from benchmarks.paper_rows import ROWS
from benchmarks.row import Benchmark
from benchmarks.sources import Repository, XNLISource
from benchmarks.task import Batch, Task, silent
from benchmarks.xnli import PaddedRight
from tests.benchmarks.hub_fixtures_xnli import SHARD, small, tokenizer, write_pairs, write_xnli
from tests.hub import Hub, point_to
from tram import TRAM

[PAPER] = [row for row in ROWS if isinstance(row.source, XNLISource)]
MULTI_NLI = Repository("dataset", "nyu-mll/multi_nli")


def source_of(row: Benchmark) -> XNLISource:
    assert isinstance(row.source, XNLISource)
    return row.source


def changed(row: Benchmark, **fields: Any) -> Benchmark:
    return replace(row, source=replace(source_of(row), **fields))


ROW = replace(PAPER, source=small(source_of(PAPER)))
COMMITS = {
    repository.name: repository.revision
    for repository in (source_of(ROW).repository, source_of(ROW).model)
    if repository.revision is not None
}
LANGUAGES = [name.lower() for name in ROW.domains]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub with everything that the row needs, all of it prepared."""
    folder = tmp_path_factory.mktemp("xnli")
    write_xnli(folder / "hub", source_of(ROW))
    with Hub(folder / "hub", commits=COMMITS) as served, pytest.MonkeyPatch.context() as patch:
        point_to(served, folder / "data", patch)
        xnli.prepare(ROW, silent)
        yield served


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub of the test's own, MultiNLI on it too, of which nothing is prepared."""
    write_xnli(tmp_path / "hub", replace(source_of(ROW), train=MULTI_NLI))
    with Hub(tmp_path / "hub", commits=COMMITS) as served:
        point_to(served, tmp_path / "data", monkeypatch)
        monkeypatch.setattr(xnli, "_ROWS", 10)
        yield served


def parquet(hub: Hub, language: str, split: str) -> Path:
    return hub.folder("dataset", "facebook/xnli") / language / f"{split}-{SHARD}"


def model_folder(hub: Hub) -> Path:
    return hub.folder("model", "FacebookAI/xlm-roberta-base")


def loaded(task: Task, examples: Any, size: int = 8) -> list[Batch]:
    return list(DataLoader(examples, batch_size=size, collate_fn=task.collate, generator=torch.Generator()))


# -------------------------------------------------------------------------------------------------------------- the row


def test_the_row_learns_in_english_and_is_tested_in_fifteen_languages(hub: Hub) -> None:
    task = xnli.task(ROW, seed=0)
    assert list(task.test) == ["En", "Ar", "Bg", "De", "El", "Es", "Fr", "Hi", "Ru", "Sw", "Th", "Tr", "Ur", "Vi", "Zh"]
    assert (len(cast(Any, task.train)), len(cast(Any, task.validation))) == (48, 12)
    assert {len(cast(Any, test)) for test in task.test.values()} == {9}
    assert isinstance(task.model, XLMRobertaForSequenceClassification)
    assert task.input_module is task.model.roberta.embeddings.word_embeddings
    assert all(module.training for module in task.model.modules())
    assert {param.dtype for param in task.model.parameters()} == {torch.float32}
    assert not task.augmented


def test_revisions_name_the_commits_and_the_content(hub: Hub) -> None:
    revisions = dict(xnli.task(ROW, seed=0).revisions)
    assert revisions.pop("facebook/xnli") == COMMITS["facebook/xnli"]
    assert revisions.pop("FacebookAI/xlm-roberta-base") == COMMITS["FacebookAI/xlm-roberta-base"]
    assert revisions.keys() == {"weights sha256", "pairs sha256"}


def test_only_what_a_run_reads_is_downloaded(hub: Hub) -> None:
    tests = [f"{language}/test-{SHARD}" for language in LANGUAGES]
    english = [f"en/train-{SHARD}", f"en/validation-{SHARD}"]
    assert sorted(hub.downloads()) == sorted(["config.json", "model.safetensors", "tokenizer.json", *english, *tests])


def test_what_is_prepared_is_not_prepared_again(hub: Hub) -> None:
    asked = len(hub.requests)
    xnli.prepare(ROW, silent)
    xnli.task(ROW, seed=0)
    assert len(hub.requests) == asked


def test_tokens_are_those_of_the_models_own_tokenizer(hub: Hub) -> None:
    own = AutoTokenizer.from_pretrained(model_folder(hub), local_files_only=True)
    task = xnli.task(ROW, seed=0)
    sets = {"en/train": task.train, "en/validation": task.validation}
    sets |= {f"{name.lower()}/test": examples for name, examples in task.test.items()}
    cut = 0
    for name, examples in sets.items():
        pairs = pq.read_table(parquet(hub, *name.split("/"))).to_pylist()
        for pair, example in zip(pairs, cast(Any, examples), strict=True):
            expected = own(pair["premise"], pair["hypothesis"], truncation="longest_first", max_length=24).input_ids
            assert example == {"input_ids": expected, "label": pair["label"]}
            assert max(expected) < tokenizer().get_vocab_size()
            cut += len(own(pair["premise"], pair["hypothesis"]).input_ids) > 24
    assert cut > 20


def test_a_pair_is_written_as_xlm_r_knows_it(hub: Hub) -> None:
    ids = cast(Any, xnli.task(ROW, seed=0).validation)[0]["input_ids"]
    first = ids.index(2)
    assert (ids[0], ids[first : first + 2], ids[-1]) == (0, [2, 2], 2)
    assert ids.count(2) == 3
    assert ids.count(0) == 1
    pair = pq.read_table(parquet(hub, "en", "validation")).to_pylist()[0]
    assert pair["hypothesis"].startswith(tokenizer().decode(ids[first + 2 : -1]).strip())


def test_a_worker_is_sent_where_the_pairs_are_and_not_the_pairs(hub: Hub) -> None:
    task = xnli.task(ROW, seed=0)
    for examples in (task.train, task.validation, *task.test.values()):
        sent = pickle.dumps(examples)
        assert len(sent) < 10_000
        assert list(pickle.loads(sent)) == list(cast(Any, examples))


def test_multinli_can_be_what_is_trained_on(fresh: Hub) -> None:
    row = changed(ROW, train=MULTI_NLI)
    xnli.prepare(row, silent)
    downloads = fresh.downloads()
    assert f"data/train-{SHARD}" in downloads
    assert f"en/train-{SHARD}" not in downloads
    task = xnli.task(row, seed=0)
    pairs = pq.read_table(fresh.folder("dataset", MULTI_NLI.name) / "data" / f"train-{SHARD}").to_pylist()
    assert [example["label"] for example in cast(Any, task.train)] == [pair["label"] for pair in pairs]
    assert task.revisions["nyu-mll/multi_nli"] == fresh.commit("dataset", MULTI_NLI.name)
    # Both training sets can be prepared side by side.
    xnli.prepare(ROW, silent)
    assert f"en/train-{SHARD}" in fresh.downloads()


def test_the_language_of_training_is_that_of_the_training_domain(fresh: Hub) -> None:
    row = replace(ROW, train_domain="De", zero_shot_domains=("En", "Sw"))
    xnli.prepare(row, silent)
    files = [f"{name}-{SHARD}" for name in ("de/train", "de/validation", "de/test", "en/test", "sw/test")]
    assert [name for name in fresh.downloads() if name.endswith("parquet")] == files
    assert list(xnli.task(row, seed=0).test) == ["De", "En", "Sw"]


# ------------------------------------------------------------------------------------------------------------ the model


def test_all_weights_but_the_heads_are_the_hubs(hub: Hub) -> None:
    weights = load_file(model_folder(hub) / "model.safetensors")
    state = xnli.task(ROW, seed=0).model.state_dict()
    assert len(state) > 30
    for name, tensor in state.items():
        if name.startswith("classifier."):
            assert name not in weights
        else:
            assert torch.equal(tensor, weights[name])


def test_the_head_and_nothing_else_depends_on_the_seed(hub: Hub) -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first, again, other = (xnli.task(ROW, seed).model.state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    different = {name for name in first if not torch.equal(first[name], other[name])}
    assert different == {"classifier.dense.weight", "classifier.out_proj.weight"}  # new biases are 0


def test_loading_says_nothing_and_leaves_the_library_as_it_was(hub: Hub, capfd: pytest.CaptureFixture[str]) -> None:
    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    xnli.task(ROW, seed=0)
    assert capfd.readouterr() == ("", "")
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


def test_batches_are_padded_on_the_right_to_their_longest() -> None:
    batch = PaddedRight(1)([{"input_ids": [0, 7, 2], "label": 2}, {"input_ids": [0, 8, 9, 9, 2], "label": 0}])
    assert batch["input_ids"].tolist() == [[0, 7, 2, 1, 1], [0, 8, 9, 9, 2]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert batch["labels"].tolist() == [2, 0]
    assert {tensor.dtype for tensor in batch.values()} == {torch.int64}


def test_padding_changes_nothing(hub: Hub) -> None:
    task = xnli.task(ROW, seed=0)
    task.model.eval()
    examples = list(cast(Any, task.test["En"]))
    assert len({len(example["input_ids"]) for example in examples}) > 2
    _, together = task.forward(task.model, task.collate(examples))[:2]
    alone = [task.forward(task.model, task.collate([example]))[1] for example in examples]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-6, rtol=1e-5)


def test_a_model_that_is_given_embeddings_counts_the_same_positions(hub: Hub) -> None:
    task = xnli.task(ROW, seed=0)
    model = cast(XLMRobertaForSequenceClassification, task.model.eval())
    [batch] = loaded(task, task.test["En"], size=9)
    assert batch["attention_mask"].min() == 0
    embeddings = model.get_input_embeddings()(batch["input_ids"])
    logits = model(inputs_embeds=embeddings, attention_mask=batch["attention_mask"]).logits
    torch.testing.assert_close(logits, task.forward(model, batch)[1])


def test_the_loss_is_the_mean_negative_log_likelihood(hub: Hub) -> None:
    task = xnli.task(ROW, seed=0)
    task.model.eval()
    for batch in loaded(task, task.validation, size=5):
        loss, logits = task.forward(task.model, batch)[:2]
        assert logits.shape == (len(batch["labels"]), 3)
        chances = logits.softmax(1)[torch.arange(len(logits)), batch["labels"]]
        torch.testing.assert_close(loss, -chances.log().mean())


@pytest.mark.parametrize("method", ["SAM", "TRAM-prev", "TRAM-x", "TRAM-Fisher", "MESA"])
def test_every_kind_of_method_takes_a_step(hub: Hub, method: str) -> None:
    task = xnli.task(ROW, seed=0)
    tram = TRAM(task.model, method, input_module=task.input_module, seed=0)
    optimizer = torch.optim.Adam(task.model.parameters(), lr=1e-3)
    for batch in loaded(task, task.validation, size=6):
        weights = [param.clone() for param in task.model.parameters()]
        loss = tram.backward(lambda batch: task.forward(task.model, batch), batch)
        assert loss.isfinite()
        assert all(torch.equal(*pair) for pair in zip(weights, task.model.parameters(), strict=True))
        assert all(param.grad is not None and param.grad.isfinite().all() for param in task.model.parameters())
        assert any(param.grad.any() for param in task.model.parameters() if param.grad is not None)
        optimizer.step()
        optimizer.zero_grad()
    if method not in ("SAM", "TRAM-Fisher"):
        assert tram.distance is not None
        assert tram.distance > 0


# ------------------------------------------------------------------------------------------------------------ bad input


Pair = tuple[str | None, str | None, int]
Spoil = Callable[[Hub], None]
GOOD: list[Pair] = [("the premise", "a hypothesis", number % 3) for number in range(48)]
TRAIN = "facebook/xnli@b8dd5d7af511 en/train"
MODEL = "FacebookAI/xlm-roberta-base@e73636d4f797"
NO_SUCH_ROWS = "Name a repository or a revision without such rows."
ANOTHER_VERSION = (
    "It is another data set or another version: correct the repository, its revision or the size in the "
    "benchmark's row."
)


def train_of(pairs: list[Pair], names: tuple[str, ...] = xnli.LABELS) -> Spoil:
    return lambda hub: write_pairs(parquet(hub, "en", "train"), pairs, names)


def with_pair(row: int, pair: Pair) -> list[Pair]:
    return [*GOOD[:row], pair, *GOOD[row + 1 :]]


def without(column: str) -> Spoil:
    def spoil(hub: Hub) -> None:
        path = parquet(hub, "en", "train")
        pq.write_table(pq.read_table(path).drop_columns(column), path)

    return spoil


def words_for_labels(hub: Hub) -> None:
    columns = {"premise": ["a"] * 48, "hypothesis": ["b"] * 48, "label": ["neutral"] * 48}
    pq.write_table(pa.table(columns), parquet(hub, "en", "train"))


def numbers_for_premises(hub: Hub) -> None:
    columns = {"premise": [1] * 48, "hypothesis": ["b"] * 48, "label": [0] * 48}
    pq.write_table(pa.table(columns), parquet(hub, "en", "train"))


BAD_DATA: dict[str, tuple[Spoil, str]] = {
    "too few": (train_of(GOOD[:-1]), f"holds 47 examples, not 48. {ANOTHER_VERSION}"),
    "too many": (train_of([*GOOD, GOOD[0]]), f"holds 49 examples, not 48. {ANOTHER_VERSION}"),
    "none": (train_of([]), f"holds 0 examples, not 48. {ANOTHER_VERSION}"),
    "no premise": (
        without("premise"),
        "there is no column 'premise', only hypothesis, label. "
        "Correct the column or the repository in the benchmark's row.",
    ),
    "no label": (
        without("label"),
        "there is no column 'label', only premise, hypothesis. "
        "Correct the column or the repository in the benchmark's row.",
    ),
    "labels in words": (
        words_for_labels,
        "column 'label' is string, not the number of a class. "
        "Correct the column or the repository in the benchmark's row.",
    ),
    "premises in numbers": (
        numbers_for_premises,
        "column 'premise' is int64, not text. Correct the column or the repository in the benchmark's row.",
    ),
    "label unknown": (
        train_of(with_pair(11, ("a", "b", -1))),
        f"row 11 has the label -1, and labels go from 0 to 2. {NO_SUCH_ROWS}",
    ),
    "label above": (
        lambda hub: pq.write_table(
            pa.table({"premise": ["a"] * 48, "hypothesis": ["b"] * 48, "label": [0] * 47 + [3]}),
            parquet(hub, "en", "train"),
        ),
        f"row 47 has the label 3, and labels go from 0 to 2. {NO_SUCH_ROWS}",
    ),
    "labels in another order": (
        train_of(GOOD, ("contradiction", "neutral", "entailment")),
        "its classes are contradiction, neutral, entailment, not entailment, neutral, contradiction, in this order. "
        "Name a repository that numbers them so.",
    ),
    "no hypothesis": (
        train_of(with_pair(25, ("a", None, 0))),
        "row 25 has no hypothesis. Name a revision without such rows.",
    ),
    "blank sentences": (
        train_of([("the premise", " ", 1)] * 2 + GOOD[2:]),
        "a sentence is blank in 2 of 48 pairs. Name another revision.",
    ),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_pairs_are_named_and_leave_nothing(fresh: Hub, case: str) -> None:
    spoil, message = BAD_DATA[case]
    spoil(fresh)
    with pytest.raises(DataError) as raised:
        xnli.prepare(ROW, silent)
    assert str(raised.value) == f"{TRAIN}: {message}"
    data = fresh.root.with_name("data")
    assert not [path for path in data.glob("xnli/**/*") if path.is_dir() and "train" in path.name]
    assert (data / "models" / "FacebookAI--xlm-roberta-base" / "model.safetensors").is_file()


def test_a_few_blank_sentences_are_counted_and_kept(fresh: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xnli, "_BLANK_SHARE", 1 / 48)
    train_of(with_pair(5, ("", "b", 0)))(fresh)
    xnli.prepare(ROW, silent)
    manifest = json.loads((fresh.root.with_name("data") / "xnli/facebook--xnli/en/train/manifest.json").read_text())
    details = manifest["details"]
    assert (details["examples"], details["blank"], details["revision"]) == (48, 1, COMMITS["facebook/xnli"])
    lengths = [len(example["input_ids"]) for example in cast(Any, xnli.task(ROW, seed=0).train)]
    assert (details["tokens"], details["longest"]) == (sum(lengths), max(lengths))


def test_a_file_that_is_cut_off_is_named(fresh: Hub) -> None:
    path = parquet(fresh, "en", "train")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError) as raised:
        xnli.prepare(ROW, silent)
    here = fresh.root.with_name("data") / "hub/datasets/facebook/xnli" / COMMITS["facebook/xnli"] / "en" / path.name
    assert str(raised.value) == (f"{TRAIN}: {path.name} is not a whole parquet file. Delete {here} and prepare again.")


def config(**fields: Any) -> Spoil:
    def spoil(hub: Hub) -> None:
        path = model_folder(hub) / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | fields))

    return spoil


def padding_elsewhere(hub: Hub) -> None:
    path = model_folder(hub) / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    pieces = tokenizer["model"]["vocab"]
    pieces[1], pieces[3] = pieces[3], pieces[1]
    for added in tokenizer["added_tokens"]:
        added["id"] = {1: 3, 3: 1}.get(added["id"], added["id"])
    path.write_text(json.dumps(tokenizer))
    assert Tokenizer.from_file(str(path)).token_to_id("<pad>") == 3


WORDS = tokenizer().get_vocab_size()
OWN_TOKENIZER = "Name a repository whose tokenizer belongs to its model."
BAD_MODELS: dict[str, tuple[Spoil, str]] = {
    "another type": (config(model_type="bert"), "is of type 'bert'. Name an 'xlm-roberta' model."),
    "too few positions": (
        config(max_position_embeddings=25),
        "has 23 positions, fewer than the 24 tokens of max_length. Lower max_length in the benchmark's row.",
    ),
    "too many tokens": (
        config(vocab_size=WORDS - 1),
        f"its tokenizer knows {WORDS} tokens, its embedding {WORDS - 1}. {OWN_TOKENIZER}",
    ),
    "another padding": (
        padding_elsewhere,
        f"its tokenizer pads with 3, its embedding with 1. {OWN_TOKENIZER}",
    ),
}


@pytest.mark.parametrize("case", BAD_MODELS)
def test_a_model_that_does_not_fit_is_named_before_any_pair_is_fetched(fresh: Hub, case: str) -> None:
    spoil, message = BAD_MODELS[case]
    spoil(fresh)
    with pytest.raises(DataError) as raised:
        xnli.prepare(ROW, silent)
    assert str(raised.value) == f"{MODEL}: {message}"
    assert not [name for name in fresh.downloads() if name.endswith(".parquet")]


def test_as_many_tokens_as_positions_are_fine(fresh: Hub) -> None:
    config(max_position_embeddings=26)(fresh)
    xnli.prepare(ROW, silent)
    task = xnli.task(ROW, seed=0)
    batches = loaded(task, task.train)
    assert max(batch["input_ids"].shape[1] for batch in batches) == 24
    assert all(task.forward(task.model, batch)[0].isfinite() for batch in batches)


def test_a_weight_that_is_missing_is_not_drawn_at_random(fresh: Hub) -> None:
    weights = load_file(model_folder(fresh) / "model.safetensors")
    del weights["roberta.encoder.layer.1.output.dense.weight"]
    save_file(weights, model_folder(fresh) / "model.safetensors", {"format": "pt"})
    xnli.prepare(ROW, silent)
    with pytest.raises(DataError) as raised:
        xnli.task(ROW, seed=0)
    assert str(raised.value) == (
        f"{MODEL}: its weights lack roberta.encoder.layer.1.output.dense.weight. "
        "Name a repository of a pre-trained XLM-R."
    )


def test_sets_of_another_length_are_not_mixed_with_these(hub: Hub) -> None:
    with pytest.raises(DataError, match="max_length 24, not 20"):
        xnli.prepare(changed(ROW, max_length=20), silent)


# -------------------------------------------------------------------------------------------- offline, and interrupted


def test_without_a_network_runs_start_from_what_is_prepared(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    asked = len(hub.requests)
    xnli.prepare(ROW, silent)
    xnli.task(ROW, seed=0)
    assert len(hub.requests) == asked


def test_without_a_network_a_missing_piece_is_named(fresh: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    data = fresh.root.with_name("data")
    command = f"Type `python -m benchmarks prepare xnli --data {data}` where there is a network."
    with pytest.raises(DataError) as raised:
        xnli.task(ROW, seed=0)
    model = data / "models" / "FacebookAI--xlm-roberta-base"
    assert str(raised.value) == f"{model}: is not prepared. {command}"
    assert not fresh.requests
    xnli.prepare(replace(ROW, zero_shot_domains=("De",)), silent)
    asked = len(fresh.requests)
    with pytest.raises(DataError) as raised:
        xnli.task(replace(ROW, zero_shot_domains=("De", "Sw")), seed=0)
    assert str(raised.value) == f"{data / 'xnli/facebook--xnli/sw/test'}: is not prepared. {command}"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DataError) as raised:
        xnli.prepare(replace(ROW, zero_shot_domains=("De", "Sw")), silent)
    assert str(raised.value) == (
        f"facebook/xnli@b8dd5d7af511: sw/test-{SHARD} is not here, and HF_HUB_OFFLINE is set. {command}"
    )
    assert len(fresh.requests) == asked


def test_an_interrupted_prepare_goes_on_where_it_was(fresh: Hub) -> None:
    def interrupt(stage: str, done: int, total: int) -> None:
        if stage == "tokenise fr/test":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        xnli.prepare(ROW, interrupt)
    data = fresh.root.with_name("data") / "xnli/facebook--xnli"
    written = {path: path.stat().st_mtime_ns for path in data.glob("*/*/manifest.json")}
    assert len(written) == 2 + 6  # English training and validation; tests up to Spanish
    assert not (data / "fr" / "test").exists()
    assert not list(data.glob("**/*partial*"))
    asked = len(fresh.downloads())
    xnli.prepare(ROW, silent)
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert fresh.downloads()[asked:] == [f"{language}/test-{SHARD}" for language in LANGUAGES[7:]]


def test_all_sets_are_of_one_commit_where_none_is_named(fresh: Hub) -> None:
    row = changed(ROW, repository=replace(source_of(ROW).repository, revision=None))
    xnli.prepare(row, silent)
    asked = [
        request for request in fresh.requests if request.startswith("GET /api/datasets/") and "/tree/" not in request
    ]
    assert len([request for request in asked if not request.endswith(COMMITS["facebook/xnli"])]) == 1
    assert xnli.task(row, seed=0).revisions["facebook/xnli"] == COMMITS["facebook/xnli"]
