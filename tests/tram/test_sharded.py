"""fully_shard (FSDP2): parameters in shards, and the step that one process makes with the whole batch."""

import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import get_model_state_dict, set_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, FullyShardedDataParallel, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, Replicate, distribute_tensor
from torch.distributed.tensor import Shard as ShardPlacement

from tests.problems import Batch, Problem, classification, language_modelling, split
from tests.tram.pair import Cases
from tests.tram.several import (
    EVERY_METHOD,
    NoHostSync,
    assert_same_course,
    calling,
    counted_all_reduces,
    of_one_process,
    own_part,
    state_of,
    train,
    whole,
)
from tram import METHODS, TRAM, Adaptive, Ascent, KeptLogits, Method, TRAMOptimizer, TRAMTrainerMixin

CASES = Cases()
STEPS = 3


def test_every_case_in_two_processes() -> None:
    CASES.check(__name__)


def sharded(problem: Problem, layers: bool = True, **options: Any) -> nn.Module:
    """The problem's model in shards: each layer a group of its own, or all of it one (as tied weights need)."""
    if layers and hasattr(problem.model, "norm"):
        for layer in (problem.model.embedding, problem.model.head):
            fully_shard(layer, **options)  # type: ignore[arg-type]
    fully_shard(problem.model, **options)
    return problem.model


def shards(model: nn.Module) -> dict[str, Tensor]:
    """Copies of what this process holds. Gathered parameters are scattered first, and not read."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()
    return {name: param.to_local().clone() for name, param in model.named_parameters()}  # type: ignore[attr-defined]


def assert_same_bits(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    assert left.keys() == right.keys()
    for name in left:
        assert torch.equal(left[name], right[name]), name


# ------------------------------------------------------------------------------------------------------- as one process

for name, method in EVERY_METHOD.items():
    for micro_batches, make in ((2, classification), (1, language_modelling)):

        @CASES.add(f"equals one process: {name}, {micro_batches} micro-batches, {make.__name__}")
        def _(
            rank: int, method: Method = method, count: int = micro_batches, make: Callable[[], Problem] = make
        ) -> None:
            problem = make()
            model = sharded(problem)
            tram = TRAM(model, method, input_module=problem.input_module)
            found = train(problem, tram, model, own_part(problem, rank, STEPS, count))
            assert_same_course(found, of_one_process(make, method, STEPS, count))


LAYOUTS: dict[str, Callable[[Problem], nn.Module]] = {
    "one group": lambda problem: sharded(problem, layers=False),
    "gathered after forward": lambda problem: sharded(problem, reshard_after_forward=False),
    "scattered after forward": lambda problem: sharded(problem, reshard_after_forward=True),
    "gathered after backward": lambda problem: kept_gathered(sharded(problem)),
    "two replicas": lambda problem: sharded(problem, mesh=mesh(2, 1)),
    "one replica": lambda problem: sharded(problem, mesh=mesh(1, 2)),
    "second dimension": lambda problem: sharded(
        problem, shard_placement_fn=lambda param: ShardPlacement(int(param.shape == (3, 8)))
    ),
}


def kept_gathered(model: nn.Module) -> nn.Module:
    model.set_reshard_after_backward(False)  # type: ignore[operator]
    return model


def mesh(replicas: int, shards: int) -> Any:
    return init_device_mesh("cpu", (replicas, shards), mesh_dim_names=("replicas", "shards"))


for layout, lay_out in LAYOUTS.items():
    for name in ("FSAM", "ASAM+R3F", "ASAM+MESA", "TRAM-prev", "TRAM-pre", "TRAM-Fisher, separate"):

        @CASES.add(f"layout {layout}: {name}")
        def _(rank: int, name: str = name, lay_out: Callable[[Problem], nn.Module] = lay_out) -> None:
            problem = classification()
            model = lay_out(problem)
            tram = TRAM(model, EVERY_METHOD[name], input_module=problem.input_module)
            found = train(problem, tram, model, own_part(problem, rank, STEPS, 2))
            assert_same_course(found, of_one_process(classification, EVERY_METHOD[name], STEPS, 2))


@CASES.add("weights without scale for vectors, frozen ones, ones too small for two shards")
def _(rank: int) -> None:
    def make() -> Problem:
        problem = classification()
        problem.model.norm = nn.LayerNorm(1, dtype=torch.float64)  # normalises to its bias, of one element
        problem.model.norm.register_forward_pre_hook(lambda module, args: (args[0].mean(-1, keepdim=True),))
        problem.model.norm.register_forward_hook(lambda module, args, out: out.expand(-1, 8) + torch.arange(8.0))
        nn.init.constant_(problem.model.norm.bias, 0.3)
        problem.model.head.weight.requires_grad_(False)  # type: ignore[union-attr]
        return problem

    for ascent in (Ascent(Adaptive(eta=0.1, scale_vectors=False), "d"), Ascent(Adaptive(), "d")):
        method = Method(METHODS["TRAM-pre"].trust_region, ascent=ascent)
        problem = make()
        model = sharded(problem)
        assert rank == 0 or model.norm.bias.to_local().numel() == 0  # type: ignore[union-attr, operator]
        found = train(problem, TRAM(model, method), model, own_part(problem, rank, STEPS, 1))
        assert_same_course(found, of_one_process(make, method, STEPS, 1))


@CASES.add("a schedule moves the learning rate of what steps")
def _(rank: int) -> None:
    """Of the optimizer beside the estimator, or of the facade, which shares its groups: against a rate made by hand."""
    alone = classification()
    start, tram = {name: value.clone() for name, value in alone.model.named_parameters()}, TRAM(alone.model, "SAM")
    for step, batch in enumerate(alone.batches[:STEPS]):
        tram.backward(alone.forward, batch)
        with torch.no_grad():
            for param in alone.model.parameters():
                param -= 0.1 * 0.5**step * torch.as_tensor(param.grad)
                param.grad = None
    for facade in (False, True):
        problem = classification()
        model = sharded(problem)
        forward, optimizer = calling(model, problem), torch.optim.SGD(model.parameters(), lr=0.1)
        estimator, closing = TRAM(model, "SAM"), TRAMOptimizer(model, "SAM", torch.optim.SGD, lr=0.1)
        schedule = torch.optim.lr_scheduler.ExponentialLR(closing if facade else optimizer, 0.5)
        for (part,) in own_part(problem, rank, STEPS, 1):
            if facade:
                closing.step(lambda forward=forward, part=part: forward(part))
                closing.zero_grad()
            else:
                estimator.backward(forward, part)
                optimizer.step()
                optimizer.zero_grad()
            schedule.step()
        for name, param in model.named_parameters():
            torch.testing.assert_close(whole(param), alone.model.get_parameter(name), rtol=1e-9, atol=1e-11)
            assert not torch.equal(whole(param), start[name])


@CASES.add("clipping, as users do it")
def _(rank: int) -> None:
    found = []
    for shard in (True, False):
        problem = classification()
        model = sharded(problem) if shard else problem.model
        tram = TRAM(model, "TRAM-pre")
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        course = []
        for step, batch in enumerate(problem.batches[:STEPS]):
            parts = own_part(problem, rank, STEPS, 1)[step] if shard else split(batch, 2)
            tram.backward(calling(model, problem), *parts)
            norm = nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            optimizer.step()
            optimizer.zero_grad()
            course.append({**state_of(problem, tram), "norm": whole(norm)})
        assert course[0]["norm"] > 0.1
        found.append(course)
    assert_same_course(*found)


@CASES.add("passes of one's own")
def _(rank: int) -> None:
    for name in ("MESA", "ASAM+R3F", "TRAM-prev", "TRAM-Fisher, separate"):
        problem, method = classification(), EVERY_METHOD[name]
        model = sharded(problem)
        tram = TRAM(model, method, input_module=problem.input_module)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        objective = tram.objective(calling(model, problem))
        found = []
        for parts in own_part(problem, rank, STEPS, 2):
            for part in parts:
                (objective(part) / 2).backward()
            if method.ascent is not None:
                with tram.perturbed():
                    for part in parts:
                        (objective(part) / 2).backward()
            tram.advance()
            optimizer.step()
            optimizer.zero_grad()
            found.append(state_of(problem, tram))
        assert_same_course(found, of_one_process(classification, method, STEPS, 2))


# -------------------------------------------------------------------------------- weights that FSDP has gathered before


@CASES.add("forwards without backward between steps leave nothing stale")
def _(rank: int) -> None:
    """The root keeps gathered weights after such a forward, and would use them where the shards have moved."""
    for options in ({}, {"reshard_after_forward": False}):
        for name in ("SAM", "TRPO", "TRAM-prev", "TRAM-pre", "TRAM-x"):
            problem = classification()
            model = sharded(problem, **options)
            forward = calling(model, problem)
            tram = TRAM(model, name, input_module=problem.input_module)
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
            found = []
            for (part,) in own_part(problem, rank, STEPS, 1):
                with torch.no_grad():
                    forward(part)
                tram.backward(forward, part)
                optimizer.step()
                optimizer.zero_grad()
                found.append({name: whole(p).clone() for name, p in model.named_parameters()})
            expected = of_one_process(classification, METHODS[name], STEPS, 1)
            assert_same_course(found, [{name: step[name] for name in found[0]} for step in expected])


@CASES.add("a forward within perturbed() leaves nothing stale for one after it")
def _(rank: int) -> None:
    for options in ({}, {"reshard_after_forward": False}):
        problem = classification()
        model = sharded(problem, **options)
        forward, batch = calling(model, problem), problem.batches[0]
        tram = TRAM(model, "ASAM")
        with torch.no_grad():
            before = forward(batch)[1]
        objective = tram.objective(forward)
        objective(batch).backward()
        with tram.perturbed():
            objective(batch).backward()
            with torch.no_grad():
                moved = forward(batch)[1]
        with torch.no_grad():
            after = forward(batch)[1]
        assert torch.equal(before, after)
        assert not torch.allclose(before, moved, rtol=1e-3)


# ----------------------------------------------------------------------------------------------------- weights restored


@CASES.add("shards are bit-identical after backward, in place")
def _(rank: int) -> None:
    for method in EVERY_METHOD.values():
        problem = classification(dtype=torch.float32)
        model = sharded(problem)
        tram = TRAM(model, method, input_module=problem.input_module)
        train(problem, tram, model, own_part(problem, rank, 2, 2))
        before = shards(model)
        pointers = [param.to_local().data_ptr() for param in model.parameters()]  # type: ignore[attr-defined]
        tram.backward(calling(model, problem), *own_part(problem, rank, STEPS, 2)[2])
        assert_same_bits(shards(model), before)
        assert [param.to_local().data_ptr() for param in model.parameters()] == pointers  # type: ignore[attr-defined]


@CASES.add("an exception in any pass leaves the weights, and the next step is right")
def _(rank: int) -> None:
    for name in ("SAM", "TRAM-pre", "TRAM-x"):
        for fatal in range(1, METHODS[name].passes.forward + 1):
            for where in ("before the model", "in it", "after it"):
                problem = classification()
                model = sharded(problem, layers=False)  # the root itself has gathered weights then
                tram = TRAM(model, name, input_module=problem.input_module)
                optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
                steps = own_part(problem, rank, STEPS, 1)
                calls = 0

                def fail(module: nn.Module, args: Any) -> None:
                    nonlocal calls
                    calls += 1
                    if calls == fatal:  # noqa: B023
                        raise torch.OutOfMemoryError("simulated")

                def failing(batch: Batch) -> tuple[Tensor, Tensor]:
                    if where == "before the model":  # noqa: B023
                        fail(model, None)  # noqa: B023
                    outputs = calling(model, problem)(batch)  # noqa: B023
                    if where == "after it":  # noqa: B023
                        fail(model, None)  # noqa: B023
                    return outputs

                before = shards(model)
                handle = problem.model.dropout.register_forward_pre_hook(fail) if where == "in it" else None  # type: ignore[union-attr]
                with pytest.raises(torch.OutOfMemoryError):
                    tram.backward(failing, *steps[2])
                if handle is not None:
                    handle.remove()
                assert_same_bits(shards(model), before)
                optimizer.zero_grad()
                found = train(problem, tram, model, steps)
                expected = of_one_process(classification, METHODS[name], STEPS, 1)
                for key in ("distance", "radius", "perturbation_norm"):
                    assert (key in found[-1]) == (key in expected[-1])
                assert_same_course(
                    [{key: step[key] for key in step if key != "degenerate_steps"} for step in found],
                    [{key: step[key] for key in step if key != "degenerate_steps"} for step in expected],
                )


# -------------------------------------------------------------------------------------------------------- what it costs


@CASES.add("at most three scalars are exchanged a step, and no step waits for the device")
def _(rank: int) -> None:
    expected = {"SGD": 0, "SAM": 1, "TRPO": 1, "ASAM+MESA": 3, "TRAM-prev": 3, "TRAM-Fisher": 2}
    for name, method in EVERY_METHOD.items():
        problem = classification()
        model = sharded(problem)
        tram = TRAM(model, method, input_module=problem.input_module)
        with NoHostSync(), counted_all_reduces() as sizes:
            tram.backward(calling(model, problem), *own_part(problem, rank, 1, 2)[0])
        assert name not in expected or sizes == [1] * expected[name], (name, sizes)


# ------------------------------------------------------------------------------------------------------------- resuming


@CASES.add("resumed equals uninterrupted, bit for bit")
def _(rank: int) -> None:
    for method in EVERY_METHOD.values():
        problem = classification()
        model = sharded(problem)
        tram = TRAM(model, method, input_module=problem.input_module, seed=3)
        steps = own_part(problem, rank, 4, 1)
        plain(problem, tram, steps[:2])
        state, stored = tram.state_dict(), shards(model)
        plain(problem, tram, steps[2:])
        expected = shards(model)

        problem = classification()
        model = sharded(problem)
        tram = TRAM(model, method, input_module=problem.input_module, seed=99)
        with torch.no_grad():
            for name, param in model.named_parameters():
                param.to_local().copy_(stored[name])  # type: ignore[attr-defined]
        tram.load_state_dict(state)
        plain(problem, tram, steps[2:])
        assert_same_bits(shards(model), expected)


def plain(problem: Problem, tram: TRAM, steps: list[list[Batch]]) -> None:
    """Gradient descent without momentum, whose state is the weights."""
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=0.1)
    for parts in steps:
        tram.backward(calling(problem.model, problem), *parts)
        optimizer.step()
        optimizer.zero_grad()


@CASES.add("a state of another shard is refused")
def _(rank: int) -> None:
    problem = classification()
    tram = TRAM(sharded(problem), "TRAM-pre")
    plain(problem, tram, own_part(problem, rank, 1, 1))
    state = tram.state_dict()
    tram.load_state_dict(state)
    assert {key.partition(".")[0] for key in state if "reference." in key} == {f"shard {rank} of 2"}
    for there in (f"shard {1 - rank} of 2", "shard 0 of 4"):
        renamed = {key.replace(f"shard {rank} of 2", there): value for key, value in state.items()}
        with pytest.raises(
            ValueError, match=rf"of {there}, .*holds shard {rank} of 2: load what .* same rank saved, among"
        ):
            tram.load_state_dict(renamed)
    alone = classification()
    bare = TRAM(alone.model, "TRAM-pre")
    with pytest.raises(ValueError, match=f"shard {rank} of 2.*holds whole weights"):
        bare.load_state_dict(state)
    plain(alone, bare, [[alone.batches[0]]])
    with pytest.raises(ValueError, match=f"of whole weights, .*holds shard {rank} of 2"):
        tram.load_state_dict(bare.state_dict())
    # Without a reference there is nothing in shards, and the number of processes may change.
    problem = classification()
    tram = TRAM(sharded(problem), "SAM")
    plain(problem, tram, own_part(problem, rank, 1, 1))
    TRAM(classification().model, "SAM").load_state_dict(tram.state_dict())


@CASES.add("torch.distributed.checkpoint holds every process's shards")
def _(rank: int) -> None:
    folders: list[str] = [tempfile.mkdtemp()] * 2
    dist.broadcast_object_list(folders, src=0)
    for name, method in EVERY_METHOD.items():
        problem = classification()
        model = sharded(problem)
        tram = TRAM(model, method, input_module=problem.input_module, seed=3)
        steps = own_part(problem, rank, 4, 1)
        plain(problem, tram, steps[:2])
        folder = Path(folders[0]) / name
        stored = {"tram": tram, "model": get_model_state_dict(model)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own, about its storages
            dcp.save(stored, checkpoint_id=folder)
        plain(problem, tram, steps[2:])
        expected, reported = shards(model), tram.degenerate_steps

        problem = classification()
        model = sharded(problem)
        tram = TRAM(model, method, input_module=problem.input_module, seed=99)
        with torch.no_grad():
            for param in model.parameters():
                param.to_local().zero_()  # type: ignore[attr-defined]
        stored = {"tram": tram, "model": get_model_state_dict(model)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dcp.load(stored, checkpoint_id=folder)
        set_model_state_dict(model, stored["model"])
        plain(problem, tram, steps[2:])
        assert_same_bits(shards(model), expected)
        assert tram.steps == 4
        assert tram.degenerate_steps == reported
    dist.barrier()
    if rank == 0:
        shutil.rmtree(folders[0])


class Saving:
    """What TRAMTrainerMixin asks of a Trainer to save and load its own state."""

    def __init__(self, model: nn.Module, rank: int) -> None:
        self.model = self.model_wrapped = model
        self.args = SimpleNamespace(should_save=rank == 0, process_index=rank, seed=0)
        self.accelerator = None

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None: ...

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None: ...


class SavingTRAM(TRAMTrainerMixin, Saving): ...


@CASES.add("a Trainer's checkpoint holds every process's shards")
def _(rank: int) -> None:
    folders: list[str] = [tempfile.mkdtemp()] * 2
    dist.broadcast_object_list(folders, src=0)
    for name, files in (("TRAM-pre", {"tram-0.pt", "tram-1.pt"}), ("SAM", {"tram.pt"})):
        folder = Path(folders[0]) / name
        problem = classification()
        trainer = SavingTRAM(sharded(problem), rank, method=name)
        plain(problem, trainer.tram, own_part(problem, rank, 2, 1))
        trainer._save_optimizer_and_scheduler(str(folder))
        dist.barrier()
        assert {file.name for file in folder.iterdir()} == files
        fresh = SavingTRAM(sharded(classification()), rank, method=name)
        fresh._load_optimizer_and_scheduler(str(folder))
        state, expected = fresh.tram.state_dict(), trainer.tram.state_dict()
        assert state.keys() == expected.keys()
        for key, value in state.items():
            assert torch.equal(value, expected[key]) if isinstance(value, Tensor) else value == expected[key]
    dist.barrier()
    if rank == 0:
        shutil.rmtree(folders[0])


# ------------------------------------------------------------------------------------------------------------- refusals


@CASES.add("layouts that would be wrong are refused")
def _(rank: int) -> None:
    def refused(model: nn.Module, match: str, **options: Any) -> None:
        with pytest.raises(ValueError, match=match):
            TRAM(model, "TRAM-pre", **options).objective(lambda batch: pytest.fail("went on"))(None)

    refused(sharded(classification()), 'sync="local" .*use sync="global", or Distributed', sync="local")
    refused(sharded(classification()), "leave reference_logits out", reference_logits=KeptLogits(4))

    problem = classification()
    fully_shard(problem.model.head)  # type: ignore[arg-type]
    refused(problem.model, "embedding.weight is not sharded and others are: call fully_shard on the whole model")

    problem = classification()
    fully_shard(problem.model.head, mesh=mesh(1, 2))  # type: ignore[arg-type]
    fully_shard(problem.model, mesh=init_device_mesh("cpu", (2,)))
    refused(problem.model, "head.weight is sharded over another mesh")

    problem = classification()
    fully_shard(problem.model)
    both = mesh(1, 2)
    for name, param in list(problem.model.head.named_parameters()):  # type: ignore[union-attr]
        values = distribute_tensor(torch.ones(param.shape), both, [ShardPlacement(0), ShardPlacement(0)])
        setattr(problem.model.head, name, nn.Parameter(values))
    problem.model.embedding.requires_grad_(False)
    refused(problem.model, "head.weight is laid out as .*tensor parallelism is not supported")

    refused(FullyShardedDataParallel(classification().model, device_id=torch.device("cpu")), "FSDP1.*fully_shard")


@CASES.add("mixed precision keeps shards and norms in single precision")
def _(rank: int) -> None:
    problem = classification(dtype=torch.float32)
    model = sharded(problem, mp_policy=MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32))
    tram = TRAM(model, "TRAM-pre")
    before = shards(model)
    plain(problem, tram, own_part(problem, rank, STEPS, 1))
    assert tram.perturbation_norm.dtype == torch.float32  # type: ignore[union-attr]
    assert tram.perturbation_norm.item() > 0  # type: ignore[union-attr]
    after = shards(model)
    tram.backward(calling(model, problem), own_part(problem, rank, 1, 1)[0][0])
    assert_same_bits(shards(model), after)
    assert not torch.equal(before["head.weight"], after["head.weight"])
    assert isinstance(model.head.weight, DTensor)  # type: ignore[union-attr]
    assert Replicate() not in model.head.weight.placements  # type: ignore[union-attr]
