"""DistributedDataParallel: two processes are one with the whole batch, or each its own; a wrapper is not in the way."""

import importlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from tests.problems import Batch, Problem, classification, language_modelling, same_bits, split, weights
from tests.tram.pair import Cases
from tests.tram.several import (
    EVERY_METHOD,
    NoHostSync,
    assert_same_course,
    calling,
    counted_all_reduces,
    of_one_process,
    own_part,
    standing_in_for,
    train,
)
from tram import METHODS, TRAM, KeptLogits, Method

CASES = Cases()
STEPS = 3


def test_every_case_in_two_processes() -> None:
    CASES.check(__name__)


def wrapped(problem: Problem, **options: Any) -> DistributedDataParallel:
    return DistributedDataParallel(problem.model, **options)


# ----------------------------------------------------------------------------------------------- global: as one process

for name, method in EVERY_METHOD.items():
    for micro_batches in (1, 2):
        for make in (classification, language_modelling):

            @CASES.add(f"global equals one process: {name}, {micro_batches} micro-batches, {make.__name__}")
            def _(
                rank: int, method: Method = method, count: int = micro_batches, make: Callable[[], Problem] = make
            ) -> None:
                problem = make()
                ddp = wrapped(problem)
                tram = TRAM(ddp, method, input_module=problem.input_module)
                found = train(problem, tram, ddp, own_part(problem, rank, STEPS, count))
                assert_same_course(found, of_one_process(make, method, STEPS, count))


@CASES.add("global equals one process: the whole batch at once")
def _(rank: int) -> None:
    problem, alone = classification(), classification()
    ddp = wrapped(problem)
    found = train(problem, TRAM(ddp, "TRAM-prev"), ddp, own_part(problem, rank, STEPS, 1))
    expected = train(alone, TRAM(alone.model, "TRAM-prev"), alone.model, [[batch] for batch in alone.batches[:STEPS]])
    assert_same_course(found, expected)
    assert found[-1]["distance"] > 0


@CASES.add("every option of the wrapper")
def _(rank: int) -> None:
    for options in ({"gradient_as_bucket_view": True}, {"find_unused_parameters": True}, {"bucket_cap_mb": 1e-5}):
        for name in ("ASAM+R3F", "TRAM-x"):
            problem = classification()
            ddp = wrapped(problem, **options)
            tram = TRAM(ddp, name, input_module=problem.input_module)
            found = train(problem, tram, ddp, own_part(problem, rank, STEPS, 2))
            assert_same_course(found, of_one_process(classification, METHODS[name], STEPS, 2))


@CASES.add("a static graph, as long as every pass is exchanged")
def _(rank: int) -> None:
    for name in ("SGD", "ASAM+R3F", "TRAM-prev"):
        problem = classification()
        ddp = wrapped(problem, static_graph=True)
        tram = TRAM(ddp, name, input_module=problem.input_module)
        found = train(problem, tram, ddp, own_part(problem, rank, STEPS, 1))
        assert_same_course(found, of_one_process(classification, METHODS[name], STEPS, 1))
    for sync, count in (("global", 2), ("local", 1)):
        problem = classification()
        ddp = wrapped(problem, static_graph=True)
        tram = TRAM(ddp, "SAM", sync=sync)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"static_graph=True.*cannot hold gradients back.*leave static_graph out"):
            tram.backward(calling(ddp, problem), *own_part(problem, rank, 1, count)[0])


class Rooms(nn.Module):
    """The second of its parts is used by every other forward only: in a step of SAM by its second pass."""

    def __init__(self) -> None:
        super().__init__()
        self.always, self.sometimes, self.calls = nn.Linear(5, 3), nn.Linear(5, 3), 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        logits = self.always(x)
        return logits if self.calls % 2 else logits + self.sometimes(x)


@CASES.add("a parameter that the first pass does not use, found by the wrapper")
def _(rank: int) -> None:
    found = []
    for processes in (1, 2):
        torch.manual_seed(3)
        problem = classification()
        model = Rooms().double()
        called = DistributedDataParallel(model, find_unused_parameters=True) if processes == 2 else model
        rooms = Problem(model, problem.forward, problem.batches, model)
        steps = own_part(problem, rank, STEPS, 1) if processes == 2 else [[batch] for batch in problem.batches[:STEPS]]
        found.append(train(rooms, TRAM(called, "SAM"), called, steps))
    assert_same_course(*found)
    assert not torch.equal(found[0][0]["sometimes.weight"], found[0][-1]["sometimes.weight"])


@CASES.add("a parameter outside the wrapped model is told")
def _(rank: int) -> None:
    problem, head = classification(), nn.Linear(3, 3).double()
    ddp = wrapped(problem)

    def forward(batch: Batch) -> tuple[Tensor, Tensor]:
        logits = head(ddp(batch["x"]))
        return nn.functional.cross_entropy(logits, batch["y"]), logits

    with pytest.raises(ValueError, match="not in TRAM's model"):
        TRAM(ddp, "SAM").backward(forward, problem.batches[0])


@CASES.add("a model given without the wrapper that calls it is told, and nothing is left behind")
def _(rank: int) -> None:
    for name in ("SAM", "TRAM-prev", "TRAM-pre"):
        problem = classification()
        ddp, tram, before = wrapped(problem), TRAM(problem.model, name), weights(problem.model)
        with pytest.raises(ValueError, match=r"calls this \w+, and TRAM was given it without.*give TRAM the wrapped"):
            tram.backward(calling(ddp, problem), problem.batches[0])
        assert same_bits(weights(problem.model), before)
        assert not problem.model._forward_pre_hooks
        # Each by itself, as for a sweep over seeds, is nobody's mistake.
        alone = classification()
        expected = train(alone, TRAM(alone.model, name), alone.model, [[batch] for batch in alone.batches[:STEPS]])
        with standing_in_for(lambda index: 0, lambda index: index):
            found = train(problem, tram, problem.model, [[batch] for batch in problem.batches[:STEPS]])
        assert_same_course(found, expected)
        assert not problem.model._forward_pre_hooks
    # Nor is another model that is trained within the forward of the wrapped one.
    problem, other = classification(), classification()
    ddp, tram = wrapped(problem), TRAM(other.model, "SAM")
    problem.model.register_forward_pre_hook(lambda *_: tram.backward(other.forward, other.batches[0]) and None)
    ddp(problem.batches[0]["x"])
    assert tram.steps == 1


@CASES.add("a wrapper that the forward passes by is told, and nothing is left behind")
def _(rank: int) -> None:
    for name, sync, count in (
        ("SGD", "global", 1),
        ("SAM", "local", 1),
        ("TRAM-pre", "global", 2),
        ("R3F", "global", 2),
    ):
        problem = classification()
        ddp, before = wrapped(problem), weights(problem.model)
        tram = TRAM(ddp, name, input_module=problem.input_module, sync=sync)  # type: ignore[arg-type]
        (parts,) = own_part(problem, rank, 1, count)
        with pytest.raises(
            ValueError, match=r"given, but what is inside it.*call ddp_model\(\.\.\.\), not ddp_model\.mod"
        ):
            tram.backward(calling(ddp.module, problem), *parts)
        assert same_bits(weights(problem.model), before)
        assert all(param.grad is None for param in problem.model.parameters())
        assert not ddp._forward_pre_hooks
        # Mended, it goes on as if nothing had been; and only the first pass is watched.
        tram.backward(calling(ddp, problem), *parts)
        assert not ddp._forward_pre_hooks
        ddp.register_forward_pre_hook = None  # type: ignore[assignment]
        ddp.zero_grad()
        tram.backward(calling(ddp, problem), *parts)
        assert tram.steps == 2


@CASES.add("of several wrappers a step may leave some out")
def _(rank: int) -> None:
    problem, other = classification(), classification()
    ddp, idle = wrapped(problem), wrapped(other)

    def without_gradient(x: Tensor) -> Tensor:
        with torch.no_grad():
            return idle.module(x)  # of which nothing has to be averaged

    forward = adding(ddp, without_gradient)
    TRAM(nn.ModuleList([idle, ddp]), "SAM").backward(forward, own_part(problem, rank, 1, 1)[0][0])
    assert all(param.grad is not None for param in problem.model.parameters())
    assert all(param.grad is None for param in other.model.parameters())


@CASES.add("one of several wrappers that the forward passes by is told")
def _(rank: int) -> None:
    for name in ("SGD", "SAM", "TRAM-prev"):
        problem, other = classification(), classification()
        ddp, bypassed = wrapped(problem), wrapped(other)
        tram = TRAM(nn.ModuleList([ddp, bypassed]), name)
        for past in (other.model, other.model.get_submodule("embedding")):
            told = r"given, but what is inside it.*call ddp_model\(\.\.\.\), not ddp_model\.module"
            with pytest.raises(ValueError, match=told):
                tram.backward(adding(ddp, past), problem.batches[0])
        assert not any(module._forward_pre_hooks for module in tram.model.modules())


Called = Callable[[Tensor], Tensor]


def adding(call: Called, beside: Called | None) -> Callable[[Batch], tuple[Tensor, Tensor]]:
    """A forward to whose loss that of a second call is added."""

    def forward(batch: Batch) -> tuple[Tensor, Tensor]:
        logits = call(batch["x"])
        loss = nn.functional.cross_entropy(logits, batch["y"])
        return loss if beside is None else loss + beside(batch["x"]).square().mean(), logits

    return forward


@CASES.add("ddp_model.forward, a part of the model beside it and two wrappers equal one process")
def _(rank: int) -> None:
    for also in ("", "its part", "another"):
        found = []
        for processes in (2, 1):
            first, second = classification(), classification()
            models = [wrapped(problem) if processes == 2 else problem.model for problem in (first, second)]
            beside = {"": None, "its part": first.model.get_submodule("embedding"), "another": models[1]}[also]
            forward = adding(models[0].forward, beside)
            trained = nn.ModuleList(models) if also == "another" else models[0]
            tram, optimizer = TRAM(trained, "TRAM-prev"), torch.optim.SGD(trained.parameters(), lr=0.1)
            for batch in first.batches[:STEPS]:
                tram.backward(forward, split(batch, 2)[rank] if processes == 2 else batch)
                optimizer.step()
                optimizer.zero_grad()
            found.append(
                {f"{i} {key}": v for i, p in enumerate((first, second)) for key, v in weights(p.model).items()}
            )
        assert_same_course(found[:1], found[1:])


@CASES.add("the base optimizer sees the same bits on both processes")
def _(rank: int) -> None:
    problem = classification(dtype=torch.float32)
    ddp = wrapped(problem)
    train(problem, TRAM(ddp, "TRAM-x", input_module=problem.input_module), ddp, own_part(problem, rank, STEPS, 2))
    for param in problem.model.parameters():
        other = param.detach().clone()
        dist.broadcast(other, src=0)
        assert torch.equal(other, param)


@CASES.add("noise differs between processes")
def _(rank: int) -> None:
    problem = classification()
    ddp, batch, drawn = wrapped(problem), problem.batches[0], []
    problem.model.norm.register_forward_pre_hook(lambda module, args: drawn.append(args[0].detach()))  # type: ignore[union-attr]
    TRAM(ddp, "TRAM-x", input_module=problem.input_module).backward(calling(ddp, problem), batch)
    noise = drawn[1] - drawn[0]
    other = noise.clone()
    dist.broadcast(other, src=0)
    assert noise.abs().max() > 0
    assert torch.equal(other, noise) == (rank == 0)


# ------------------------------------------------------------------------------------------ local: each process its own


def m_sharpness(make: Callable[[], Problem], method: Method, micro_batches: int) -> list[dict[str, Tensor]]:
    """The weights after each step, from the definition: each half of the batch has an estimator and a copy of the model
    of its own, both copies move by the average of the two gradients."""
    halves = [make() for _ in range(2)]
    trams = [TRAM(half.model, method, input_module=half.input_module) for half in halves]
    optimizers = [torch.optim.SGD(half.model.parameters(), lr=0.1, momentum=0.9) for half in halves]
    found = []
    for step in range(STEPS):
        for rank, (half, tram) in enumerate(zip(halves, trams, strict=True)):
            with standing_in_for(lambda index, rank=rank: rank, lambda index: index):
                tram.backward(half.forward, *own_part(half, rank, STEPS, micro_batches)[step])
        for left, right in zip(halves[0].model.parameters(), halves[1].model.parameters(), strict=True):
            assert left.grad is not None
            assert right.grad is not None
            left.grad = right.grad = (left.grad + right.grad) / 2
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        found.append(weights(halves[0].model))
    return found


for name, method in EVERY_METHOD.items():
    for micro_batches in (1, 2):

        @CASES.add(f"local is m-sharpness: {name}, {micro_batches} micro-batches")
        def _(rank: int, method: Method = method, count: int = micro_batches) -> None:
            problem = classification()
            ddp = wrapped(problem)
            tram = TRAM(ddp, method, input_module=problem.input_module, sync="local")
            found = train(problem, tram, ddp, own_part(problem, rank, STEPS, count))
            expected = m_sharpness(classification, method, count)
            assert_same_course([{name: step[name] for name in expected[0]} for step in found], expected)


@CASES.add("local differs from global, and reports what is this process's own")
def _(rank: int) -> None:
    found = []
    for sync in ("global", "local"):
        problem = classification()
        ddp = wrapped(problem)
        tram = TRAM(ddp, "TRAM-pre", sync=sync)
        train(problem, tram, ddp, own_part(problem, rank, STEPS, 1))
        radius, norm = tram.radius.clone(), tram.perturbation_norm.clone()  # type: ignore[union-attr]
        other = torch.stack([radius, norm])
        dist.broadcast(other, src=0)
        assert torch.equal(other, torch.stack([radius, norm])) == (sync == "global" or rank == 0)
        found.append(weights(problem.model))
    assert not torch.allclose(found[0]["head.weight"], found[1]["head.weight"], rtol=1e-6)


# -------------------------------------------------------------------------------------------------------- what it costs


def buckets(name: str | Method, sync: str, rank: int, owned: bool = False) -> tuple[list[str], list[int]]:
    """In which passes gradients were exchanged, bucket by bucket, over two micro-batches; what else was all-reduced."""
    problem = classification()
    ddp = wrapped(problem)
    tram = TRAM(ddp, name, input_module=problem.input_module, sync=sync)  # type: ignore[arg-type]
    exchanged: list[str] = []

    def hook(state: None, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:
        exchanged.append("second" if tram._perturbed else "first")
        averaged = bucket.buffer() / 2
        return dist.all_reduce(averaged, async_op=True).get_future().then(lambda done: done.value()[0])

    ddp.register_comm_hook(None, hook)
    (parts,) = own_part(problem, rank, 1, 2)
    forward = calling(ddp, problem)
    with counted_all_reduces() as sizes:
        if not owned:
            tram.backward(forward, *parts)
        else:
            objective = tram.objective(forward)
            for part in parts:
                (objective(part) / 2).backward()
            with tram.perturbed():
                for part in parts:
                    (objective(part) / 2).backward()
            tram.advance()
    gradient = sum(param.numel() for param in problem.model.parameters())
    return exchanged, [size for size in sizes if size != gradient]


@CASES.add("gradients are exchanged once a pass, distances once a step")
def _(rank: int) -> None:
    assert buckets("SGD", "global", rank) == (["first"], [])
    assert buckets("SGD", "local", rank) == (["first"], [])
    assert buckets("R3F", "global", rank) == (["first"], [1])
    assert buckets("R3F", "local", rank) == (["first"], [])
    assert buckets("SAM", "global", rank) == (["first", "second"], [])
    assert buckets("SAM", "local", rank) == (["second"], [])
    assert buckets("ASAM+R3F", "global", rank) == (["first", "second"], [1])
    assert buckets("ASAM+R3F", "local", rank) == (["second"], [])
    assert buckets("TRAM-prev", "global", rank) == (["first", "second"], [1])
    assert buckets("TRAM-prev", "local", rank) == (["second"], [])
    assert buckets(EVERY_METHOD["TRAM-Fisher, separate"], "local", rank) == (["second"], [])


@CASES.add("passes of one's own exchange no gradient in the first pass where sync is local")
def _(rank: int) -> None:
    assert buckets("TRAM-prev", "local", rank, owned=True) == (["second"] * 2, [])
    assert buckets("TRAM-prev", "global", rank, owned=True) == (["first"] * 2 + ["second"] * 2, [1])


@CASES.add("passes of one's own equal backward")
def _(rank: int) -> None:
    for sync in ("global", "local"):
        for name, method in EVERY_METHOD.items():
            found = []
            for owned in (False, True):
                problem = classification()
                ddp = wrapped(problem)
                tram = TRAM(ddp, method, input_module=problem.input_module, sync=sync)
                forward = calling(ddp, problem)
                objective = tram.objective(forward)
                for parts in own_part(problem, rank, 2, 2):
                    ddp.zero_grad()
                    if owned:
                        for part in parts:
                            (objective(part) / 2).backward()
                        if method.ascent is not None:
                            with tram.perturbed():
                                for part in parts:
                                    (objective(part) / 2).backward()
                        tram.advance()
                    else:
                        tram.backward(forward, *parts)
                    with torch.no_grad():
                        for param in problem.model.parameters():
                            param -= 0.1 * torch.as_tensor(param.grad)
                found.append(weights(problem.model))
            for key in found[0]:
                torch.testing.assert_close(found[0][key], found[1][key], rtol=1e-9, atol=1e-11, msg=f"{sync} {name}")


@CASES.add("no step waits for the device")
def _(rank: int) -> None:
    for method in EVERY_METHOD.values():
        problem = classification()
        ddp = wrapped(problem)
        tram = TRAM(ddp, method, input_module=problem.input_module)
        with NoHostSync():
            for parts in own_part(problem, rank, 2, 2):
                for param in ddp.parameters():
                    param.grad = None
                tram.backward(calling(ddp, problem), *parts)


# ---------------------------------------------------------------------------------------------------------------- edges


@CASES.add("a distance that is not finite on one process alone stops the ascent on both")
def _(rank: int) -> None:
    problem = classification()
    ddp = wrapped(problem)
    tram = TRAM(ddp, "TRAM-pre")
    train(problem, tram, ddp, own_part(problem, rank, 1, 1))
    broken = False

    def forward(batch: Batch) -> tuple[Tensor, Tensor]:
        loss, logits = calling(ddp, problem)(batch)
        return loss, logits * float("nan") if broken and not torch.is_grad_enabled() else logits

    broken, before = rank == 1, weights(problem.model)
    tram.backward(forward, problem.batches[1])
    assert tram.perturbation_norm == 0
    assert tram.degenerate_steps == 2  # the first step's d was 0
    assert same_bits(weights(problem.model), before)


@CASES.add("running statistics are broadcast as without a method")
def _(rank: int) -> None:
    """Each process normalises by its own part; rank 0's running statistics are everyone's at each forward of pass 1."""
    found = []
    for plain in (True, False):
        problem = classification(norm=True)
        ddp = wrapped(problem)
        tram = TRAM(ddp, Method() if plain else "TRAM-prev")
        for parts in own_part(problem, rank, STEPS, 1):
            problem.model.load_state_dict(classification(norm=True).model.state_dict() | buffers(problem))
            ddp.zero_grad()
            tram.backward(calling(ddp, problem), *parts)
        found.append(buffers(problem))
    assert same_bits(found[0], found[1])


def buffers(problem: Problem) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in problem.model.named_buffers()}


@CASES.add("a process may leave out a reference forward that the other makes")
def _(rank: int) -> None:
    """Its kept logits save it. The model has buffers, which a forward broadcasts: both must go on in step."""
    found = []
    for keeps in (False, True):
        problem = classification(norm=True)
        problem.model.norm.eval()  # type: ignore[union-attr]
        ddp = wrapped(problem)
        tram = TRAM(ddp, "TRAM-pre", reference_logits=KeptLogits(64) if keeps else None)
        optimizer, forwards = torch.optim.SGD(ddp.parameters(), lr=0.1), 0

        def forward(batch: Batch, ddp: nn.Module = ddp, problem: Problem = problem) -> tuple[Tensor, Tensor]:
            nonlocal forwards
            forwards += not torch.is_grad_enabled()
            return calling(ddp, problem)(batch)

        for number in ((0, 0, 1, 0), (2, 3, 2, 3))[rank]:
            batch = {"index": torch.arange(16) + 16 * number, **problem.batches[number]}
            tram.backward(forward, batch)
            optimizer.step()
            optimizer.zero_grad()
        found.append(weights(problem.model))
        assert forwards == (2 if keeps else 4)
    assert same_bits(*found)


@CASES.add("within join(), a process that has more batches goes on alone for a method without d")
def _(rank: int) -> None:
    """It ascends by half of its gradient and descends by half: torch divides by the number of all processes."""
    for name, sync in (("SGD", "global"), ("SAM", "local"), ("ASAM", "global")):
        problem, alone = classification(), classification()
        ddp = wrapped(problem)
        tram, bare = TRAM(ddp, name, sync=sync), TRAM(alone.model, name)  # type: ignore[arg-type]
        optimizer = torch.optim.SGD(ddp.parameters(), lr=0.1)
        with ddp.join():
            for batch in problem.batches[: 3 - rank]:
                optimizer.zero_grad()
                alone.model.zero_grad()
                alone.model.load_state_dict(problem.model.state_dict())
                bare.backward(alone.forward, batch)
                tram.backward(calling(ddp, problem), batch)
                found = [torch.as_tensor(param.grad).clone() for param in problem.model.parameters()]
                optimizer.step()
        assert tram.steps == 3 - rank
        if rank == 0:
            expected = [torch.as_tensor(param.grad) / 2 for param in alone.model.parameters()]
            torch.testing.assert_close(found, expected)


@CASES.add("within join(), a method of which a process without a batch knows too little is refused")
def _(rank: int) -> None:
    for name in ("TRPO", "R3F", "ASAM+R3F", "TRAM-prev", "TRAM-x", "TRAM-Fisher, separate"):
        for sync in ("global", "local"):
            problem = classification()
            ddp = wrapped(problem)
            tram = TRAM(ddp, EVERY_METHOD[name], input_module=problem.input_module, sync=sync)
            told = r"within ddp_model\.join\(\).*as many batches and leave join\(\) out"
            with pytest.raises(ValueError, match=told), ddp.join():
                tram.backward(calling(ddp, problem), problem.batches[0])
            assert tram.steps == 0


@CASES.add("a state is the same wrapped and bare")
def _(rank: int) -> None:
    problem = classification()
    ddp = wrapped(problem)
    tram = TRAM(ddp, "TRAM-pre")
    train(problem, tram, ddp, own_part(problem, rank, STEPS, 1))
    bare = TRAM(problem.model, "TRAM-pre")
    bare.load_state_dict(tram.state_dict())
    assert same_bits(
        {key: value for key, value in bare.state_dict().items() if key.startswith("reference.")},
        {f"reference.{key}": value for key, value in weights(classification().model).items()},
    )


@CASES.add("the Hugging Face Trainer")
def _(rank: int) -> None:
    """Its two processes against one that sees what both saw, step by step."""
    from tests.tram import test_trainer as hugging_face
    from tests.tram.tiny_transformers import classifier

    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": "1"}  # asked for, not used: there is a group already
    seen: list[Tensor] = []
    model, alone = classifier(), classifier()
    model.register_forward_pre_hook(lambda _, args, kwargs: seen.append(kwargs["input_ids"].clone()), with_kwargs=True)
    with tempfile.TemporaryDirectory() as folder:
        trainer = hugging_face.TRAMTrainer(
            model=model,
            args=hugging_face.arguments(Path(folder), gradient_accumulation_steps=2, max_grad_norm=0.0),
            train_dataset=hugging_face.CLASSES,
            method="TRAM-prev",
        )
        trainer.model_accepts_loss_kwargs = False  # as in the tests of the Trainer: this model's loss is a plain mean
        trainer.train()
    # A step's forwards: reference and first pass of either micro-batch, then the second pass of both.
    own = torch.stack(seen).unflatten(0, (4, 6))[:, 0:4:2]
    both = [torch.empty_like(own) for _ in range(2)]
    dist.all_gather(both, own)
    tram = TRAM(alone, "TRAM-prev")
    optimizer = torch.optim.SGD(alone.parameters(), lr=0.1)

    def forward(rows: Tensor) -> tuple[Tensor, Tensor]:
        logits = alone(input_ids=rows, attention_mask=torch.ones_like(rows)).logits
        return nn.functional.cross_entropy(logits, rows[:, 0] % 3), logits

    for step in range(4):
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - step / 4)
        tram.backward(forward, *both[0][step], *both[1][step])
        optimizer.step()
        optimizer.zero_grad()
    for name, weight in weights(alone).items():
        torch.testing.assert_close(weights(model)[name], weight, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(trainer.tram.distance, tram.distance, rtol=1e-3, atol=0)


@CASES.add("parameters outside of the wrapper are refused")
def _(rank: int) -> None:
    problem = classification()
    problem.model.head = DistributedDataParallel(problem.model.head)
    with pytest.raises(
        ValueError, match=r"embedding\.weight is outside of DistributedDataParallel.*wrap the whole model"
    ):
        TRAM(problem.model, "SAM").backward(problem.forward, problem.batches[0])


@CASES.add("a model that is not wrapped is a process by itself")
def _(rank: int) -> None:
    problem = classification()
    tram = TRAM(problem.model, "TRAM-pre")
    with counted_all_reduces() as sizes:
        if rank == 0:
            train(problem, tram, problem.model, own_part(problem, rank, STEPS, 1))
    assert sizes == []


# ----------------------------------------------------------------------------------------------- a group of one process


@pytest.fixture
def one_process(tmp_path: Path) -> Iterator[None]:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("one_process")
def test_inside_the_forward_of_the_wrapper_what_would_not_be_exchanged_is_refused() -> None:
    """Where a LightningModule's training_step runs."""

    class Inside(nn.Module):
        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.network = network
            self.todo: Any = None

        def forward(self) -> Any:
            return self.todo()

    problem = classification()
    inside = Inside(problem.model)
    wrapped = DistributedDataParallel(inside)
    batch = problem.batches[0]
    for model, sync, step, told in (
        (inside, "global", lambda tram: tram.backward(problem.forward, batch), r"tram\.backward.*manual_backward"),
        (wrapped, "global", lambda tram: tram.backward(problem.forward, batch), r"tram\.backward.*manual_backward"),
        (inside, "global", lambda tram: tram.objective(problem.forward)(batch), r"Inside is inside.*strategy\.model"),
        (problem.model, "global", lambda tram: tram.objective(problem.forward)(batch), r"Classifier is inside"),
        (wrapped, "local", lambda tram: tram.objective(problem.forward)(batch), r'sync="local" cannot hold back'),
    ):
        tram = TRAM(model, "TRPO", sync=sync)  # type: ignore[arg-type]
        inside.todo = lambda tram=tram, step=step: step(tram)
        with pytest.raises(RuntimeError, match=told):
            wrapped()
    tram = TRAM(wrapped, "TRPO")
    inside.todo = lambda: tram.objective(problem.forward)(batch)
    wrapped().backward()
    tram.advance()
    other = classification()  # another model trains there as it likes
    inside.todo = lambda: TRAM(other.model, "TRPO").backward(other.forward, batch)
    wrapped()


@pytest.mark.usefixtures("one_process")
def test_a_wrapper_that_averages_by_hooks_of_its_own_is_not_passed_by() -> None:
    """torch.compile's other way to train within DistributedDataParallel, which does not say when it is active."""
    problem = classification()
    # Its own patch: what monkeypatch puts back, this configuration hides from then on.
    with importlib.import_module("torch._dynamo").config.patch(optimize_ddp="python_reducer"):
        ddp = wrapped(problem)
    TRAM(ddp, "TRPO").backward(calling(ddp, problem), problem.batches[0])
    assert ddp._use_python_reducer


@pytest.mark.usefixtures("one_process")
@pytest.mark.parametrize("name", METHODS)
def test_a_wrapped_model_with_batch_normalisation_trains_as_the_bare_one(name: str) -> None:
    found: list[dict[str, Tensor]] = []
    for is_wrapped in (False, True):
        problem = classification(norm=True)
        called = wrapped(problem) if is_wrapped else problem.model
        tram = TRAM(called, name, input_module=problem.input_module)
        train(problem, tram, called, [split(batch, 2) for batch in problem.batches[:3]])
        found.append(dict(problem.model.state_dict()))
    assert same_bits(found[0], found[1])
