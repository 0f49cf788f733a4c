"""A model shared by several processes: copied to each, or cut into shards."""

from torch import nn
from torch.nn.parallel import DistributedDataParallel

from benchmarks.processes import Processes


def parallelised(model: nn.Module, processes: Processes) -> nn.Module:
    """What to call instead of `model`, on the model's device; the model's own parameters become shards under FSDP2."""
    if not processes.are_many:
        return model
    device = next(model.parameters()).device
    if processes.parallel == "ddp":
        return DistributedDataParallel(model, device_ids=[device.index] if device.type == "cuda" else None)
    # These take seconds to import, and most runs have one process.
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (processes.count,))
    for block in _blocks(model):
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


def _blocks(model: nn.Module) -> list[nn.Module]:
    """The layers of the model's longest list of layers: gathered one at a time, they bound the memory of a pass."""
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList | nn.Sequential)]
    longest = max(lists, key=lambda layers: sum(param.numel() for param in layers.parameters()), default=None)
    return [] if longest is None else [layer for layer in longest if any(True for _ in layer.parameters())]
