"""Where a training runs: one process or many, on which device and in which precision, and how work is shared out.

Many processes are started by torchrun, on one machine or several; the folder of the training lies where all see it.
"""

import logging
import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from export.models.vit import Vit
from quantize.distill.data.batches import part_of
from runtimes.errors import InputError

Device = Literal["cpu", "cuda"]
Precision = Literal["f32", "bf16", "f16"]
# Fabric's names: weights stay float32, what is computed with them is narrower.
PRECISIONS: dict[Precision, Any] = {"f32": "32-true", "bf16": "bf16-mixed", "f16": "16-mixed"}
# The others wait for process 0 while a large teacher is asked about everybody. A lost process is noticed long before:
# its connections close, and torchrun ends the rest.
WAIT = timedelta(hours=24)


def open_fabric(device: Device | None, precision: Precision) -> Fabric:
    """Return the fabric, launched: DDP (gloo on the CPU, NCCL on GPUs) under torchrun, one process without it.

    device: None takes CUDA where it is present. Raises InputError for a GPU that is not there, and for f16 on the CPU.
    """
    accelerator = _accelerator(device)
    if precision == "f16" and accelerator != "cuda":
        raise InputError("f16 is trained on CUDA GPUs only; take --precision f32 or bf16")
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces itself
    world, local = _processes()
    if world == 1:
        fabric = Fabric(accelerator=accelerator, devices=1, precision=PRECISIONS[precision])
    else:
        _check_gpus(accelerator, local)
        fabric = Fabric(
            accelerator=accelerator,
            strategy=DDPStrategy(cluster_environment=TorchElasticEnvironment(), timeout=WAIT),
            devices=local,
            num_nodes=world // local,
            precision=PRECISIONS[precision],
        )
    fabric.launch()
    return fabric


def close_fabric(fabric: Fabric) -> None:
    """Part the processes once all of them are here; nothing for one alone. The fabric is of no use afterwards.

    A process that ends without it still has gloo's threads running, which now and then abort it at its exit. Only for
    work that ended well: where a worker is lost, nobody comes to be parted from.
    """
    if fabric.world_size > 1:
        fabric.barrier()
        torch.distributed.destroy_process_group()


def share_out(plan: Sequence[Sequence[int]], fabric: Fabric) -> list[list[int]]:
    """Return this process' part of every batch of a plan.

    All parts are equal, so that the mean of their losses is the batch's: raises InputError for a batch that cannot be
    parted so.
    """
    world = fabric.world_size
    uneven = next((len(batch) for batch in plan if len(batch) % world), None)
    if uneven is not None:
        raise InputError(
            f"a batch of {uneven} cannot be shared equally by {world} processes; "
            f"take a --batch that is a multiple of {world}, and no fewer people than that"
        )
    return [part_of(batch, fabric.global_rank, world) for batch in plan]


def shard_teacher(module: nn.Module, fabric: Fabric) -> nn.Module:
    """Spread a frozen transformer over all processes, block by block (FSDP): for teachers that one GPU cannot hold.

    The module is changed in place and returned; its head stays whole. Every process then has to call it, or its
    backbone, equally often and under `torch.no_grad`, with crops of its own; a block is put together while it is
    computed, and no longer. Works on the CPU (gloo), where it is tested, and on CUDA (NCCL). Raises InputError without
    torchrun, and for a network without a transformer.
    """
    if fabric.world_size == 1:
        raise InputError(
            "a teacher is spread over several processes, and this is the only one; start with torchrun"
        )
    transformers = [part for part in module.modules() if isinstance(part, Vit)]
    if not transformers:
        raise InputError(
            f"only a vision transformer can be spread over processes, not a {type(module).__name__}; "
            "leave the teacher whole"
        )
    module.eval().requires_grad_(False)
    mesh = init_device_mesh(fabric.device.type, (fabric.world_size,))
    for transformer in transformers:
        for block in transformer.layers:
            fully_shard(block, mesh=mesh, reshard_after_forward=True)
        fully_shard(transformer, mesh=mesh, reshard_after_forward=True)
    return module.to(
        fabric.device
    )  # its head, which stays whole: features may be asked for without it


def _accelerator(device: Device | None) -> Device:
    present = torch.cuda.is_available()
    if device == "cuda" and not present:
        raise InputError(
            "no CUDA GPU here (or a PyTorch without CUDA); leave --device out to train on the CPU"
        )
    return device or ("cuda" if present else "cpu")


def _processes() -> tuple[int, int]:
    """Return how many processes torchrun started, in all and on this machine; 1 and 1 without it."""
    if not {"RANK", "WORLD_SIZE", "LOCAL_RANK"} <= os.environ.keys():
        return 1, 1
    world = int(os.environ["WORLD_SIZE"])
    local = int(os.environ.get("LOCAL_WORLD_SIZE", world))
    if world % local:
        raise InputError(
            f"{world} processes, {local} of them here: start as many on every machine (--nproc-per-node)"
        )
    return world, local


def _check_gpus(accelerator: Device, local: int) -> None:
    if accelerator == "cuda" and (present := torch.cuda.device_count()) < local:
        raise InputError(
            f"{local} processes on a machine with {present} CUDA GPU(s); start one for each (--nproc-per-node)"
        )
