"""Fabric on one process; several processes are tested in integration/test_ddp."""

from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from quantize.distill.loop.distributed import (  # noqa: E402
    check_batch,
    local_batches,
    open_fabric,
    shard_teacher,
)
from quantize.distill.student import new_student, student_variant  # noqa: E402
from runtimes.errors import InputError  # noqa: E402

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA GPU here")


@pytest.fixture(autouse=True)
def alone(monkeypatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)


def test_one_process_on_the_cpu() -> None:
    fabric = open_fabric("cpu", "f32")
    assert (fabric.world_size, fabric.global_rank, fabric.device.type) == (1, 0, "cpu")
    assert fabric.is_global_zero


@without_gpu
def test_without_a_gpu_the_cpu_is_taken() -> None:
    assert open_fabric(None, "f32").device.type == "cpu"


@without_gpu
def test_a_missing_gpu_is_refused() -> None:
    with pytest.raises(InputError, match="no CUDA GPU here"):
        open_fabric("cuda", "f32")


def test_f16_on_the_cpu_is_refused() -> None:
    with pytest.raises(InputError, match="f16 is trained on CUDA GPUs only"):
        open_fabric("cpu", "f16")


def test_bf16_computes_in_bf16_and_answers_in_float32() -> None:
    fabric = open_fabric("cpu", "bf16")
    layer = fabric.setup(torch.nn.Linear(64, 1, bias=False))
    ones = torch.ones(1, 64)
    torch.nn.init.constant_(layer.weight, 1 + 2**-10)  # bfloat16 has 8 bits: this is 1 to it
    found = layer(ones)
    assert found.dtype == torch.float32
    assert found.item() == 64


@pytest.mark.parametrize(("world", "local"), [("3", "2"), ("8", "3")])
def test_machines_with_unlike_numbers_of_processes_are_refused(monkeypatch, world, local) -> None:
    values = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": local}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="equally many on every machine"):
        open_fabric("cpu", "f32")


def test_one_process_has_the_whole_plan() -> None:
    plan = [[3, 1, 2], [0, 4, 5]]
    assert local_batches(plan, open_fabric("cpu", "f32")) == plan


def test_a_teacher_is_not_sharded_over_one_process() -> None:
    teacher = new_student(student_variant("vitpose-48x2x3-simple", (48, 64)), 0)
    with pytest.raises(InputError, match="start with torchrun"):
        shard_teacher(teacher, open_fabric("cpu", "f32"))


def test_a_batch_that_processes_cannot_share_is_refused_ahead() -> None:
    two = SimpleNamespace(world_size=2)
    check_batch(4, two)
    with pytest.raises(InputError, match="a batch of 3 cannot be shared equally by 2 processes"):
        check_batch(3, two)
