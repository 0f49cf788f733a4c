"""The paper's vision rows, on images and models in the hub's layout that are small enough for a test."""

import json
import math
import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from scipy.ndimage import gaussian_filter
from torch.utils.data import DataLoader

from benchmarks import vision
from benchmarks.data.image_shifts import NAMES, shifted
from benchmarks.errors import DataError
from benchmarks.paper_rows import ROWS
from benchmarks.row import Benchmark
from benchmarks.sources import VisionSource
from benchmarks.task import Batch, Task, silent
from benchmarks.vision import Preprocessing, ScoredImages, TrainImages
from tests.benchmarks.hub_fixtures_vision import encoded, photo, small, write_split, write_vision
from tests.hub import Hub, point_to
from tram import TRAM

SOURCES = {row.name: row.source for row in ROWS if isinstance(row.source, VisionSource)}
ROWS_BY_NAME = {row.name: replace(row, source=small(SOURCES[row.name])) for row in ROWS if row.name in SOURCES}
CIFAR, CARS, FLOWERS = (ROWS_BY_NAME[f"vision-{name}"] for name in ("cifar100", "cars", "flowers"))
MODELS = ("vision-cifar100", "vision-cars-resnet50", "vision-flowers-convnext_tiny")
"""One row for each data set and each architecture."""
COMMITS = {
    repository.name: repository.revision
    for source in SOURCES.values()
    for repository in (source.repository, source.model)
    if repository.revision is not None
}
SIDE = 160
DIFFERENT_REPOSITORY = "Correct the column or the repository in the benchmark's row."


def source_of(row: Benchmark) -> VisionSource:
    assert isinstance(row.source, VisionSource)
    return row.source


def changed(row: Benchmark, **fields: Any) -> Benchmark:
    return replace(row, source=replace(source_of(row), **fields))


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub with everything that the rows need, all of it prepared."""
    folder = tmp_path_factory.mktemp("vision")
    for row in ROWS_BY_NAME.values():
        write_vision(folder / "hub", source_of(row))
    with Hub(folder / "hub", commits=COMMITS) as served, pytest.MonkeyPatch.context() as patch:
        point_to(served, folder / "data", patch)
        for row in ROWS_BY_NAME.values():
            vision.prepare(row, silent)
        yield served


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub of the test's own, with CIFAR-100 and a ViT, of which nothing is prepared."""
    write_vision(tmp_path / "hub", source_of(CIFAR))
    with Hub(tmp_path / "hub", commits=COMMITS) as served:
        point_to(served, tmp_path / "data", monkeypatch)
        monkeypatch.setattr(vision, "_ROWS", 10)
        yield served


def loaded(task: Task, items: list[list[int]], workers: int = 0) -> list[Batch]:
    loader = DataLoader(
        task.train, batch_sampler=items, collate_fn=task.collate, num_workers=workers, generator=torch.Generator()
    )
    return list(loader)


def same(first: Batch, second: Batch) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def on_the_hub(hub: Hub, row: Benchmark, split: str) -> list[dict[str, Any]]:
    """The examples of a split, read from the hub's own files."""
    files = sorted(hub.folder("dataset", source_of(row).repository.name).glob(dict(source_of(row).files)[split]))
    return [example for file in files for example in pq.read_table(file).to_pylist()]


# ------------------------------------------------------------------------------------------------------------- the rows


@pytest.mark.parametrize("name", ROWS_BY_NAME)
def test_a_row_of_the_paper_trains_its_model_on_its_images(hub: Hub, name: str) -> None:
    row = ROWS_BY_NAME[name]
    source = source_of(row)
    task = vision.task(row, seed=0)
    assert list(task.test) == [row.train_domain, "noise", "blur", "affine", "occlusion"]
    assert (task.validation, task.augmented) == (None, True)
    assert len(cast(Any, task.train)) == sum(size for _, size in source.train)
    assert {len(cast(Any, test)) for test in task.test.values()} == {source.test[1]}
    assert type(task.model) is type(timm.create_model(SOURCES[name].architecture))
    assert all(module.training for module in task.model.modules())
    [batch] = loaded(task, [[0, 1, 2]])
    assert batch["images"].shape == (3, 3, SIDE, SIDE)
    assert batch["images"].dtype == torch.float32
    loss, logits = task.forward(task.model, batch)[:2]
    assert logits.shape == (3, source.classes)
    chances = logits.softmax(1)[torch.arange(3), batch["labels"]]
    torch.testing.assert_close(loss, -chances.log().mean())


@pytest.mark.parametrize("name", ROWS_BY_NAME)
def test_revisions_name_the_commits_and_the_content(hub: Hub, name: str) -> None:
    source = source_of(ROWS_BY_NAME[name])
    revisions = dict(vision.task(ROWS_BY_NAME[name], seed=0).revisions)
    assert revisions.pop(source.model.name) == hub.commit("model", source.model.name)
    assert revisions.pop(source.repository.name) == hub.commit("dataset", source.repository.name)
    assert revisions.keys() == {"weights sha256", "images sha256"}
    assert all(len(digest) == 16 for digest in revisions.values())


def test_only_what_a_run_reads_is_downloaded(hub: Hub) -> None:
    downloads = hub.downloads()
    assert len(downloads) == len(set(ROWS_BY_NAME)) // 3 * 2 + 2 + 2 + 3
    assert not [name for name in downloads if name.endswith(".bin") or "gaussian_noise" in name]


@pytest.mark.parametrize("name", ROWS_BY_NAME)
def test_what_is_prepared_is_not_prepared_again(hub: Hub, name: str) -> None:
    asked = len(hub.requests)
    vision.prepare(ROWS_BY_NAME[name], silent)
    vision.task(ROWS_BY_NAME[name], seed=0)
    assert len(hub.requests) == asked


def test_labels_are_the_hubs_and_splits_are_joined_in_order(hub: Hub) -> None:
    task = vision.task(FLOWERS, seed=0)
    joined = [*on_the_hub(hub, FLOWERS, "train"), *on_the_hub(hub, FLOWERS, "validation")]
    assert [int(cast(Any, task.train)[item]["labels"]) for item in range(48)] == [row["label"] for row in joined]
    tested = [row["label"] for row in on_the_hub(hub, FLOWERS, "test")]
    for examples in task.test.values():
        assert [int(cast(Any, examples)[index]["labels"]) for index in range(10)] == tested


def test_shards_of_a_split_are_joined_in_order(fresh: Hub) -> None:
    folder = fresh.folder("dataset", "uoft-cs/cifar100") / "cifar100"
    (folder / "train-00000-of-00001.parquet").unlink()
    labels = [number % 5 for number in range(24)]
    write_split(folder.parent, "cifar100/train-*.parquet", labels, source_of(CIFAR), 3, np.random.default_rng(0))
    assert len(list(folder.glob("train-*"))) == 3
    vision.prepare(CIFAR, silent)
    task = vision.task(CIFAR, seed=0)
    assert [int(cast(Any, task.train)[item]["labels"]) for item in range(24)] == labels


# ------------------------------------------------------------------------------------------------------------ the model


@pytest.mark.parametrize("name", MODELS)
def test_all_weights_but_the_heads_are_the_hubs(hub: Hub, name: str) -> None:
    row = ROWS_BY_NAME[name]
    weights = load_file(hub.folder("model", source_of(row).model.name) / "model.safetensors")
    state = vision.task(row, seed=0).model.state_dict()
    assert state.keys() == weights.keys()
    drawn = [name for name in state if state[name].shape != weights[name].shape]
    assert [name.rsplit(".", 1)[-1] for name in drawn] == ["weight", "bias"]
    assert all(torch.equal(state[name], weights[name]) for name in state.keys() - set(drawn))


@pytest.mark.parametrize("name", MODELS)
def test_the_head_and_nothing_else_depends_on_the_seed(hub: Hub, name: str) -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first, again, other = (vision.task(ROWS_BY_NAME[name], seed).model.state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    different = {name for name in first if not torch.equal(first[name], other[name])}
    [head] = {name.removesuffix(".weight") for name in different if name.endswith(".weight")}
    assert head in ("head", "fc", "head.fc")
    assert different <= {f"{head}.weight", f"{head}.bias"}


def test_a_head_for_as_many_classes_is_not_kept(hub: Hub) -> None:
    source = replace(source_of(CIFAR), classes=1000)
    folder = hub.folder("model", source.model.name)
    weights = load_file(folder / "model.safetensors")
    model = vision.new_model(folder, source, seed=1)
    head = model.get_parameter("head.weight")
    assert head.shape == weights["head.weight"].shape
    assert (head - weights["head.weight"]).abs().mean() > 0.01


@pytest.mark.parametrize(
    ("name", "module"),
    [("vision-cifar100", "patch_embed"), ("vision-cars-resnet50", "conv1"), ("vision-cars-convnext_tiny", "stem")],
)
def test_noise_goes_to_the_first_layer(hub: Hub, name: str, module: str) -> None:
    task = vision.task(ROWS_BY_NAME[name], seed=0)
    assert task.input_module is task.model.get_submodule(module)
    seen = []
    assert task.input_module is not None
    task.input_module.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    [batch] = loaded(task, [[0, 1]])
    task.forward(task.model, batch)
    assert len(seen) == 1
    assert torch.equal(seen[0], batch["images"])


@pytest.mark.parametrize("name", MODELS)
def test_noise_can_go_to_the_standardised_pixels(hub: Hub, name: str) -> None:
    plain = vision.task(ROWS_BY_NAME[name], seed=0)
    task = vision.task(changed(ROWS_BY_NAME[name], noise_site="pixels"), seed=0)
    assert task.input_module is not None
    passed = []
    task.input_module.register_forward_hook(lambda *_: passed.append(_[2]))
    [batch] = loaded(task, [[0, 1]])
    loss, logits = task.forward(task.model, batch)[:2]
    assert len(passed) == 1
    assert torch.equal(passed[0], batch["images"])
    expected_loss, expected = plain.forward(plain.model, batch)[:2]
    assert torch.equal(logits, expected)
    assert torch.equal(loss, expected_loss)
    task.input_module.register_forward_hook(lambda module, args, output: output + 1)
    shifted_batch = {**batch, "images": batch["images"] + 1}
    torch.testing.assert_close(task.forward(task.model, batch)[1], plain.forward(plain.model, shifted_batch)[1])


@pytest.mark.parametrize("site", ["patch_embed", "pixels"])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("method", ["SAM", "TRAM-prev", "TRAM-x", "TRAM-Fisher", "MESA"])
def test_every_kind_of_method_takes_a_step(hub: Hub, name: str, method: str, site: str) -> None:
    task = vision.task(changed(ROWS_BY_NAME[name], noise_site=site), seed=0)
    tram = TRAM(task.model, method, input_module=task.input_module, seed=0)
    optimizer = torch.optim.SGD(task.model.parameters(), lr=0.1)
    for batch in loaded(task, [[0, 1, 2, 3], [4, 5, 6, 7]]):
        weights = [param.clone() for param in task.model.parameters()]
        loss = tram.backward(lambda batch: task.forward(task.model, batch), batch)
        assert all(torch.equal(*pair) for pair in zip(weights, task.model.parameters(), strict=True))
        assert all(param.grad is not None and param.grad.isfinite().all() for param in task.model.parameters())
        assert any(param.grad.any() for param in task.model.parameters() if param.grad is not None)
        assert loss.isfinite()
        optimizer.step()
        optimizer.zero_grad()
    if method not in ("SAM", "TRAM-Fisher"):
        assert tram.distance is not None
        assert tram.distance > 0


# ----------------------------------------------------------------------------------------------------------- the images


ORDER = [[5, 3, 17], [24 + 5, 24 + 3, 0], [48 + 5, 1, 2], [47, 48, 23]]
"""Items of three epochs of 24 examples, in no order."""


def test_batches_do_not_depend_on_workers(hub: Hub) -> None:
    alone, one, two = (loaded(vision.task(CIFAR, seed=0), ORDER, workers) for workers in (0, 1, 2))
    assert len(alone) == len(ORDER)
    for batch, of_one, of_two in zip(alone, one, two, strict=True):
        assert same(batch, of_one)
        assert same(batch, of_two)


def test_an_item_is_a_function_of_itself_and_the_seed(hub: Hub) -> None:
    train = cast(Any, vision.task(CIFAR, seed=0).train)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = [train[item]["images"] for item in (5, 29, 53)]
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(4)
    again = [train[item]["images"] for item in (53, 29, 5)][::-1]
    assert all(torch.equal(*pair) for pair in zip(first, again, strict=True))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[1], first[2])
    assert not torch.equal(cast(Any, vision.task(CIFAR, seed=1).train)[5]["images"], first[0])


def test_a_worker_is_sent_where_the_images_are_and_not_the_images(hub: Hub) -> None:
    task = vision.task(FLOWERS, seed=0)
    for examples in (task.train, *task.test.values()):
        sent = pickle.dumps(examples)
        assert len(sent) < 10_000
        assert same(pickle.loads(sent)[3], cast(Any, examples)[3])


def test_later_epochs_show_the_same_examples(hub: Hub) -> None:
    train = cast(Any, vision.task(CIFAR, seed=0).train)
    labels = [row["fine_label"] for row in on_the_hub(hub, CIFAR, "train")]
    assert [int(train[item]["labels"]) for item in range(72)] == labels * 3


def coordinates(side: int = 256) -> bytes:
    """An image that tells of every pixel where it is: red is its column, green its row."""
    row, column = np.mgrid[0:side, 0:side]
    return encoded(Image.fromarray(np.stack([column, row, 0 * row], -1).astype(np.uint8)))


def bare(config: dict[str, Any] | None = None) -> Preprocessing:
    """Standardises by nothing: what comes out is the pixels."""
    plain = {"input_size": (3, SIDE, SIDE), "interpolation": "bilinear", "mean": (0, 0, 0), "std": (1, 1, 1)}
    return Preprocessing(plain | {"crop_pct": 1.0, "crop_mode": "center"} | (config or {}))


def test_training_images_are_cut_out_and_mirrored_at_random() -> None:
    rows = [{"image": coordinates(), "label": 0}]
    train = TrainImages(rows, "coordinates", bare(), bare().augmented(), seed=0)
    mirrored, areas, ratios = 0, [], []
    for item in range(200):
        red, green, _ = train[item]["images"] * 255
        mirrored += bool(red[80, -1] < red[80, 0])
        width, height = float(red.max() - red.min()) + 1, float(green[-1, 80] - green[0, 80]) + 1
        areas.append(width * height / 256**2)
        ratios.append(math.log(width / height))
    assert 75 < mirrored < 125  # 100, and 3.5 standard deviations
    assert min(areas) > 0.07
    assert max(areas) > 0.9
    assert np.mean(areas) == pytest.approx(0.5, abs=0.08)  # a little less than the 0.54 of the draw: some do not fit
    assert max(map(abs, ratios)) < math.log(4 / 3) + 0.05
    assert np.std(ratios) == pytest.approx(2 * math.log(4 / 3) / math.sqrt(12), rel=0.2)  # that of a uniform one


@pytest.mark.parametrize("name", MODELS)
def test_training_images_are_standardised_as_the_models_were(hub: Hub, name: str) -> None:
    task = vision.task(ROWS_BY_NAME[name], seed=0)
    of_one_colour = encoded(Image.new("RGB", (50, 40), (200, 100, 50)))
    train = replace(cast(TrainImages, task.train), rows=[{"image": of_one_colour, "label": 0}])
    mean, std = (
        ((0.5,) * 3, (0.5,) * 3) if "cifar" in name else ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )  # timm's for ViT; those of ImageNet
    expected = [(value / 255 - m) / s for value, m, s in zip((200, 100, 50), mean, std, strict=True)]
    for item in range(5):
        pixels = train[item]["images"]
        torch.testing.assert_close(pixels, torch.tensor(expected)[:, None, None].expand_as(pixels))


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (40, 40)])
def test_a_test_image_is_resized_and_its_middle_cut_out(hub: Hub, size: tuple[int, int]) -> None:
    task = vision.task(CIFAR, seed=0)
    picture = photo(0.3, size[1], size[0], np.random.default_rng(0))
    clean = replace(cast(ScoredImages, task.test["CIFAR-100"]), rows=[{"image": encoded(picture), "label": 2}])
    shorter = 168  # 160 / 0.95, the share that test_vit's config.json says is kept
    width, height = (shorter * side // min(size) for side in size)
    left, top = round((width - SIDE) / 2), round((height - SIDE) / 2)
    cut = picture.resize((width, height), Image.Resampling.BICUBIC).crop((left, top, left + SIDE, top + SIDE))
    expected = (torch.from_numpy(np.array(cut)).permute(2, 0, 1) / 255 - 0.5) / 0.5
    torch.testing.assert_close(clean[0]["images"], expected)
    assert clean[0]["labels"] == 2


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1", "LA"])
def test_images_of_any_kind_become_red_green_and_blue(mode: str) -> None:
    kind = "TIFF" if mode in ("CMYK", "LA") else "PNG"
    image = encoded(Image.new("RGB", (30, 30), (255, 255, 255)).convert(mode), kind)
    examples = ScoredImages([{"image": image, "label": 0}], "kinds", bare(), bare().resized())
    torch.testing.assert_close(examples[0]["images"], torch.ones(3, SIDE, SIDE), atol=0.01, rtol=0)


def test_sets_of_test_images_end(hub: Hub) -> None:
    with pytest.raises(IndexError):
        cast(Any, vision.task(CIFAR, seed=0).test["noise"])[10]


# ----------------------------------------------------------------------------------------------------------- the shifts


def picture() -> torch.Tensor:
    image = photo(0.4, 224, 224, np.random.default_rng(1))
    return torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255


def test_the_domains_are_the_shifts() -> None:
    assert all(row.zero_shot_domains == NAMES for row in ROWS_BY_NAME.values())


@pytest.mark.parametrize("name", NAMES)
def test_a_shifted_image_is_a_function_of_its_number(name: str) -> None:
    before = torch.get_rng_state()
    image = picture()
    first, second = shifted(image, name, 0), shifted(image, name, 1)
    torch.manual_seed(9)
    assert torch.equal(shifted(image, name, 0), first)
    assert torch.equal(first, second) is (name == "blur")
    assert not torch.equal(first, image)
    assert first.shape == image.shape
    assert first.min() >= 0
    assert first.max() <= 1
    torch.set_rng_state(before)
    shifted(image, name, 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_noise_is_gaussian_and_independent_in_every_pixel() -> None:
    added = shifted(torch.full((3, 224, 224), 0.5), "noise", 3) - 0.5
    unclamped = added[added.abs() < 0.5]
    assert len(unclamped) / added.numel() == pytest.approx(0.98758, abs=0.002)  # within 2.5 standard deviations
    assert added.mean() == pytest.approx(0, abs=0.002)
    assert added.abs().median() == pytest.approx(0.2 * 0.6745, rel=0.02)
    channels = torch.corrcoef(added.flatten(1))
    assert (channels - torch.eye(3)).abs().max() < 0.02
    assert abs(torch.corrcoef(torch.stack([added[:, :, 1:].flatten(), added[:, :, :-1].flatten()]))[0, 1]) < 0.02


def test_blur_is_a_gaussian_of_four_pixels_in_each_channel() -> None:
    image = picture()
    expected = np.stack([gaussian_filter(channel, 4, mode="mirror", truncate=4) for channel in image.double().numpy()])
    torch.testing.assert_close(shifted(image, "blur", 0), torch.from_numpy(expected).float(), atol=1e-5, rtol=0)


def test_an_affine_map_moves_all_channels_together() -> None:
    row, column = torch.meshgrid(torch.arange(224.0), torch.arange(224.0), indexing="ij")
    image = torch.stack([row / 223, column / 223, torch.ones(224, 224)])
    for index in range(10):
        moved = shifted(image, "affine", index)
        inside = moved[2] == 1
        assert inside.float().mean() > 0.5
        assert (moved[:, moved[2] == 0] == 0).all()
        # Where a pixel comes from is a linear function of where it is: least squares finds it without a rest.
        places = torch.stack([row[inside], column[inside], torch.ones(int(inside.sum()))], 1).double()
        sources = 223 * moved[:2, inside].T.double()
        found = torch.linalg.lstsq(places, sources).solution
        assert (places @ found - sources).abs().max() < 0.01
        turned = found[:2].T
        assert 0.6 < float(turned.det()) < 1.6
        assert (
            float((found[:2].T @ torch.full((2,), 111.5).double() + found[2] - 111.5).abs().max())
            < 0.16 / 2 * 224 + 0.5
        )


def test_occlusion_is_one_grey_square_inside_the_image() -> None:
    image = torch.rand(3, 224, 224, generator=torch.Generator().manual_seed(0)) / 4
    corners = set()
    for index in range(20):
        covered = (shifted(image, "occlusion", index) != image).all(0)
        rows, columns = covered.nonzero().unbind(1)
        assert int(covered.sum()) == 64 * 64
        assert rows.max() - rows.min() == columns.max() - columns.min() == 63
        assert (shifted(image, "occlusion", index)[:, covered] == 0.5).all()
        assert torch.equal(shifted(image, "occlusion", index)[:, ~covered], image[:, ~covered])
        corners.add((int(rows.min()), int(columns.min())))
    assert len(corners) == 20


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("shift", NAMES)
def test_domains_are_shifted_before_they_are_standardised(hub: Hub, name: str, shift: str) -> None:
    task = vision.task(ROWS_BY_NAME[name], seed=0)
    clean, of_shift = (cast(ScoredImages, task.test[domain]) for domain in (ROWS_BY_NAME[name].train_domain, shift))
    mean, std = (torch.tensor(clean.preprocessing.config[field])[:, None, None] for field in ("mean", "std"))
    expected = (shifted(clean[4]["images"] * std + mean, shift, 4) - mean) / std
    torch.testing.assert_close(of_shift[4]["images"], expected, atol=1e-4, rtol=1e-4)
    assert torch.equal(
        cast(Any, vision.task(ROWS_BY_NAME[name], seed=5).test[shift])[4]["images"], of_shift[4]["images"]
    )


# ------------------------------------------------------------------------------------------------------------ bad input


Spoil = Callable[[Hub], None]


def cifar_file(hub: Hub, split: str = "train") -> Path:
    return hub.folder("dataset", "uoft-cs/cifar100") / "cifar100" / f"{split}-00000-of-00001.parquet"


def vit_folder(hub: Hub) -> Path:
    return hub.folder("model", "timm/vit_base_patch16_224.orig_in21k_ft_in1k")


def table(edit: Callable[[pa.Table], pa.Table], split: str = "train") -> Spoil:
    def spoil(hub: Hub) -> None:
        pq.write_table(edit(pq.read_table(cifar_file(hub, split))), cifar_file(hub, split))

    return spoil


def with_column(name: str, change: Callable[[list[Any]], pa.Array]) -> Spoil:
    def edit(rows: pa.Table) -> pa.Table:
        place = rows.schema.get_field_index(name)
        return rows.set_column(place, rows.schema.field(place), change(rows[name].to_pylist()))

    return table(edit)


def with_label(row: int, label: int | None) -> Spoil:
    return with_column("fine_label", lambda labels: pa.array([*labels[:row], label, *labels[row + 1 :]], pa.int64()))


def with_image(row: int, change: Callable[[bytes], bytes | None]) -> Spoil:
    def edit(images: list[Any]) -> pa.Array:
        images[row] = {"bytes": change(images[row]["bytes"]), "path": None}
        return pa.array(images, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))

    return with_column("img", edit)


def of_type(name: str, kind: pa.DataType) -> Spoil:
    def edit(rows: pa.Table) -> pa.Table:
        return rows.set_column(
            rows.schema.get_field_index(name), name, pa.nulls(len(rows), kind)
        ).replace_schema_metadata()

    return table(edit)


def of_classes(count: int) -> Spoil:
    def spoil(hub: Hub) -> None:
        folder = hub.folder("dataset", "uoft-cs/cifar100")
        random = np.random.default_rng(0)
        write_split(folder, "cifar100/train-*.parquet", [0] * 24, source_of(CIFAR), 1, random, classes=count)

    return spoil


def cut_off(hub: Hub) -> None:
    cifar_file(hub).write_bytes(cifar_file(hub).read_bytes()[:-20])


CIFAR_TRAIN = "uoft-cs/cifar100@aadb3af77e90 train"
NO_SUCH_ROWS = "Name a repository or a revision without such rows."
BAD_DATA: dict[str, tuple[Spoil, str]] = {
    "too few": (
        table(lambda rows: rows.slice(1)),
        "holds 23 examples, not 24. It is another data set or another version: correct the repository, its revision "
        "or the size in the benchmark's row.",
    ),
    "none": (
        table(lambda rows: rows.slice(0, 0)),
        "holds 0 examples, not 24. It is another data set or another version: correct the repository, its revision "
        "or the size in the benchmark's row.",
    ),
    "no images": (
        table(lambda rows: rows.rename_columns(["image", "fine_label", "coarse_label"])),
        f"there is no column 'img', only image, fine_label, coarse_label. {DIFFERENT_REPOSITORY}",
    ),
    "no labels": (
        table(lambda rows: rows.drop_columns("fine_label")),
        f"there is no column 'fine_label', only img, coarse_label. {DIFFERENT_REPOSITORY}",
    ),
    "images elsewhere": (
        of_type("img", pa.string()),
        f"column 'img' is string, not encoded images. {DIFFERENT_REPOSITORY}",
    ),
    "labels in words": (
        of_type("fine_label", pa.string()),
        f"column 'fine_label' is string, not the number of a class. {DIFFERENT_REPOSITORY}",
    ),
    "label below": (with_label(3, -1), f"row 3 has the label -1, and labels go from 0 to 4. {NO_SUCH_ROWS}"),
    "label above": (with_label(20, 5), f"row 20 has the label 5, and labels go from 0 to 4. {NO_SUCH_ROWS}"),
    "label missing": (with_label(0, None), f"row 0 has the label None, and labels go from 0 to 4. {NO_SUCH_ROWS}"),
    "more classes": (
        of_classes(6),
        "has 6 classes, not 5. Correct the classes or the repository in the benchmark's row.",
    ),
    "image cut off": (
        with_image(7, lambda image: image[: len(image) // 2]),
        "the image of row 7 cannot be decoded (OSError). Name a revision without such rows.",
    ),
    "not an image": (
        with_image(23, lambda image: b"GIF? no"),
        "the image of row 23 cannot be decoded (UnidentifiedImageError). Name a revision without such rows.",
    ),
    "no image": (
        with_image(0, lambda image: None),
        "the image of row 0 cannot be decoded (UnidentifiedImageError). Name a revision without such rows.",
    ),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_images_are_named_and_leave_nothing(fresh: Hub, case: str) -> None:
    spoil, message = BAD_DATA[case]
    spoil(fresh)
    with pytest.raises(DataError) as raised:
        vision.prepare(CIFAR, silent)
    assert str(raised.value) == f"{CIFAR_TRAIN}: {message}"
    data = fresh.root.with_name("data")
    assert not list(data.glob("vision/*/train"))
    assert not list(data.glob("vision/*/*partial*"))
    assert (data / "models" / "timm--vit_base_patch16_224.orig_in21k_ft_in1k" / "model.safetensors").is_file()


def test_a_damaged_image_is_decoded_or_named_whatever_its_library_says() -> None:
    image = encoded(photo(0.3, 12, 12, np.random.default_rng(0)))
    said = set()
    for place in range(len(image)):
        damaged = image[:place] + bytes([image[place] ^ 0x55]) + image[place + 1 :]
        examples = ScoredImages([{"image": damaged, "label": 0}], "a set", bare(), bare().resized())
        try:
            examples[0]
        except DataError as error:
            said.add(str(error).split(" (")[0])
    assert said == {"a set: the image of row 0 cannot be decoded"}


def test_a_file_that_is_cut_off_is_named(fresh: Hub) -> None:
    cut_off(fresh)
    with pytest.raises(DataError) as raised:
        vision.prepare(CIFAR, silent)
    path = fresh.root.with_name("data") / "hub/datasets/uoft-cs/cifar100" / COMMITS["uoft-cs/cifar100"] / "cifar100"
    file = "train-00000-of-00001.parquet"
    assert str(raised.value) == (
        f"{CIFAR_TRAIN}: {file} is not a whole parquet file. Delete {path / file} and prepare again."
    )


def config(edit: Callable[[dict[str, Any]], None]) -> Spoil:
    def spoil(hub: Hub) -> None:
        path = vit_folder(hub) / "config.json"
        content = json.loads(path.read_text())
        edit(content)
        path.write_text(json.dumps(content))

    return spoil


VIT = "timm/vit_base_patch16_224.orig_in21k_ft_in1k@e0bd370de679"


def test_another_architecture_is_named_before_any_image_is_fetched(fresh: Hub) -> None:
    config(lambda content: content.update(architecture="resnet18"))(fresh)
    with pytest.raises(DataError) as raised:
        vision.prepare(CIFAR, silent)
    assert str(raised.value) == (
        f"{VIT}: is 'resnet18' by its config.json, not a 'test_vit' of timm. "
        "Correct the model or the architecture in the benchmark's row."
    )
    assert not [name for name in fresh.downloads() if name.endswith(".parquet")]


def test_an_architecture_that_timm_does_not_know_is_named(fresh: Hub) -> None:
    config(lambda content: content.update(architecture="vit_9000"))(fresh)
    with pytest.raises(DataError) as raised:
        vision.prepare(changed(CIFAR, architecture="vit_9000"), silent)
    assert str(raised.value) == f"vit_9000: timm {timm.__version__} does not know it. Correct the architecture."


def test_a_weight_that_is_missing_is_not_drawn_at_random(fresh: Hub) -> None:
    weights = load_file(vit_folder(fresh) / "model.safetensors")
    del weights["blocks.3.mlp.fc1.bias"]
    save_file(weights, vit_folder(fresh) / "model.safetensors")
    vision.prepare(CIFAR, silent)
    with pytest.raises(DataError) as raised:
        vision.task(CIFAR, seed=0)
    assert str(raised.value) == f"{VIT}: its weights lack blocks.3.mlp.fc1.bias. Name a repository of a whole test_vit."


def test_weights_of_another_width_are_named(fresh: Hub) -> None:
    weights = load_file(vit_folder(fresh) / "model.safetensors")
    weights["norm.weight"] = torch.ones(63)
    save_file(weights, vit_folder(fresh) / "model.safetensors")
    vision.prepare(CIFAR, silent)
    with pytest.raises(DataError) as raised:
        vision.task(CIFAR, seed=0)
    assert str(raised.value) == f"{VIT}: its weights do not fit test_vit. Name another model in the row's source."


# -------------------------------------------------------------------------------------------- offline, and interrupted


def test_without_a_network_runs_start_from_what_is_prepared(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    asked = len(hub.requests)
    for name in MODELS:
        vision.prepare(ROWS_BY_NAME[name], silent)
        vision.task(ROWS_BY_NAME[name], seed=0)
    assert len(hub.requests) == asked


def test_without_a_network_a_missing_piece_is_named(fresh: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    data = fresh.root.with_name("data")
    command = f"Type `python -m benchmarks prepare vision-cifar100 --data {data}` where there is a network."
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DataError) as raised:
        vision.prepare(CIFAR, silent)
    assert str(raised.value) == f"{VIT}: the list of its files is not here, and HF_HUB_OFFLINE is set. {command}"
    monkeypatch.delenv("HF_HUB_OFFLINE")
    with pytest.raises(DataError) as raised:
        vision.task(CIFAR, seed=0)
    model = data / "models" / "timm--vit_base_patch16_224.orig_in21k_ft_in1k"
    assert str(raised.value) == f"{model}: is not prepared. {command}"
    assert not fresh.requests


def test_an_interrupted_prepare_goes_on_where_it_was(fresh: Hub) -> None:
    test = cifar_file(fresh, "test")
    whole = test.read_bytes()
    test.write_bytes(whole[:-20])
    with pytest.raises(DataError):
        vision.prepare(CIFAR, silent)
    data = fresh.root.with_name("data")
    [done] = data.glob("vision/*/train/manifest.json")
    written, asked = done.stat().st_mtime_ns, len(fresh.downloads())
    test.write_bytes(whole)
    for path in (data / "hub" / "datasets" / "uoft-cs" / "cifar100").glob("*.json"):
        path.unlink()  # what the hub listed: a commit's files never change on the real one
    vision.prepare(CIFAR, silent)
    assert done.stat().st_mtime_ns == written
    assert fresh.downloads()[asked:] == ["cifar100/test-00000-of-00001.parquet"]
    assert vision.task(CIFAR, seed=0).revisions["uoft-cs/cifar100"] == COMMITS["uoft-cs/cifar100"]


def test_all_splits_are_of_one_commit_where_none_is_named(fresh: Hub) -> None:
    row = changed(CIFAR, repository=replace(source_of(CIFAR).repository, revision=None))
    vision.prepare(row, silent)
    newest = [
        request for request in fresh.requests if request.startswith("GET /api/datasets/") and "/tree/" not in request
    ]
    assert len([request for request in newest if not request.endswith(COMMITS["uoft-cs/cifar100"])]) == 1
    assert vision.task(row, seed=0).revisions["uoft-cs/cifar100"] == COMMITS["uoft-cs/cifar100"]
