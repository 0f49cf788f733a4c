"""Several processes that train one model: what they exchange, beside what their wrappers exchange by themselves.

    replicas   DistributedDataParallel: every process holds all weights, backward() averages p.grad
    shards     fully_shard (FSDP2): every process holds a part of each weight, backward() averages and scatters p.grad

Nothing here reads a tensor on the host.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from tram._weights import local, trainable

Sync = Literal["global", "local"]


@dataclass(frozen=True)
class Processes:
    """The processes that train one model together, as one of them sees them; the default is a process by itself."""

    replicas: tuple[DistributedDataParallel, ...] = ()
    sharded: tuple[Any, ...] = ()  # FSDPModules, outermost first
    averaged_over: tuple[Any, ...] = ()  # process groups; none under sync="local", where each keeps its own numbers
    sharded_over: Any = None  # the process group whose members hold the parts of one weight
    reduced_on: str | None = None  # the type of device that the groups of shards communicate on
    name_of_shard: str = ""  # which part of the weights this process holds: "shard 0 of 2."

    def mean(self, value: Tensor) -> Tensor:
        """A scalar averaged over all processes, each of which has its own part of the batch."""
        self._refuse_uneven_inputs()
        if not self.averaged_over:
            return value
        total = self._summed(value, self.averaged_over)
        for group in self.averaged_over:
            total = total / dist.get_world_size(group)
        return total

    def sum_over_shards(self, value: Tensor) -> Tensor:
        """A scalar of this process's shards summed to that of the whole weights."""
        return value if self.sharded_over is None else self._summed(value, (self.sharded_over,))

    def _summed(self, value: Tensor, groups: tuple[Any, ...]) -> Tensor:
        total = value.detach().clone() if self.reduced_on in (None, value.device.type) else value.to(self.reduced_on)
        for group in groups:
            dist.all_reduce(total, group=group)
        return total.to(value.device)

    def average_(self, grads: list[Tensor]) -> None:
        """Average gradients that replicas made without `backward`, in place; those of shards are averages already."""
        if self.sharded:
            return
        for group in self.averaged_over:
            for work in [dist.all_reduce(grad, group=group, async_op=True) for grad in grads]:
                work.wait()
            torch._foreach_div_(grads, dist.get_world_size(group))

    def gradients(self, loss: Tensor, params: list[Tensor]) -> list[Tensor]:
        """The gradient of this process's loss, or its shards of that of the mean loss; `p.grad` is left as it was."""
        if not self.sharded:
            return list(torch.autograd.grad(loss, params, allow_unused=True, materialize_grads=True))
        before = [param.grad for param in params]
        for param in params:
            param.grad = None
        try:
            loss.backward()
            return [torch.zeros_like(local(p)) if p.grad is None else local(p.grad) for p in params]
        finally:
            for param, grad in zip(params, before, strict=True):
                param.grad = grad

    @contextmanager
    def unsynchronised(self) -> Iterator[None]:
        """Forward and backward passes whose gradients the replicas keep to themselves.

        Shards have no such thing: a whole gradient on every process is what they are there to avoid. Raises ValueError
        for replicas that cannot.
        """
        if any(replica.static_graph for replica in self.replicas):
            raise ValueError(
                "DistributedDataParallel(..., static_graph=True) cannot hold gradients back while it learns the graph, "
                'which several micro-batches and sync="local" need: leave static_graph out'
            )
        with self._without_exchange():
            yield

    @contextmanager
    def _without_exchange(self) -> Iterator[None]:
        with ExitStack() as stack:
            for replica in self.replicas:
                stack.enter_context(replica.no_sync())
            yield

    @contextmanager
    def unnoticed(self) -> Iterator[None]:
        """A forward beside the passes, which a replica may make while others do not: no buffer is broadcast in it, and
        whether one is in the next forward is as if it had not been."""
        self._refuse_uneven_inputs()
        before = [replica.require_forward_param_sync for replica in self.replicas]
        try:
            for replica in self.replicas:
                replica.require_forward_param_sync = False
            with self._without_exchange():
                yield
        finally:
            for replica, required in zip(self.replicas, before, strict=True):
                replica.require_forward_param_sync = required

    def _refuse_uneven_inputs(self) -> None:
        """Raise ValueError within `join()`, where a process without a batch answers the passes of the loss alone."""
        if any(replica._join_config.enable for replica in self.replicas):
            raise ValueError(
                "within ddp_model.join() a process that has no batch left takes no part in d, nor in the forwards that "
                "this method makes beside those of the loss: give every process as many batches and leave join() out"
            )

    def reshard(self) -> None:
        """Drop gathered weights, which FSDP keeps after some forwards and would use again, whatever the shards hold."""
        for module in self.sharded:
            module.reshard()

    def recover(self) -> None:
        """Make FSDP ready for a new forward after an exception in one, where this version of torch can."""
        inner: set[nn.Module] = set()
        for module in self.sharded:
            if module not in inner and hasattr(module, "reset_iter_state"):
                # Before the first forward there is nothing to reset, which torch does not look for.
                with suppress(AttributeError):
                    module.reset_iter_state()
            inner.update(module.modules())


def find_processes(model: nn.Module, sync: Sync) -> Processes:
    """Who trains `model`, by how it is wrapped.

    Raises ValueError where the weights are laid out in a way whose norms and averages would not be those of one
    process: FSDP1, parameters left out of the wrapping, several meshes, tensor parallelism; and for shards with
    sync="local".
    """
    if not (dist.is_available() and dist.is_initialized()):
        return Processes()
    # Imported late: these take seconds, which a process by itself need not wait for.
    from torch.distributed.fsdp import FSDPModule, FullyShardedDataParallel

    modules = list(model.modules())
    if any(isinstance(module, FullyShardedDataParallel) for module in modules):
        raise ValueError(
            "FullyShardedDataParallel (FSDP1) flattens parameters and is not supported: "
            "use torch.distributed.fsdp.fully_shard(model)"
        )
    sharded = tuple(module for module in modules if isinstance(module, FSDPModule))
    replicas = tuple(module for module in modules if isinstance(module, DistributedDataParallel))
    if sharded:
        return _shards(model, sharded, sync)
    if replicas:
        synchronised = {param for replica in replicas for param in replica.parameters()}
        for name, param in trainable(model).items():
            if param not in synchronised:
                raise ValueError(
                    f"{name} is outside of DistributedDataParallel, which others are in, and nobody averages its "
                    "gradient: wrap the whole model"
                )
    averaged_over = (replicas[0].process_group,) if replicas and sync == "global" else ()
    return Processes(replicas=replicas, averaged_over=averaged_over)


def refuse_inside_replica(model: nn.Module, sync: Sync, whole_step: bool) -> None:
    """Raise RuntimeError within the forward of a DistributedDataParallel that would not exchange what it ought to.

    That is where a LightningModule's training_step runs. A whole step has backward passes that DistributedDataParallel
    does not hear of; of a model without its wrapper d is not averaged; and it is too late to hold gradients back.
    """
    replica = DistributedDataParallel._active_ddp_module
    if replica is None or model not in set(replica.modules()):
        return
    if whole_step:
        raise RuntimeError(
            "tram.backward(...) within the forward of DistributedDataParallel exchanges no gradients: call it outside, "
            "or make the passes with tram.objective(...), self.manual_backward(...) and tram.perturbed()"
        )
    if model is not replica:
        raise RuntimeError(
            f"this {type(model).__name__} is inside a DistributedDataParallel, which the estimator has to know to "
            "average d: make it of the wrapped model, as in TRAM(self.trainer.strategy.model, method)"
        )
    if sync == "local":
        raise RuntimeError(
            'sync="local" cannot hold back gradients from within the forward of DistributedDataParallel, which has '
            'announced them already: use sync="global", or a loop that calls the wrapped model itself'
        )


@contextmanager
def refuse_unknown_replica(model: nn.Module, processes: Processes) -> Iterator[None]:
    """Within it, raise ValueError if DistributedDataParallel calls `model`, which was given without its wrapper.

    Each process would ascend by a radius of its own, from a d that nobody averages.
    """
    if processes != Processes() or not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        yield
        return

    def look(*_: Any) -> None:
        replica = DistributedDataParallel._active_ddp_module
        if replica is not None and model in set(replica.modules()):
            raise ValueError(
                f"DistributedDataParallel calls this {type(model).__name__}, and TRAM was given it without the "
                "wrapper, so that d would not be averaged: give TRAM the wrapped model, as in TRAM(ddp_model, method)"
            )

    handle = model.register_forward_pre_hook(look)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def refuse_bypassed_replica(processes: Processes) -> Iterator[None]:
    """On leaving it, raise ValueError if weights were used within whose replica was not called, or none was.

    Nobody would average their gradients. Of a replica that is called a part may be called by itself as well: the sum of
    both gradients is averaged.
    """
    replicas = processes.replicas
    if not replicas or DistributedDataParallel._active_ddp_module in replicas:
        yield
        return
    called: list[nn.Module] = []
    used: list[nn.Module] = []

    def call(module: nn.Module, _: Any) -> None:
        called.append(module)

    def call_inner(*_: Any) -> None:
        """By ddp_model.forward(...), of which the wrapper's own hooks do not hear."""
        active = DistributedDataParallel._active_ddp_module
        if active in replicas:
            called.append(active)

    def use(module: nn.Module, _: Any) -> None:
        if torch.is_grad_enabled():
            used.append(module)

    handles = [replica.register_forward_pre_hook(call) for replica in replicas]
    handles += [replica.module.register_forward_pre_hook(call_inner) for replica in replicas]
    # One replica is called or not. Each layer is looked at for several alone: a hook has it compiled once more.
    layers = {layer for replica in replicas for layer in replica.modules()} if len(replicas) > 1 else set()
    handles += [
        layer.register_forward_pre_hook(use)
        for layer in layers
        if any(param.requires_grad for param in layer.parameters(recurse=False))
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
    reached = {layer for replica in called for layer in replica.modules()}
    if not called or not reached.issuperset(used):
        raise ValueError(
            "forward(batch) does not call the DistributedDataParallel that TRAM was given, but what is inside it, so "
            "that gradients would not be averaged: let it call ddp_model(...), not ddp_model.module(...)"
        )


def _shards(model: nn.Module, sharded: tuple[Any, ...], sync: Sync) -> Processes:
    from torch.distributed.tensor import DTensor

    if sync == "local":
        raise ValueError(
            'sync="local" perturbs all weights on every process by that process\'s gradient, and sharded parameters '
            'leave it with a part of both: use sync="global", or DistributedDataParallel'
        )
    for module in sharded:
        module.reshard()
    first: DTensor | None = None
    for name, param in trainable(model).items():
        if not isinstance(param, DTensor):
            raise ValueError(f"{name} is not sharded and others are: call fully_shard on the whole model as well")
        first = param if first is None else first
        if param.device_mesh != first.device_mesh:
            raise ValueError(f"{name} is sharded over another mesh than the parameters before it: use one mesh for all")
        if _sharded_dimension(param) != _sharded_dimension(first) or _sharded_dimension(param) is None:
            raise ValueError(
                f"{name} is laid out as {param.placements}: exactly one dimension of the mesh may shard (fully_shard) "
                "and the others replicate (hybrid sharding); tensor parallelism is not supported"
            )
    if first is None:
        return Processes(sharded=sharded)
    mesh, dimension = first.device_mesh, _sharded_dimension(first)
    assert dimension is not None
    groups = mesh.get_all_groups()
    return Processes(
        sharded=sharded,
        averaged_over=tuple(groups),
        sharded_over=groups[dimension],
        reduced_on=mesh.device_type,
        name_of_shard=f"shard {mesh.get_local_rank(dimension)} of {mesh.size(dimension)}.",
    )


def _sharded_dimension(param: Any) -> int | None:
    """The one dimension of the mesh over which `param` is sharded while the others replicate it; None if not so."""
    found = [index for index, placement in enumerate(param.placements) if placement.is_shard()]
    replicated = [placement for placement in param.placements if placement.is_replicate()]
    return found[0] if len(found) == 1 and len(replicated) == len(param.placements) - 1 else None
