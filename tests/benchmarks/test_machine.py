"""What a machine is asked before a run, and what it is answered."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.errors import RunError
from benchmarks.execution import Execution
from benchmarks.machine import GIB, Machine, check_machine, checkpoint_bytes, device_for, machine, memory_bytes
from benchmarks.methods import resolve
from benchmarks.processes import Processes
from benchmarks.registry import BENCHMARKS
from benchmarks.row import Benchmark

XL, WIKI = BENCHMARKS["m2d2-s2orc-xl"], BENCHMARKS["m2d2-wiki"]
CUDA = torch.device("cuda", 0)
FOUR = Processes(rank=0, count=4, local=0)


def card(gib: float, has_bfloat16: bool = True) -> Machine:
    return Machine(CUDA, int(gib * GIB), has_bfloat16)


def check(row: Benchmark, method: str, here: Machine, execution: Execution = Execution(), free: float = 1e15) -> None:
    recipe = execution.fitted(row.recipe)
    check_machine(row, recipe, resolve(method).method, execution, here, Path("results"), lambda _: int(free))


def test_memory_of_a_case_made_by_hand() -> None:
    """Adam: weights, gradients, two moments; TRAM-prev one copy more, TRAM-pre two, ASAM one."""
    needs = WIKI.needs
    assert needs is not None
    fixed = 16 * needs.activation_bytes + 2 * GIB
    copies = {"Adam": 4, "ASAM": 5, "TRAM-prev": 5, "TRAM-x": 5, "TRAM-pre": 6, "TRPO": 5, "ASAM+TRPO": 5}
    for method, count in copies.items():
        found = memory_bytes(WIKI, WIKI.recipe, resolve(method).method, Execution())
        assert found == pytest.approx(count * 4 * needs.parameters + fixed), method
    parts = replace(WIKI.recipe, micro_batches=4)
    assert memory_bytes(WIKI, parts, resolve("Adam").method, Execution()) == pytest.approx(
        16 * needs.parameters + 4 * needs.activation_bytes + 2 * GIB
    )


def test_shards_divide_the_weights_and_processes_the_batch() -> None:
    needs, method = XL.needs, resolve("TRAM-pre").method
    assert needs is not None
    copied = memory_bytes(XL, XL.recipe, method, Execution(processes=FOUR))
    shared = memory_bytes(XL, XL.recipe, method, Execution(processes=replace(FOUR, parallel="fsdp2")))
    assert copied == pytest.approx(28 * needs.parameters + 4 * needs.activation_bytes + 2 * GIB)
    assert shared == pytest.approx(6 * needs.parameters + 4 * needs.activation_bytes + 2 * GIB)


def test_the_papers_machines_do() -> None:
    """One A100 of 80 GB for GPT-2, four for GPT2-XL."""
    for method in ("Adam", "TRAM-prev", "TRAM-pre"):
        check(WIKI, method, card(79))
        check(XL, method, card(79), Execution(processes=FOUR))


def test_a_card_that_is_too_small_is_told_how_to_fit() -> None:
    with pytest.raises(RunError, match=r"needs about \d+ GiB of GPU memory; 12 are free here\. --micro-batches 4 "):
        check(WIKI, "TRAM-pre", card(12))
    check(WIKI, "TRAM-pre", card(12), Execution(micro_batches=4))
    with pytest.raises(RunError, match=r"Share it between GPUs: torchrun .* --parallel fsdp2"):
        check(XL, "TRAM-pre", card(24))


def test_precision_that_the_card_has_not() -> None:
    with pytest.raises(RunError, match=r"no bfloat16\. --precision float16 runs it"):
        check(WIKI, "Adam", card(32, has_bfloat16=False))
    check(WIKI, "Adam", card(32, has_bfloat16=False), Execution(precision="float16"))


def test_half_precision_is_for_whole_weights() -> None:
    with pytest.raises(RunError, match=r"loss scaling .* Take --parallel ddp"):
        check(XL, "Adam", card(79), Execution(processes=replace(FOUR, parallel="fsdp2"), precision="float16"))


def test_a_batch_that_does_not_divide() -> None:
    with pytest.raises(RunError, match=r"a batch of 16 does not divide among 3 processes with 1 micro-batches each"):
        check(WIKI, "Adam", card(79), Execution(processes=Processes(count=3)))


def test_a_disk_that_cannot_hold_the_checkpoints() -> None:
    needs = WIKI.needs
    assert needs is not None
    wanted = 3 * checkpoint_bytes(needs, resolve("TRAM-pre").method)
    assert wanted == pytest.approx(3 * 20 * needs.parameters)
    with pytest.raises(RunError, match=r"6 GiB are free at results, and three checkpoints .* take 7.*--results"):
        check(WIKI, "TRAM-pre", card(79), free=6 * GIB)
    check(WIKI, "TRAM-pre", card(79), free=wanted + 1)


def test_only_a_reference_that_stays_can_be_kept() -> None:
    for method in ("TRAM-prev", "TRAM-x", "SAM", "TRAM-pre@dropout=fresh"):
        with pytest.raises(RunError, match="--keep-reference is for TRAM-pre"):
            check(BENCHMARKS["xnli"], method, card(79), Execution(keep_reference=True))
    check(BENCHMARKS["xnli"], "TRAM-pre", card(79), Execution(keep_reference=True))


def test_the_device_is_the_one_asked_for_else_the_one_needed() -> None:
    assert device_for(BENCHMARKS["mini-m2d2"], Execution()) == torch.device("cpu")
    assert device_for(WIKI, Execution(processes=Processes(1, 2, 1))) == torch.device("cuda", 1)
    assert device_for(WIKI, Execution("cpu")) == torch.device("cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_machine_without_a_gpu_says_so() -> None:
    with pytest.raises(RunError, match=r"m2d2-wiki takes a GPU, and torch finds none here\. --device cpu"):
        machine(CUDA, "m2d2-wiki")
    assert machine(torch.device("cpu"), "mini-m2d2").device.type == "cpu"
