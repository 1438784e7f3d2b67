"""Devices, precision and processes of a training run, through Lightning Fabric.

Several processes are started by torchrun, on one machine or several that share the run's folder.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeVar

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from export.models.vit import Vit
from quantize.distill.config import BatchNorm, Precision
from runtimes.errors import InputError
from runtimes.threads import allowed_cores

K = TypeVar("K")
Device = Literal["cpu", "cuda"]
# Fabric's names: weights stay float32, computation is narrower.
PRECISIONS: dict[Precision, Any] = {"f32": "32-true", "bf16": "bf16-mixed", "f16": "16-mixed"}
# The others wait while process 0 draws people or lists a large training set. A lost process is noticed long before:
# its connections close, and torchrun ends the rest.
MAX_THREADS = 16
TIMEOUT = timedelta(hours=24)
ONE_PROCESS = (
    "a teacher is sharded over several processes, and this is the only one; start with torchrun"
)


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes that share a piece of work: the rank of this one, and their number."""

    rank: int = 0
    count: int = 1

    def part(self, items: Sequence[K]) -> list[K]:
        """Return this process's part: every `count`-th item."""
        return list(items[self.rank :: self.count])

    def gather(self, part: list[K]) -> list[K]:
        """Return the parts of all processes, one behind the other, on each of them; all have to call it."""
        if self.count == 1:
            return part
        parts: list[Any] = [None] * self.count
        torch.distributed.all_gather_object(parts, part)
        return [item for each in parts for item in each]


ALONE = Processes()


def processes_of(fabric: Fabric) -> Processes:
    """Return the processes of a launched fabric."""
    return Processes(fabric.global_rank, fabric.world_size)


def open_fabric(
    device: Device | None, precision: Precision, batch_norm: BatchNorm = "local"
) -> Fabric:
    """Return the launched fabric: DDP (gloo on the CPU, NCCL on GPUs) under torchrun, otherwise one process.

    device: None takes CUDA if present. Raises InputError for a missing GPU, and for f16 or synchronised batch norms on
    the CPU.
    """
    accelerator = _accelerator(device)
    if precision == "f16" and accelerator != "cuda":
        raise InputError("f16 is trained on CUDA GPUs only; use --precision f32 or bf16")
    if batch_norm == "sync" and accelerator != "cuda":
        raise InputError("batch norms are synchronised on CUDA GPUs only; leave --batch-norm out")
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it prints a banner
    world, local = _processes()
    if world == 1:
        fabric = Fabric(accelerator=accelerator, devices=1, precision=PRECISIONS[precision])
    else:
        _check_gpus(accelerator, local)
        fabric = Fabric(
            accelerator=accelerator,
            strategy=DDPStrategy(cluster_environment=TorchElasticEnvironment(), timeout=TIMEOUT),
            devices=local,
            num_nodes=world // local,
            precision=PRECISIONS[precision],
        )
    fabric.launch()
    return fabric


def loader_threads(asked: int | None, fabric: Fabric) -> int:
    """Return the number of threads that load data: as asked, else 1 on the CPU, on a GPU one a core, at most 16."""
    if asked is not None or fabric.device.type == "cpu":
        return asked or 1
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(min(allowed_cores() // here, MAX_THREADS), 1)


def close_fabric(fabric: Fabric) -> None:
    """Destroy the process group once all processes are done; nothing for a single one.

    Without it gloo's threads are still running at exit and sometimes abort the process. Only for a run that ended well:
    with a lost worker the barrier is never reached.
    """
    if fabric.world_size > 1:
        fabric.barrier()
        torch.distributed.destroy_process_group()


def check_batch(batch: int, fabric: Fabric) -> None:
    """Raise InputError, before long work, for a batch that the processes cannot share equally."""
    if batch % fabric.world_size:
        raise InputError(_uneven(batch, fabric.world_size))


def _uneven(batch: int, world: int) -> str:
    return (
        f"a batch of {batch} cannot be shared equally by {world} processes; choose a --batch that is a multiple of "
        f"{world}, and no larger than the training set"
    )


def local_batches(plan: Sequence[Sequence[K]], fabric: Fabric) -> list[list[K]]:
    """Return this process's part of every batch of a plan.

    All parts have equal size, so that the mean of their losses is the batch's: raises InputError where a batch is no
    multiple of the number of processes.
    """
    world = fabric.world_size
    uneven = next((len(batch) for batch in plan if len(batch) % world), None)
    if uneven is not None:
        raise InputError(_uneven(uneven, world))
    processes = processes_of(fabric)
    return [processes.part(batch) for batch in plan]


def first_state(state: Mapping[str, torch.Tensor], fabric: Fabric) -> Mapping[str, torch.Tensor]:
    """Return process 0's tensors on all of them: statistics of batch norms differ between processes."""
    if fabric.world_size == 1:
        return state
    copies = {name: value.clone() for name, value in state.items()}
    for value in copies.values():
        torch.distributed.broadcast(value, 0)
    return copies


def shard_teacher(module: nn.Module, fabric: Fabric) -> nn.Module:
    """Shard a frozen transformer over all processes, block by block (FSDP), for teachers too large for one GPU.

    The module is changed in place and returned; its head stays replicated. Every process then has to call it, or its
    backbone, equally often and under `torch.no_grad`, with its own crops; a block is gathered only while it runs. Works
    on the CPU (gloo), where it is tested, and on CUDA (NCCL). Raises InputError without torchrun, and for a network
    without a transformer.
    """
    if fabric.world_size == 1:
        raise InputError(ONE_PROCESS)
    transformers = [part for part in module.modules() if isinstance(part, Vit)]
    if not transformers:
        raise InputError(
            f"only a vision transformer can be sharded over processes, not a {type(module).__name__}; "
            "leave --shard-teacher out"
        )
    module.eval().requires_grad_(False)
    mesh = init_device_mesh(fabric.device.type, (fabric.world_size,))
    for transformer in transformers:
        for block in transformer.layers:
            fully_shard(block, mesh=mesh, reshard_after_forward=True)
        fully_shard(transformer, mesh=mesh, reshard_after_forward=True)
    return module.to(fabric.device)  # the head, which stays replicated


def _accelerator(device: Device | None) -> Device:
    present = torch.cuda.is_available()
    if device == "cuda" and not present:
        raise InputError(
            "no CUDA GPU here (or a PyTorch without CUDA); leave --device out to train on the CPU"
        )
    return device or ("cuda" if present else "cpu")


def _processes() -> tuple[int, int]:
    """Return the number of torchrun's processes, in total and on this machine; 1 and 1 without it."""
    if not {"RANK", "WORLD_SIZE", "LOCAL_RANK"} <= os.environ.keys():
        return 1, 1
    world = int(os.environ["WORLD_SIZE"])
    local = int(os.environ.get("LOCAL_WORLD_SIZE", world))
    if world % local:
        raise InputError(
            f"{world} processes, {local} of them here: start equally many on every machine (--nproc-per-node)"
        )
    return world, local


def _check_gpus(accelerator: Device, local: int) -> None:
    if accelerator == "cuda" and (present := torch.cuda.device_count()) < local:
        raise InputError(
            f"{local} processes on a machine with {present} CUDA GPU(s); start one per GPU (--nproc-per-node)"
        )
