"""Every snippet of docs/training/ runs as printed, and trains as the estimator by itself does."""

import ast
import copy
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from tests.problems import Batch, Problem, classification, same_bits, split, weights
from tests.snippets import run, snippets
from tram import METHODS, TRAM, Adaptive, Ascent, Euclidean, Method, NoisyInput, TRAMOptimizer

DOCS = Path(__file__).parents[1] / "docs"
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted((DOCS / "training").glob("*.md"))}


def test_every_snippet_is_run_by_a_test() -> None:
    calls = [
        node.args
        for node in ast.walk(ast.parse(Path(__file__).read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "run"
    ]
    ran = {(ast.literal_eval(page), ast.literal_eval(number)) for page, number, _ in calls}
    assert ran == {(page, number) for page in PAGES for number in range(len(snippets(page)))}


def loop(problem: Problem, **sgd: Any) -> dict[str, Any]:
    """The names that the pages leave to the reader."""
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=0.1, **sgd)
    return {
        "torch": torch,
        "model": problem.model,
        "loader": problem.batches,
        "forward": problem.forward,
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9),
        "device": "cpu",
    }


def trained(
    problem: Problem,
    method: str,
    steps: list[list[Batch]] | None = None,
    clip: float | None = None,
    decay: float = 1.0,
    forward: Callable[..., Any] | None = None,
    **sgd: Any,
) -> dict[str, Tensor]:
    """The weights after a plain loop over steps, each a list of micro-batches."""
    tram = TRAM(problem.model, method, input_module=problem.input_module)
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=0.1, **sgd)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, decay)
    for micro_batches in [[batch] for batch in problem.batches] if steps is None else steps:
        tram.backward(forward or problem.forward, *micro_batches)
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(problem.model.parameters(), clip)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    return weights(problem.model)


# ----------------------------------------------------------------------------------------------------------- one device


def test_a_loop_of_ones_own(tmp_path: Path) -> None:
    problem = classification()
    names = loop(problem)
    run("plain-loop", 0, names)
    assert same_bits(weights(problem.model), trained(classification(), "TRAM-prev", clip=1.0, decay=0.9))

    run("plain-loop", 1, names)
    assert names["euclidean"] == replace(METHODS["TRAM-prev"], ascent=Ascent(Euclidean(), "d"))
    assert names["tram"].method == names["euclidean"]
    names["tram"] = TRAM(problem.model, "TRAM-prev")
    names["tram"].backward(problem.forward, problem.batches[0])
    problem.model.zero_grad()

    names["path"] = tmp_path / "checkpoint"
    before, reference = weights(problem.model), names["tram"].state_dict()
    run("plain-loop", 2, names)
    assert same_bits(weights(problem.model), before)
    assert (tmp_path / "checkpoint").is_file()
    assert all(torch.equal(names["stored"]["tram"][key], value) for key, value in reference.items() if key[:3] == "ref")

    problem = classification()
    names.update(loop(problem), forward=problem.forward)
    run("plain-loop", 5, names)
    expected = classification()
    facade = TRAMOptimizer(expected.model, "ASAM", torch.optim.AdamW, lr=2e-5)
    for batch in expected.batches:
        facade.step(lambda batch=batch: expected.forward(batch))
    assert same_bits(weights(problem.model), weights(expected.model))
    assert names["logits"].shape == (16, 3)


def test_logits_are_kept_for_later_epochs(tmp_path: Path) -> None:
    problem, forwards = classification(), 0

    def forward(batch: Batch) -> tuple[Tensor, Tensor]:
        nonlocal forwards
        forwards += not torch.is_grad_enabled()
        return problem.forward(batch)

    numbered = [{**batch, "index": torch.arange(16) + 16 * number} for number, batch in enumerate(problem.batches)]
    names = {
        **loop(problem),
        "TRAM": TRAM,
        "forward": forward,
        "examples": 16 * len(numbered),
        "path": tmp_path / "kept",
    }
    names["numbered_loader"] = 2 * numbered
    run("plain-loop", 3, names)
    assert forwards == len(numbered)
    assert names["kept"].complete
    run("plain-loop", 4, names)
    assert names["stored"]["kept"]["seen"].all()
    assert not [key for key in names["stored"]["tram"] if key.startswith("reference.")]
    expected = classification()
    assert same_bits(weights(problem.model), trained(expected, "TRAM-pre", [[batch] for batch in 2 * expected.batches]))


def test_the_table_of_methods_says_what_they_do() -> None:
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in PAGES["plain-loop"].splitlines() if "| `" in line
    ]
    told = {name: row[1:] for row in rows for name in re.findall(r"`([^`]+)`", row[0])}
    assert told == {name: told_of(method) for name, method in METHODS.items()}


def told_of(method: Method) -> list[str]:
    geometry, radius, compared = "", "", ""
    if method.ascent is not None:
        geometry = type(method.ascent.geometry).__name__
        geometry = "adaptive" if method.ascent.geometry == Adaptive() else geometry
        radius = str(method.ascent.radius)
    if method.trust_region is not None:
        reference = method.trust_region.reference
        past = {0.0: "the step before", 0.999: "the average of past weights", 1.0: "the first step"}
        compared = "noisy input" if isinstance(reference, NoisyInput) else past[reference.decay]
        assert method.penalty == (0 if method.distance_is_radius else 0.1)
    return [geometry, radius, compared]


def test_accumulation_and_half_precision() -> None:
    problem = classification()
    names = loop(problem)
    run("accumulation-and-fp16", 0, names)
    batches = classification().batches
    steps = [batches[:4], batches[4:8], batches[8:]]
    assert same_bits(weights(problem.model), trained(classification(), "TRAM-x", steps))

    problem = classification(dtype=torch.float32)
    names.update(loop(problem), tram=TRAM(problem.model, "SAM"))
    run("accumulation-and-fp16", 1, names)
    assert names["autocast_forward"](problem.batches[0])[1].dtype == torch.bfloat16
    expected = classification(dtype=torch.float32)

    def rounded(batch: Batch) -> tuple[Tensor, Tensor]:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return expected.forward(batch)

    assert same_bits(weights(problem.model), trained(expected, "SAM", forward=rounded))

    problem = classification(dtype=torch.float32)
    names.update(loop(problem))
    run("accumulation-and-fp16", 2, names)
    assert names["scaler"].get_scale() == 2.0**16
    for name, value in trained(classification(dtype=torch.float32), "SAM", clip=1.0).items():
        torch.testing.assert_close(problem.model.get_parameter(name), value, rtol=2e-5, atol=1e-6)


def test_frozen_backbones_and_peft() -> None:
    from tests.tram.tiny_transformers import language_model

    problem = classification()
    before = weights(problem.model)
    names = loop(problem)
    run("frozen-and-peft", 0, names)
    after = weights(problem.model)
    assert torch.equal(after["embedding.weight"], before["embedding.weight"])
    assert not torch.equal(after["head.weight"], before["head.weight"])
    references = [name for name in names["tram"].state_dict() if name.startswith("reference.")]
    assert references == ["reference.head.weight", "reference.head.bias"]

    rows = torch.randint(17, (2, 6))
    names.update(language_model=language_model(), tokens={"input_ids": rows, "labels": rows})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT's, about GPT-2's layers and transformers' names
        run("frozen-and-peft", 1, names)
    graded = {name for name, param in names["adapted"].named_parameters() if param.grad is not None}
    assert graded
    assert all("lora_" in name for name in graded)
    assert names["tram"].degenerate_steps == 1
    torch.optim.SGD(names["adapted"].parameters(), lr=0.1).step()
    names["adapted"].zero_grad()
    names["tram"].backward(names["language_forward"], names["tokens"])
    assert names["tram"].degenerate_steps == 1
    assert names["tram"].perturbation_norm > 0


def test_torch_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    from functools import partial

    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    problem = classification()
    run("torch-compile", 0, loop(problem))
    for name, value in trained(classification(), "TRAM-x").items():
        torch.testing.assert_close(problem.model.get_parameter(name), value)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2
    assert not torch._dynamo.utils.counters["graph_break"]


def test_from_other_implementations() -> None:
    problem = classification()
    names = loop(problem)
    run("from-other-sam", 0, names)
    assert same_bits(weights(problem.model), trained(classification(), "SAM", decay=0.9, momentum=0.9))
    run("from-other-sam", 1, names)
    assert names["sam"] == METHODS["SAM"]
    assert names["asam"] == METHODS["ASAM"]
    # What the page adds to the old loop is the new one, but for the lines that both share.
    (diff,) = re.findall(r"```diff\n(.*?)```", PAGES["from-other-sam"], flags=re.DOTALL)
    after = [line[1:] for line in diff.splitlines() if not line.startswith("-")]
    assert [line for line in after if line] == [line for line in snippets("from-other-sam")[0].splitlines() if line]


def test_every_test_that_answers_a_published_problem_exists() -> None:
    page = (DOCS / "published-problems.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 21
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page)
    assert len(named) > 30
    for file, test in named:
        assert re.search(rf"^def {test}\(" if test else "^def test_", (DOCS.parent / file).read_text("utf-8"), re.M), (
            test
        )
    without = [row for row in rows if "tests/" not in row]
    assert [row.split("|")[1].strip() for row in without] == ["pytorch #149269", "pytorch_optimizer #442, #465"]


def test_every_link_between_the_pages_leads_somewhere() -> None:
    for path in [*(DOCS / "training").glob("*.md"), DOCS / "published-problems.md"]:
        for link in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / link).is_file(), (path.name, link)


# -------------------------------------------------------------------------------------------------------- several GPUs


@pytest.fixture
def one_process(tmp_path: Path) -> Iterator[None]:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        yield
    finally:
        dist.destroy_process_group()


@pytest.mark.usefixtures("one_process")
def test_several_gpus(tmp_path: Path) -> None:
    problem = classification()
    names = loop(problem)
    run("several-gpus", 0, names)
    assert same_bits(weights(problem.model), trained(classification(), "TRAM-prev"))

    problem = classification()
    names.update(loop(problem), sharded_forward=problem.forward, folder=tmp_path / "dcp")
    run("several-gpus", 1, names)
    expected = classification()
    tram = TRAM(expected.model, "TRAM-pre")
    optimizer = torch.optim.AdamW(expected.model.parameters(), lr=1e-3)
    for batch in expected.batches:
        tram.backward(expected.forward, batch)
        optimizer.step()
        optimizer.zero_grad()
    for name, param in problem.model.named_parameters():
        torch.testing.assert_close(param.full_tensor(), expected.model.get_parameter(name))  # type: ignore[operator]

    saved = names["tram"].state_dict()
    saving, loading = snippets("several-gpus")[2].split("\n\n")[1:]
    assert "dcp.save" in saving
    assert "dcp.load" in loading
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, about storages and groups of one process
        run("several-gpus", 2, names)
        names["tram"] = TRAM(problem.model, "TRAM-pre")
        exec(loading, names)
    found = names["tram"].state_dict()
    assert found.keys() == saved.keys()
    assert all(torch.equal(torch.as_tensor(found[key]), torch.as_tensor(saved[key])) for key in saved if "ref" in key)
    assert found["steps"] == len(problem.batches)


# ------------------------------------------------------------------------------------------------------- other people's


def test_the_hugging_face_trainer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from tests.tram.test_trainer import CLASSES, arguments
    from tests.tram.tiny_transformers import classifier

    caplog.set_level(logging.ERROR)
    names = {
        "model": classifier(),
        "args": arguments(tmp_path, eval_strategy="steps", eval_steps=2),
        "data": CLASSES,
        "held_out": CLASSES[:4],
    }
    run("hugging-face", 0, names)
    assert names["trainer"].tram.method == METHODS["TRAM-x"]
    assert names["trainer"].tram.steps == 4
    assert sum("eval_loss" in row for row in names["trainer"].state.log_history) == 2


@pytest.fixture
def accelerator() -> Iterator[None]:
    """accelerate keeps one state for the whole process."""
    from accelerate.state import AcceleratorState, GradientState, PartialState

    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()
    yield
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()


@pytest.mark.usefixtures("accelerator")
def test_accelerate(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    assert len(snippets("accelerate")[0].splitlines()) <= 13
    assert snippets("accelerate")[0].splitlines()[-1].startswith("    optimizer.step()")
    problem = classification()
    names = loop(problem)
    names["loader"] = torch.utils.data.DataLoader(names["loader"], batch_size=None)
    run("accelerate", 0, names)
    assert same_bits(weights(problem.model), trained(classification(), "TRAM-prev", clip=1.0, decay=0.9))

    names["folder"] = str(tmp_path)
    saved = copy.deepcopy(names["tram"].state_dict())
    before = weights(problem.model)
    run("accelerate", 1, names)
    assert same_bits(weights(problem.model), before)
    assert repr(names["tram"].state_dict()) == repr(saved)


class Loader:
    """Batches as they are, for Lightning."""

    @staticmethod
    def of(batches: list[Any]) -> Any:
        return torch.utils.data.DataLoader(batches, batch_size=None, shuffle=False)


def fit(module: Any, batches: list[Any], folder: Path, resume: Path | None = None, **options: Any) -> Any:
    from lightning import Trainer

    defaults: dict[str, Any] = {
        "accelerator": "cpu",
        "devices": 1,
        "max_epochs": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "default_root_dir": folder,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's, about Slurm, workers and logging
        trainer = Trainer(**{**defaults, **options})
        trainer.fit(module, Loader.of(batches), ckpt_path=resume)
    return trainer


@pytest.fixture(autouse=True)
def _quiet_lightning() -> None:
    for name in ("lightning", "lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)


def lightning_page() -> dict[str, Any]:
    names: dict[str, Any] = {"torch": torch}
    run("lightning", 0, names)
    run("lightning", 1, names)
    run("lightning", 2, names)
    run("lightning", 3, names)  # shards need two processes: tests/conformance trains with all four
    return names


def assert_close(problem: Problem, expected: dict[str, Tensor]) -> None:
    for name, value in expected.items():
        torch.testing.assert_close(problem.model.get_parameter(name), value)


@pytest.mark.parametrize("method", ["SAM", "TRPO", "TRAM-prev"])
def test_lightning(method: str, tmp_path: Path) -> None:
    names = lightning_page()
    problem = classification()
    fit(names["Automatic"](problem.model, method), problem.batches, tmp_path, gradient_clip_val=0.3)
    assert_close(problem, trained(classification(), method, clip=0.3, momentum=0.9))

    problem = classification()
    steps = [problem.batches[:4], problem.batches[4:8], problem.batches[8:]]
    module = names["Automatic"](problem.model, method)
    fit(module, problem.batches, tmp_path, gradient_clip_val=0.3, accumulate_grad_batches=4)
    assert_close(problem, trained(classification(), method, steps, clip=0.3, momentum=0.9))

    problem = classification()
    parts = [split(batch, 4) for batch in problem.batches]
    fit(names["Manual"](problem.model, method), parts, tmp_path)
    assert_close(problem, trained(classification(), method, parts, momentum=0.9))


@pytest.mark.parametrize("method", ["SGD", "SAM", "TRAM-prev"])
def test_lightning_divides_the_rest_of_an_epoch_as_it_does_by_itself(method: str, tmp_path: Path) -> None:
    """Two micro-batches where four are asked for are divided by four, with and without a second pass."""
    problem, expected = classification(batches=6), classification(batches=6)
    module = lightning_page()["Automatic"](problem.model, method)
    fit(module, problem.batches, tmp_path, accumulate_grad_batches=4)

    def forward(batch: Batch) -> tuple[Tensor, Tensor]:
        loss, logits = expected.forward(batch)
        return loss / 2 if any(batch is rest for rest in expected.batches[4:]) else loss, logits

    steps = [expected.batches[:4], expected.batches[4:]]
    assert_close(problem, trained(expected, method, steps, forward=forward, momentum=0.9))


def test_a_lightning_training_begins_its_accumulation_anew(tmp_path: Path) -> None:
    """One that ended after two of four micro-batches leaves nothing to the next, which has other batches."""
    page = lightning_page()["Automatic"]

    class Stopped(page):  # type: ignore[misc, valid-type]
        def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
            self.trainer.should_stop = self.trainer.should_stop or (batch_idx == 1 and self.stops)
            return super().training_step(batch, batch_idx)

    problem, fresh = classification(batches=8), classification(batches=8)
    module = Stopped(problem.model, "TRAM-prev")
    for module.stops in (True, False):
        fit(module, problem.batches[:: 1 if module.stops else -1], tmp_path, accumulate_grad_batches=4)
        if module.stops:
            assert (module.tram.steps, module.tram.micro_batches_seen) == (0, 2)
            module.zero_grad()
    fit(page(fresh.model, "TRAM-prev"), fresh.batches[::-1], tmp_path, accumulate_grad_batches=4)
    assert same_bits(weights(problem.model), weights(fresh.model))


def test_the_loop_for_lightning_is_short() -> None:
    (module,) = ast.parse(snippets("lightning")[1]).body
    assert isinstance(module, ast.ClassDef)
    (loop,) = [part for part in module.body if isinstance(part, ast.FunctionDef) and part.name == "optimizer_step"]
    lines = snippets("lightning")[1].splitlines()[loop.lineno : loop.end_lineno]
    assert lines.pop(0).strip() == "def both_passes():"
    assert len([line for line in lines if line]) <= 10


def test_lightning_checkpoints_without_the_estimators_state(tmp_path: Path) -> None:
    """One saved before the first step, and one of a plain training: neither fails, and the method begins there."""
    from lightning import LightningModule

    names, path = lightning_page(), tmp_path / "plain.ckpt"
    early: dict[str, Any] = {}
    for of in ("Automatic", "InShards"):
        names[of](classification().model).on_save_checkpoint(early)
    assert early == {}

    class Plain(LightningModule):
        def __init__(self, network: torch.nn.Module) -> None:
            super().__init__()
            self.network = network

        def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
            return names["Estimated"].loss_and_logits(self, batch)[0]

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return names["Estimated"].configure_optimizers(self)

    problem = classification()
    fit(Plain(problem.model), problem.batches, tmp_path).save_checkpoint(path)
    begun, module = weights(problem.model), names["Automatic"](classification().model, "TRAM-pre")
    fit(module, problem.batches, tmp_path, resume=path, max_epochs=2)
    assert module.tram.steps == len(problem.batches)
    assert all(torch.equal(module.tram.state_dict()[f"reference.network.{name}"], begun[name]) for name in begun)

    sharded = names["InShards"](problem.model)
    sharded.on_load_checkpoint({})
    assert sharded.tram_state is None


def test_lightning_resumes_bit_for_bit_and_once(tmp_path: Path) -> None:
    names, path = lightning_page(), tmp_path / "stopped.ckpt"
    problem, straight = classification(), classification()
    fit(names["Automatic"](straight.model), straight.batches, tmp_path, max_epochs=2)
    fit(names["Automatic"](problem.model), problem.batches, tmp_path).save_checkpoint(path)
    problem = classification()
    module = names["Automatic"](problem.model)
    fit(module, problem.batches, tmp_path, resume=path, max_epochs=2)
    assert same_bits(weights(problem.model), weights(straight.model))
    fit(module, problem.batches, tmp_path)  # a training of its own, not once more from the checkpoint
    assert module.tram.steps == len(problem.batches)
