"""M2D2 from archives to perplexities, against tokenisations and likelihoods computed the plain way."""

import math
import multiprocessing
import pickle
import shutil
import tarfile
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import AutoTokenizer

from benchmarks import m2d2
from benchmarks.calibration import Calibration, calibrate, nearest, published_zero_shot
from benchmarks.data import blocks as blocks_module
from benchmarks.data.blocks import Blocks, padded_right, pieces, token_ids, write_blocks
from benchmarks.data.prepared import data_root
from benchmarks.errors import DataError
from benchmarks.evaluation import score
from benchmarks.m2d2 import forward, prepare, sizes, task
from benchmarks.row import Benchmark, PublishedColumn, Recipe
from benchmarks.sources import Joiner, M2D2Source, Repository
from benchmarks.task import silent
from tests.benchmarks.hub_fixtures import (
    END_OF_TEXT,
    M2D2,
    byte_level_tokenizer,
    m2d2_members,
    text,
    write_archive,
    write_gpt2,
    write_m2d2,
)
from tests.hub import Hub

CONFIGS = (("Math", "math_l1"), ("Art", "Art"), ("Gen", "General_referece"), ("Human", "Human_activites"))
SOURCE = M2D2Source(
    Repository("dataset", "machelreid/m2d2"),
    Repository("model", "openai-community/gpt2"),
    CONFIGS,
    trained=("Math",),
    block=32,
    published_tokens=(("Math/train", 2e4), ("Art/test", 1e3)),
)
ROW = Benchmark(
    name="m2d2-s2orc",
    title="",
    family="m2d2",
    task="",
    prepare="",
    recipe=Recipe("Adam", lr=1e-3, steps=2, batch_size=4, schedule="linear", evaluation_batch_size=3),
    metric="perplexity",
    train_domain="Math",
    zero_shot_domains=("Art", "Gen", "Human"),
    published=(PublishedColumn(("table_11_m2d2_s2orc",), "ZS_Avg", "Adam"),),
    published_train=(PublishedColumn(("table_11_m2d2_s2orc",), "Math", "Adam"),),
    source=SOURCE,
    zero_shot_name="GPT-2",
)
SMALL_SOURCE = replace(SOURCE, configs=CONFIGS[:2])
SMALL = replace(ROW, zero_shot_domains=("Art",), source=SMALL_SOURCE)


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repositories")
    write_m2d2(root, [config for _, config in CONFIGS], other_lines=30)
    return root


@pytest.fixture
def served(hub: Hub, repositories: Path) -> Hub:
    shutil.copytree(repositories, hub.root)
    return hub


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return byte_level_tokenizer()


def gpt2_tokenizer(hub: Hub) -> Any:
    """The tokenizer as transformers has it."""
    return AutoTokenizer.from_pretrained(hub.folder("model", "openai-community/gpt2"), local_files_only=True)


def rows_of(hub: Hub, config: str, member: str) -> list[str]:
    """The split as the data set's script would give it."""
    with tarfile.open(hub.folder("dataset", "machelreid/m2d2") / "data" / f"{config}.tar.gz") as archive:
        content = archive.extractfile(f"{config}/{member}")
        assert content is not None
        return [line.strip() for line in content.read().decode(errors="replace").removesuffix("\n").split("\n")]


def plainly(tokenizer: Any, rows: list[str], joiner: Joiner) -> list[int]:
    if joiner == "newline":
        return list(tokenizer("\n".join(rows))["input_ids"])
    ids: list[int] = []
    for number, row in enumerate(rows):
        if joiner == "eos" and number:
            ids.append(tokenizer.convert_tokens_to_ids(END_OF_TEXT))
        ids += tokenizer(row)["input_ids"]
    return ids


def all_of(blocks: Any) -> list[Tensor]:
    return list(blocks)


def same(blocks: Any, ids: list[int], block: int) -> bool:
    """Whether blocks are the tokens in order; a single one at the end is no block."""
    wanted = [ids[start : start + block] for start in range(0, len(ids), block)]
    return [found.tolist() for found in blocks] == [tokens for tokens in wanted if len(tokens) > 1]


# ---------------------------------------------------------------------------------------------------------- as prepared


@pytest.mark.parametrize("joiner", ["newline", "eos", "none"])
def test_every_split_is_its_own_file_tokenised_plainly(served: Hub, joiner: Joiner) -> None:
    row = replace(ROW, source=replace(SOURCE, joiner=joiner))
    prepare(row, silent)
    made = task(row, seed=0)
    tokenizer, block = gpt2_tokenizer(served), SOURCE.block
    for domain, config in CONFIGS:
        assert same(made.test[domain], plainly(tokenizer, rows_of(served, config, "test.txt"), joiner), block)
    assert same(made.validation, plainly(tokenizer, rows_of(served, "math_l1", "valid.txt"), joiner), block)
    train = plainly(tokenizer, rows_of(served, "math_l1", "train.txt"), joiner)
    assert len(train) % block
    assert same(made.train, train[: len(train) - len(train) % block], block)
    assert list(made.test) == list(ROW.domains)


def test_no_split_has_a_line_of_another(served: Hub) -> None:
    prepare(ROW, silent)
    made = task(ROW, seed=0)
    tokenizer = gpt2_tokenizer(served)

    def words(blocks: Any) -> str:
        return str(tokenizer.decode(torch.cat(list(blocks))))

    assert "math_l1 train" in words(made.train)
    assert "math_l1 test" not in words(made.train)
    assert "math_l1 validation" not in words(made.train)
    assert "math_l1 validation" in words(made.validation)
    assert "train" not in words(made.validation) + words(made.test["Math"])


def test_what_is_made_is_told(served: Hub) -> None:
    stages: list[str] = []
    prepare(SMALL, lambda stage, done, total: stages.append(stage))
    assert list(dict.fromkeys(stages)) == [
        "download openai-community/gpt2",
        "download machelreid/m2d2",
        "tokenise math_l1/train",
        "tokenise math_l1/validation",
        "tokenise math_l1/test",
        "tokenise Art/test",
    ]
    found = {size.name: size for size in sizes(SMALL)}
    assert list(found) == ["Math/train", "Math/validation", "Math/test", "Art/test"]
    ids = plainly(gpt2_tokenizer(served), rows_of(served, "math_l1", "train.txt"), "newline")
    train, test = found["Math/train"], found["Art/test"]
    assert (train.lines, train.tokens, train.blocks) == (400, len(ids), len(ids) // 32)
    assert train.ratio == len(ids) / 2e4
    assert test.blocks == -(-test.tokens // 32)
    assert found["Math/test"].ratio is None


def test_a_second_time_nothing_is_asked_and_nothing_made(served: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(SMALL, silent)
    served.requests.clear()
    monkeypatch.setattr(m2d2, "_tokenised", lambda *all: pytest.fail("tokenised again"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    shutil.rmtree(data_root() / "hub")
    prepare(SMALL, silent)
    task(SMALL, seed=0)
    assert served.requests == []


def test_an_interrupted_preparation_goes_on_where_it_was(served: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    tokenised = m2d2._tokenised

    def counting(part: m2d2.Part, *rest: Any) -> Any:
        if part.config == "Art" and "Art/test" not in made:
            made.append("Art/test")
            raise KeyboardInterrupt
        made.append(str(part))
        return tokenised(part, *rest)

    monkeypatch.setattr(m2d2, "_tokenised", counting)
    with pytest.raises(KeyboardInterrupt):
        prepare(SMALL, silent)
    prepare(SMALL, silent)
    assert made == ["math_l1/train", "math_l1/validation", "math_l1/test", "Art/test", "Art/test"]


def test_the_script_of_the_repository_is_not_even_fetched(served: Hub) -> None:
    prepare(SMALL, silent)
    assert sorted(served.downloads()) == [
        "config.json",
        "data/Art.tar.gz",
        "data/math_l1.tar.gz",
        "model.safetensors",
        "tokenizer.json",
    ]


def test_two_rows_share_what_they_have_in_common(served: Hub) -> None:
    prepare(SMALL, silent)
    served.requests.clear()
    other = replace(SMALL, source=replace(SMALL_SOURCE, trained=("Math", "Art")), sequence=("Art",))
    prepare(other, silent)
    assert served.downloads() == []
    made = task(other, seed=0)
    assert list(made.sequence) == ["Art"]
    ids = plainly(gpt2_tokenizer(served), rows_of(served, "Art", "train.txt"), "newline")
    assert same(made.sequence["Art"], ids[: len(ids) - len(ids) % 32], 32)


def test_revisions_name_commits_joiner_and_checksums(served: Hub) -> None:
    prepare(SMALL, silent)
    first = task(SMALL, seed=0).revisions
    assert first["machelreid/m2d2"] == served.commit("dataset", "machelreid/m2d2")
    assert first["openai-community/gpt2"] == served.commit("model", "openai-community/gpt2")
    assert first["joiner"] == "newline"
    other = replace(SMALL, source=replace(SMALL_SOURCE, joiner="eos"))
    prepare(other, silent)
    second = task(other, seed=0).revisions
    assert {name for name in first if first[name] != second[name]} == {"joiner", "blocks sha256"}


# ------------------------------------------------------------------------------------------------------------ streaming

LETTERS = st.sampled_from(
    [*"ab1.,'’é数", " ", "  ", "\t", "\x0b", "\x1c", "\u00a0", "\u2003", "\u3000", END_OF_TEXT, "'s"]
)
ROWS = st.lists(st.lists(LETTERS, max_size=6).map("".join).map(str.strip), max_size=12)


@settings(max_examples=400, deadline=None)
@given(rows=ROWS, size=st.integers(1, 12), held=st.integers(1, 30))
def test_streaming_lines_gives_the_tokens_of_the_one_string(
    tokenizer: Tokenizer, rows: list[str], size: int, held: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks_module, "_PIECE_CHARACTERS", size)
        patch.setattr(blocks_module, "_PIECES_AT_ONCE_CHARACTERS", held)
        streamed = token_ids(tokenizer, pieces(iter(rows), "newline", (END_OF_TEXT,), ""), (), np.dtype(np.uint16))
        ids = [int(token) for array in streamed for token in array]
    assert ids == tokenizer.encode("\n".join(rows), add_special_tokens=False).ids


def test_pieces_are_short_and_are_the_one_string(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks_module, "_PIECE_CHARACTERS", 10)
    found = list(pieces(["12345", "", "6789", "", "", "ab", "c"], "newline", (), ""))
    assert found == ["12345\n\n6789\n\n", "\nab\nc"]
    assert list(pieces(["a", "", "b"], "eos", (), "")) == ["a", "", "b"]


def test_a_piece_that_does_not_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks_module, "_LONGEST_PIECE", 20)
    monkeypatch.setattr(blocks_module, "_PIECE_CHARACTERS", 5)
    assert len(list(pieces(["a" * 10] * 9, "newline", (), ""))) == 9
    with pytest.raises(DataError) as caught:
        list(pieces(["a", *[""] * 30], "newline", (), "Art"))
    assert str(caught.value) == (
        "Art: more than 20 characters before the end of line 21 cannot be parted. Use another joiner."
    )


def test_a_long_text_takes_no_more_memory_than_a_short_one(tokenizer: Tokenizer, tmp_path: Path) -> None:
    line = text("a", 2).decode().split("\n")[0]

    def peak(lines: int) -> int:
        rows: Iterator[str] = (line for _ in range(lines))
        tracemalloc.start()
        try:
            arrays = token_ids(tokenizer, pieces(rows, "newline", (), ""), (), np.dtype(np.uint16))
            write_blocks(arrays, 64, True, np.dtype(np.uint16), tmp_path / f"{lines}")
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks_module, "_PIECES_AT_ONCE_CHARACTERS", 2**16)
        patch.setattr(blocks_module, "_BLOCKS_AT_ONCE", 16)
        patch.setattr(blocks_module, "_PIECE_CHARACTERS", 2**10)
        short, long = peak(5_000), peak(20_000)
    assert long < 1.2 * short


# --------------------------------------------------------------------------------------------------------------- blocks


@pytest.mark.parametrize("at_once", [1, 2, 1024])
@pytest.mark.parametrize(
    ("tokens", "kept", "dropped"), [(0, 0, 0), (1, 0, 0), (2, 1, 0), (8, 2, 2), (9, 2, 2), (11, 3, 2)]
)
def test_blocks_are_the_tokens_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int, tokens: int, kept: int, dropped: int
) -> None:
    """A single token is no block: it predicts nothing."""
    monkeypatch.setattr(blocks_module, "_BLOCKS_AT_ONCE", at_once)
    ids = np.arange(100, 100 + tokens, dtype=np.uint16)
    for keep, blocks in ((True, kept), (False, dropped)):
        path = tmp_path / f"{keep}"
        assert write_blocks(np.array_split(ids, 3), 4, keep, ids.dtype, path) == {"tokens": tokens, "blocks": blocks}
        read = [Blocks(path)[index].tolist() for index in range(blocks)]
        assert read == [ids[start : start + 4].tolist() for start in range(0, tokens, 4)][:blocks]
        assert len(Blocks(path)) == blocks
        with pytest.raises(IndexError):
            Blocks(path)[blocks]


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
def test_blocks_are_stored_small_and_read_as_64_bit(tmp_path: Path, dtype: Any) -> None:
    largest = np.iinfo(dtype).max
    write_blocks([np.array([0, largest], dtype)], 2, False, np.dtype(dtype), tmp_path / "blocks")
    with pa.memory_map(str(tmp_path / "blocks")) as file:
        assert pa.ipc.open_stream(file).schema.field("input_ids").type == pa.list_(pa.from_numpy_dtype(dtype))
    block = Blocks(tmp_path / "blocks")[0]
    assert block.dtype == torch.int64
    assert block.tolist() == [0, int(largest)]


def test_blocks_are_mapped_not_read(tmp_path: Path) -> None:
    write_blocks([np.zeros(2**22, np.uint16)], 1024, False, np.dtype(np.uint16), tmp_path / "blocks")
    before = pa.total_allocated_bytes()
    blocks = Blocks(tmp_path / "blocks")
    assert len(blocks) == 4096
    assert pa.total_allocated_bytes() - before < 2**16
    assert len(pickle.dumps(blocks)) < 1000
    assert torch.equal(pickle.loads(pickle.dumps(blocks))[4095], blocks[4095])


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_loader_processes_read_the_same_blocks(tmp_path: Path, start: str) -> None:
    write_blocks([np.arange(30, dtype=np.uint16)], 4, True, np.dtype(np.uint16), tmp_path / "blocks")
    blocks = Blocks(tmp_path / "blocks")
    context = multiprocessing.get_context(start)
    loader = DataLoader(blocks, batch_size=3, num_workers=1, collate_fn=padded_right, multiprocessing_context=context)
    alone = DataLoader(blocks, batch_size=3, collate_fn=padded_right)
    for batch, expected in zip(loader, alone, strict=True):
        assert batch.keys() == expected.keys()
        assert all(torch.equal(batch[name], expected[name]) for name in batch)


# -------------------------------------------------------------------------------------------------------------- forward


@pytest.fixture
def model(tmp_path: Path) -> Any:
    write_gpt2(tmp_path / "model")
    return m2d2.pretrained_model(tmp_path / "model").eval()


def plain_nll(model: Any, block: Tensor) -> Tensor:
    """Of each token but the first, one after the other."""
    return torch.stack(
        [-F.log_softmax(model(block[None, :end]).logits[0, -1], -1)[block[end]] for end in range(1, len(block))]
    )


@torch.no_grad()
def test_loss_and_logits_are_those_of_the_tokens_that_are_there(model: Any) -> None:
    blocks = [torch.randint(399, (length,), generator=torch.Generator().manual_seed(length)) for length in (9, 4, 2)]
    alone = [plain_nll(model, block) for block in blocks]
    loss, logits, mask = forward(model, padded_right(blocks))  # type: ignore[misc]
    torch.testing.assert_close(loss, torch.cat(alone).mean())
    assert mask.tolist() == [[place < len(block) - 1 for place in range(8)] for block in blocks]
    assert logits.shape == (3, 8, 400)
    for row, block in zip(logits, blocks, strict=True):
        torch.testing.assert_close(row[: len(block) - 1], model(block[None, :-1]).logits[0], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_whole_blocks_have_no_mask_and_the_same_loss(model: Any) -> None:
    blocks = [torch.randint(399, (6,), generator=torch.Generator().manual_seed(seed)) for seed in range(2)]
    batch = padded_right(blocks)
    assert list(batch) == ["input_ids"]
    loss, logits = forward(model, batch)  # type: ignore[misc]
    torch.testing.assert_close(loss, torch.cat([plain_nll(model, block) for block in blocks]).mean())
    masked, masked_logits, _ = forward(model, batch | {"mask": torch.ones(2, 6, dtype=torch.bool)})  # type: ignore[misc]
    assert torch.equal(loss, masked)
    assert torch.equal(logits, masked_logits)


def test_padding_changes_no_gradient(model: Any) -> None:
    block = torch.randint(399, (5,), generator=torch.Generator().manual_seed(0))

    def gradient(batch: dict[str, Tensor]) -> Tensor:
        model.zero_grad()
        forward(model, batch)[0].backward()
        return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])

    padded = {"input_ids": F.pad(block, (0, 3), value=7)[None], "mask": (torch.arange(8) < 5)[None]}
    torch.testing.assert_close(gradient(padded), gradient({"input_ids": block[None]}))


def test_a_test_split_is_scored_whole_with_its_last_short_block(served: Hub) -> None:
    prepare(SMALL, silent)
    made = task(SMALL, seed=0)
    assert made.model.training
    assert made.input_module is made.model.get_input_embeddings()  # type: ignore[operator]
    assert next(made.model.parameters()).dtype == torch.float32
    stored = load_file(served.folder("model", "openai-community/gpt2") / "model.safetensors")
    assert torch.equal(made.model.state_dict()["transformer.wte.weight"], stored["transformer.wte.weight"])
    blocks = all_of(made.test["Art"])
    assert len(blocks[-1]) < 32
    made.model.eval()
    with torch.no_grad():
        nll = torch.cat([plain_nll(made.model, block) for block in blocks])
    assert len(nll) == sum(map(len, blocks)) - len(blocks)
    assert score(made, made.test["Art"], 3).nll == pytest.approx(nll.double().mean().item(), rel=1e-6)


# ------------------------------------------------------------------------------------------------------------ calibrate


def test_calibration_scores_each_joiner_beside_the_paper(served: Hub) -> None:
    found = calibrate(SMALL)
    assert [(one.joiner, one.domain) for one in found] == [
        (joiner, domain) for joiner in ("newline", "eos", "none") for domain in ("Math", "Art")
    ]
    assert [one.published for one in found] == [27.6, 35.8] * 3
    for one in found:
        row = replace(SMALL, source=replace(SMALL_SOURCE, joiner=one.joiner, trained=()))
        made = task(row, seed=0)
        made.model.eval()
        with torch.no_grad():
            nll = torch.cat([plain_nll(made.model, block) for block in all_of(made.test[one.domain])])
        assert one.perplexity == pytest.approx(math.exp(nll.mean()), rel=1e-4)
    assert not list((data_root() / "m2d2" / "math_l1").glob("train*"))


def test_the_nearest_joiner_is_nearest_on_average_and_by_ratio() -> None:
    found = [
        Calibration("newline", "Math", 20.0, 10.0),
        Calibration("newline", "Art", 10.0, 10.0),
        Calibration("eos", "Math", 7.0, 10.0),
        Calibration("eos", "Art", 9.0, 10.0),
        Calibration("none", "Math", 5.0, 10.0),
        Calibration("none", "Gen", 10.0, None),
    ]
    assert nearest(found) == "eos"
    assert nearest(found[:2]) == "newline"
    assert nearest(found[5:]) is None


def test_published_zero_shot_perplexities_are_those_of_the_row() -> None:
    assert published_zero_shot(ROW) == {"Math": 27.6, "Art": 35.8}
    wiki = replace(
        ROW,
        train_domain="Soc",
        zero_shot_domains=("Gen", "Human"),
        published=(PublishedColumn(("table_11_m2d2_wiki",), "ZS_Avg", "Adam"),),
        published_train=(),
    )
    assert published_zero_shot(wiki) == {"Soc": 27.2, "Gen": 27.8, "Human": 28.8}
    large = replace(ROW, published=(), published_train=(PublishedColumn(("table_10_m2d2_gpt2xl",), "Math", "Adam"),))
    assert published_zero_shot(replace(large, zero_shot_name="GPT2-XL"))["Math"] == 16.9
    assert published_zero_shot(replace(large, zero_shot_name=None)) == {}


# ------------------------------------------------------------------------------------------------------------ bad input


def rewritten(hub: Hub, members: dict[str, bytes]) -> None:
    write_archive(hub.root / M2D2 / "data" / "Art.tar.gz", members)


def empty(hub: Hub) -> None:
    rewritten(hub, m2d2_members("Art", 5, 5) | {"Art/test.txt": b"\n \n\n"})


def lacking(hub: Hub) -> None:
    rewritten(hub, {"Art/train.txt": b"a\n"})


def cut(hub: Hub) -> None:
    archive = hub.root / M2D2 / "data" / "Art.tar.gz"
    archive.write_bytes(archive.read_bytes()[:500])


def outside(hub: Hub) -> None:
    rewritten(hub, {"../test.txt": b"a\n"})


def absent(hub: Hub) -> None:
    (hub.root / M2D2 / "data" / "Art.tar.gz").rename(hub.root / M2D2 / "data" / "Arts.tar.gz")


def smaller_embedding(hub: Hub) -> None:
    config = hub.folder("model", "openai-community/gpt2") / "config.json"
    config.write_text(config.read_text().replace('"vocab_size": 400', '"vocab_size": 399'))


def other_tokenizer(hub: Hub) -> None:
    """One that takes line breaks for white space."""
    words = Tokenizer(models.WordLevel({"?": 0, "a": 1}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    words.save(str(hub.folder("model", "openai-community/gpt2") / "tokenizer.json"))


def no_positions(hub: Hub) -> None:
    config = hub.folder("model", "openai-community/gpt2") / "config.json"
    config.write_text(config.read_text().replace("n_positions", "positions"))


def no_weights(hub: Hub) -> None:
    folder = hub.folder("model", "openai-community/gpt2")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def nothing(hub: Hub) -> None:
    pass


LONG = replace(SMALL, source=replace(SMALL_SOURCE, block=65))
EOS = replace(SMALL, source=replace(SMALL_SOURCE, joiner="eos"))
ARCHIVE = "{hub}/data/Art.tar.gz"
BAD: dict[str, tuple[Benchmark, Callable[[Hub], None], str]] = {
    "empty domain": (
        SMALL,
        empty,
        f"{ARCHIVE}: test.txt is empty. Correct the config in the benchmark's row, or delete the archive and prepare "
        "again.",
    ),
    "no such member": (
        SMALL,
        lacking,
        f"{ARCHIVE}: there is no test.txt in it, only Art/train.txt. Correct the config in the benchmark's row, or "
        "delete the archive and prepare again.",
    ),
    "truncated archive": (
        SMALL,
        cut,
        f"{ARCHIVE}: is cut or damaged where test.txt is read. Delete it and prepare again: it is fetched anew.",
    ),
    "a path outside its folder": (
        SMALL,
        outside,
        f"{ARCHIVE}: ../test.txt is outside its folder. Do not use it: delete it and name another repository or "
        "revision.",
    ),
    "no such config": (
        SMALL,
        absent,
        "machelreid/m2d2@{commit}: no file matches data/Art.tar.gz; the nearest are data/Arts.tar.gz, "
        "data/math_l1.tar.gz, data/Human_activites.tar.gz. Correct the name in the benchmark's row.",
    ),
    "a tokenizer of another model": (
        SMALL,
        smaller_embedding,
        "openai-community/gpt2: its tokenizer knows 400 tokens, its embedding 399. Name a repository whose tokenizer "
        "belongs to its model.",
    ),
    "a tokenizer that does not part lines": (
        SMALL,
        other_tokenizer,
        "openai-community/gpt2: its tokenizer does not part texts at line breaks. Use another joiner.",
    ),
    "a block longer than the model": (
        LONG,
        nothing,
        "openai-community/gpt2: has 64 positions, fewer than the 65 tokens of a block. Lower block in the benchmark's "
        "row.",
    ),
    "a model without positions": (
        SMALL,
        no_positions,
        "openai-community/gpt2: its config.json names no number of positions. Name a GPT-2.",
    ),
    "weights that are not safetensors": (
        SMALL,
        no_weights,
        "openai-community/gpt2: no file matches model.safetensors; the nearest are pytorch_model.bin, "
        "tokenizer.json. Correct the name in the benchmark's row.",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_said_in_one_line(served: Hub, what: str) -> None:
    row, spoil, message = BAD[what]
    spoil(served)
    commit = served.commit("dataset", "machelreid/m2d2")
    with pytest.raises(DataError) as caught:
        prepare(row, silent)
    folder = data_root() / "hub" / "datasets" / "machelreid" / "m2d2" / commit
    assert str(caught.value) == message.format(hub=folder, commit=commit[:12])


def test_bad_input_leaves_what_is_prepared_intact(served: Hub) -> None:
    good = replace(SMALL, zero_shot_domains=(), source=replace(SMALL_SOURCE, configs=CONFIGS[:1]))
    prepare(good, silent)
    before = task(good, seed=0).revisions
    empty(served)
    pinned = replace(SMALL_SOURCE, repository=replace(SOURCE.repository, revision=before["machelreid/m2d2"]))
    served.commits["machelreid/m2d2"] = before["machelreid/m2d2"]
    shutil.rmtree(data_root() / "hub" / "datasets")
    with pytest.raises(DataError, match="is empty"):
        prepare(SMALL, silent)
    assert task(good, seed=0).revisions == before
    assert not list((data_root() / "m2d2" / "Art").glob("*[!k]"))
    with pytest.raises(DataError, match=r"was made from revision None, not '.*'\. Delete this folder"):
        prepare(replace(SMALL, source=pinned), silent)


def test_too_few_blocks_for_a_batch(served: Hub) -> None:
    row = replace(SMALL, recipe=replace(SMALL.recipe, batch_size=10_000))
    prepare(row, silent)
    blocks = sizes(row)[0].blocks
    with pytest.raises(DataError) as caught:
        task(row, seed=0)
    assert str(caught.value) == (
        f"m2d2-s2orc: the training split of Math has {blocks} blocks, fewer than the 10000 of a batch. Lower "
        "batch_size or block in the benchmark's row."
    )


def test_what_is_missing_is_named_before_the_hub_is_asked(served: Hub) -> None:
    command = f"Type `python -m benchmarks prepare m2d2-s2orc --data {data_root()}` where there is a network."
    with pytest.raises(DataError) as caught:
        task(SMALL, seed=0)
    assert str(caught.value) == f"{data_root()}/models/openai-community--gpt2: is not prepared. {command}"
    prepare(SMALL, silent)
    (part,) = (data_root() / "m2d2" / "Art").glob("test-newline-32-????????")
    shutil.rmtree(part)
    served.requests.clear()
    with pytest.raises(DataError) as caught:
        task(SMALL, seed=0)
    assert str(caught.value) == f"{part}: is not prepared. {command}"
    assert served.requests == []


def test_without_a_network_the_command_is_named(served: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DataError) as caught:
        prepare(SMALL, silent)
    assert str(caught.value) == (
        "openai-community/gpt2: the list of its files is not here, and HF_HUB_OFFLINE is set. Type "
        f"`python -m benchmarks prepare m2d2-s2orc --data {data_root()}` where there is a network."
    )


def test_commits_are_not_mixed(served: Hub) -> None:
    """Where no revision is named, all parts of a row are of the commit that was newest at the first."""
    prepare(replace(SMALL, source=replace(SMALL_SOURCE, configs=CONFIGS[1:2], trained=())), silent)
    old = served.commit("dataset", "machelreid/m2d2")
    served.commits["machelreid/m2d2"] = "f" * 40
    with pytest.raises(DataError) as caught:
        prepare(SMALL, silent)
    (part,) = (data_root() / "m2d2" / "Art").glob("test-newline-32-????????")
    assert str(caught.value) == (
        f"{part}: was made from commit {old[:12]}, and what else m2d2-s2orc needs from {'f' * 40}. Delete this folder "
        "and prepare it again."
    )


def test_damaged_weights_are_refused(served: Hub) -> None:
    prepare(SMALL, silent)
    weights = data_root() / "models" / "openai-community--gpt2" / "model.safetensors"
    stored = load_file(weights)
    weights.unlink()
    save_file({"transformer.wte.weight": stored["transformer.wte.weight"]}, weights)
    with pytest.raises(DataError, match=r"model\.safetensors has .* bytes, not .*\. Delete this folder"):
        task(SMALL, seed=0)
