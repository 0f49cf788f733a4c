"""mini-vision: real target data, checked image by image, and a pre-training of two steps, made twice."""

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from scipy import ndimage
from sklearn.datasets import load_digits
from torch import Tensor

from benchmarks.mini import glyphs, targets, vision
from benchmarks.mini.glyphs import ARMENIAN, DIGITS, FACES, GEORGIAN, SERIF
from benchmarks.mini.targets import Labelled, without_repeats
from benchmarks.registry import BENCHMARKS
from benchmarks.task import Task, TensorExamples

NAMES = ("mini-vision-digits", "mini-vision-mnist", "mini-vision-letters")
ROW = BENCHMARKS["mini-vision-digits"]
CLASSES = {"mini-vision-digits": 10, "mini-vision-mnist": 10, "mini-vision-letters": 69}
Reported = list[tuple[str, int, int]]


@pytest.fixture(scope="module")
def caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path, Reported]]:
    """Two caches made by `prepare`, the second by a caller with other random numbers and two threads."""
    folders = tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("second")
    reported: Reported = []
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vision, "PRETRAINING", replace(vision.PRETRAINING, steps=2, batch_size=4, warmup_steps=1))
        patch.setenv("TRAM_CACHE", str(folders[0]))
        vision.prepare(ROW, lambda *progress: reported.append(progress))
        patch.setenv("TRAM_CACHE", str(folders[1]))
        torch.manual_seed(12345)
        torch.set_num_threads(2)
        state = torch.get_rng_state()
        vision.prepare(ROW, lambda *progress: None)
        assert torch.get_num_threads() == 2
        assert torch.equal(torch.get_rng_state(), state)
        torch.set_num_threads(threads)
        yield *folders, reported


@pytest.fixture(scope="module")
def tasks(caches: tuple[Path, Path, Reported]) -> dict[str, Task]:
    return {name: vision.task(BENCHMARKS[name], 0) for name in NAMES}


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    }


def raw(task: Task, examples: str) -> Tensor:
    """The images of a set as they were before standardisation, to the nearest of 256 levels."""
    chosen = {"train": task.train, "validation": task.validation, **task.test}[examples]
    assert isinstance(chosen, TensorExamples)
    return ((chosen.tensors["images"] * 0.35 + 0.2) * 255).round().byte()


def labels(examples: object) -> Tensor:
    assert isinstance(examples, TensorExamples)
    return examples.tensors["labels"]


def test_two_builds_are_the_same_bits(caches: tuple[Path, Path, Reported]) -> None:
    first, second, _ = caches
    assert contents(first) == contents(second)
    assert {Path(name).name for name in contents(first)} == {
        "digits.safetensors",
        "MNIST.safetensors",
        "letters.safetensors",
        "model.safetensors",
        "key.json",
    }


def test_prepare_tells_how_far_it_is(caches: tuple[Path, Path, Reported]) -> None:
    _, _, reported = caches
    assert reported == [
        *[("mini-vision: glyphs", done, 3) for done in range(4)],
        *[("mini-vision: pre-training", done, 2) for done in range(3)],
    ]


def test_what_is_there_is_not_made_again(caches: tuple[Path, Path, Reported]) -> None:
    reported: Reported = []
    vision.prepare(ROW, lambda *progress: reported.append(progress))
    assert not reported


def test_another_recipe_makes_another_model_from_the_same_data(
    caches: tuple[Path, Path, Reported], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = caches[1]
    data, old = set(folder.glob("mini-vision-data-*/")), set(folder.glob("mini-vision-model-*/"))
    monkeypatch.setattr(vision, "PRETRAINING", replace(vision.PRETRAINING, lr=1e-3))
    vision.prepare(ROW, lambda *progress: None)
    assert set(folder.glob("mini-vision-data-*/")) == data
    assert len({path.read_bytes() for path in folder.glob("mini-vision-model-*/model.safetensors")}) == len(old) + 1


@pytest.mark.parametrize("name", NAMES)
def test_a_task_is_what_its_row_says(tasks: dict[str, Task], name: str) -> None:
    task, row = tasks[name], BENCHMARKS[name]
    assert tuple(task.test) == row.domains
    assert task.model.training
    assert task.input_module is task.model.get_submodule("patch_embed")
    sizes = targets.SIZES[row.train_domain]
    assert len(task.train) == sizes["train"]  # type: ignore[arg-type]
    for examples in (task.train, task.validation, *task.test.values()):
        assert labels(examples).dtype == torch.int64
        assert labels(examples).unique().tolist() == list(range(CLASSES[name]))
        images = examples[0]["images"]
        assert images.shape == (1, 28, 28)
        assert images.dtype == torch.float32
    assert all(len(labels(examples)) == 1000 for examples in task.test.values())


@pytest.mark.parametrize("name", NAMES)
def test_no_image_is_there_twice_whatever_its_set(tasks: dict[str, Task], name: str) -> None:
    sets = ["train", "validation", *(domain for domain in BENCHMARKS[name].domains if domain not in vision.SHIFTS)]
    images = [image.numpy().tobytes() for examples in sets for image in raw(tasks[name], examples)]
    assert len(set(images)) == len(images)


@pytest.mark.parametrize("name", NAMES)
def test_shifted_sets_are_the_test_images_with_their_labels(tasks: dict[str, Task], name: str) -> None:
    task, own = tasks[name], BENCHMARKS[name].train_domain
    images = raw(task, own)
    for shift in vision.SHIFTS:
        assert torch.equal(labels(task.test[shift]), labels(task.test[own]))
        assert not (raw(task, shift) == images).flatten(1).all(1).any()
    blurred = ndimage.gaussian_filter(images.double().numpy(), (0, 0, 1.25, 1.25), truncate=4, mode="mirror")
    assert (raw(task, "blur") - torch.from_numpy(blurred)).abs().max() < 0.51
    hidden = raw(task, "occlusion") != images
    assert (raw(task, "occlusion")[hidden] == 128).all()
    assert 60 <= hidden.sum((1, 2, 3)).max() <= 64
    noise = (raw(task, "noise").int() - images)[(images > 100) & (images < 155)].double()
    assert noise.std().item() == pytest.approx(0.2 * 255, rel=0.1)
    affine = F.normalize(F.avg_pool2d(raw(task, "affine").float(), 7).flatten(1), dim=1)
    plain = F.normalize(F.avg_pool2d(images.float(), 7).flatten(1), dim=1)
    assert (affine * plain).sum(1).mean() > (affine * plain.roll(1, 0)).sum(1).mean() + 0.05


def test_the_source_has_no_digit_no_letter_of_the_target_and_none_of_their_shapes() -> None:
    letters, source = targets.alphabets()
    assert not set(source) & set(DIGITS + ARMENIAN + GEORGIAN)
    assert set(letters) <= set(ARMENIAN + GEORGIAN)
    assert len(letters) == 69
    assert len(source) == 224
    held_out = glyphs.draw(["DejaVuSans"], (*DIGITS, *letters)).images.flatten(1).double()
    seen = glyphs.draw(["DejaVuSans"], source).images.flatten(1).double()
    cosines = (held_out @ seen.T) / (held_out.norm(dim=1)[:, None] * seen.norm(dim=1))
    assert cosines.max() < 0.9401


def test_faces_of_the_test_are_new_to_training_and_source() -> None:
    faces = targets.LETTER_FACES
    assert faces["test"] == SERIF
    assert not set(SERIF) & set(vision.PRETRAINING.faces)
    assert sorted([face for split in faces.values() for face in split]) == sorted(FACES[:12])
    assert sorted({*vision.PRETRAINING.faces, *SERIF}) == sorted(FACES)
    assert len(FACES) == 21


def test_repeats_are_dropped_from_the_later_place() -> None:
    images = torch.arange(4, dtype=torch.uint8).view(4, 1, 1, 1).expand(4, 1, 28, 28)
    first, second = torch.tensor([0, 1, 0]), torch.tensor([2, 1, 3, 2])
    splits = without_repeats({"train": Labelled(images[first], first), "test": Labelled(images[second], second)})
    assert splits["train"].labels.tolist() == [0, 1]
    assert splits["test"].labels.tolist() == [2, 3]
    assert splits["test"].images[:, 0, 0, 0].tolist() == [2, 3]


def test_uci_digits_are_scikit_learn_s(tasks: dict[str, Task]) -> None:
    data = load_digits()
    known = {
        F.interpolate(torch.tensor(image).float()[None, None] / 16, (20, 20), mode="bilinear").mul(255).round().byte()
        .numpy().tobytes(): int(label)
        for image, label in zip(data.images, data.target, strict=True)
    }  # fmt: skip
    images = raw(tasks["mini-vision-digits"], "train")
    inner = images[:, :, 4:24, 4:24]
    assert images.sum() == inner.sum()
    found = [known.get(image[None].contiguous().numpy().tobytes()) for image in inner]
    assert found == labels(tasks["mini-vision-digits"].train).tolist()


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_draws_the_head_and_only_the_head(caches: tuple[Path, Path, Reported], name: str) -> None:
    (weights,) = caches[0].glob("*/model.safetensors")
    saved = load_file(weights)
    torch.manual_seed(7)
    state = torch.get_rng_state()
    first, again, other = (vision.task(BENCHMARKS[name], seed).model.state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), state)
    assert set(first) - set(saved) == {"head.weight", "head.bias"}
    assert set(saved) <= set(first)
    for name, weight in saved.items():
        assert torch.equal(first[name], weight)
        assert torch.equal(other[name], weight)
    assert torch.equal(first["head.weight"], again["head.weight"])
    assert not torch.equal(first["head.weight"], other["head.weight"])


def test_forward_is_the_mean_negative_log_likelihood(tasks: dict[str, Task]) -> None:
    task = tasks["mini-vision-digits"]
    assert isinstance(task.train, TensorExamples)
    batch = task.train.__getitems__([0, 5, 9])
    loss, logits = task.forward(task.model, batch)
    assert logits.shape == (3, 10)
    shares = logits.double().exp() / logits.double().exp().sum(1, keepdim=True)
    expected = -sum(shares[row, label].log() for row, label in enumerate(batch["labels"])) / 3
    torch.testing.assert_close(loss.double(), expected, atol=1e-6, rtol=1e-6)


def test_revisions_name_packages_and_checksums(caches: tuple[Path, Path, Reported], tasks: dict[str, Task]) -> None:
    revisions = tasks["mini-vision-mnist"].revisions
    (data,) = caches[0].glob("*/MNIST.safetensors")
    (weights,) = caches[0].glob("*/model.safetensors")
    assert revisions["data sha256"] == sha256(data.read_bytes()).hexdigest()[:16]
    assert revisions["weights sha256"] == sha256(weights.read_bytes()).hexdigest()[:16]
    assert revisions["torch"] == torch.__version__.split("+")[0]
    assert {"matplotlib", "mlxtend", "scikit-learn", "timm"} <= set(revisions)


def test_pretraining_starts_from_the_seed_and_moves_every_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    started = vision.new_model(224, 0)
    recipe = replace(vision.PRETRAINING, steps=2, batch_size=4)
    monkeypatch.setattr(vision, "PRETRAINING", replace(recipe, lr=0.0))
    for name, weight in vision.pretrain(lambda *progress: None).items():
        assert torch.equal(weight, started.state_dict()[name])
    monkeypatch.setattr(vision, "PRETRAINING", recipe)
    for name, weight in vision.pretrain(lambda *progress: None).items():
        assert not torch.equal(weight, started.state_dict()[name]), name


def test_pretraining_decays_its_learning_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vision, "PRETRAINING", replace(vision.PRETRAINING, steps=100, warmup_steps=4))
    factors = [vision._lr_factor(step) for step in (0, 1, 3, 50, 100)]
    assert factors == pytest.approx([0.25, 0.5, 0.997781, 0.5, 0], abs=1e-6)
