"""Measuring limits: which sets of memory, which rounds are kept; the process that measures, without judging times."""

from pathlib import Path

import numpy as np
import pytest

from devices.machine import Machine
from edge.bench.limits.describe import HEADER, limit_cells
from edge.bench.limits.job import Job
from edge.bench.limits.measure import (
    Here,
    Measured,
    last_cache_bytes,
    read_found,
    set_sizes,
    steps,
    thread_counts,
)
from edge.bench.limits.nets import MACS, PARAMETERS
from edge.bench.limits.record import Bandwidth, Rate
from runtimes.errors import EngineError

MIB = 1 << 20
BOARD = Machine(
    arch="aarch64",
    cpu_model="Board",
    isa=(),
    logical_cores=4,
    allowed_cores=4,
    memory_bytes=None,
)


def rate(gmacs: float, cpu_wall: float, threads: int = 1, by: str = "ncnn 1.0") -> Rate:
    return Rate(kind="f32", threads=threads, macs_per_s=gmacs * 1e9, by=by, cpu_wall=cpu_wall)


def reads(gigabytes: float, cpu_wall: float) -> Bandwidth:
    return Bandwidth(set_bytes=MIB, threads=1, bytes_per_s=gigabytes * 1e9, cpu_wall=cpu_wall)


@pytest.mark.parametrize(
    ("last_cache", "memory", "mib"),
    [
        (None, None, (1, 4, 16, 64, 256)),
        (32 * MIB, 24 << 30, (1, 4, 16, 64, 256)),
        (256 * MIB, 24 << 30, (1, 4, 16, 64, 256, 1024)),  # four times the cache
        (256 * MIB, 4 << 30, (1, 4, 16, 64, 256)),  # but an eighth of the memory at most
        (MIB, 256 * MIB, (1, 4, 16)),
        (None, 1, (1,)),
    ],
)
def test_sets_reach_beyond_the_last_cache(last_cache, memory, mib) -> None:
    assert set_sizes(last_cache, memory) == tuple(each * MIB for each in mib)


def test_the_last_cache_is_the_largest_of_the_first_core(tmp_path: Path) -> None:
    assert last_cache_bytes(tmp_path) is None
    for name, size in {
        "index0": "32K",
        "index2": "1024K\n",
        "index3": "32M",
        "index4": "?",
    }.items():
        folder = tmp_path / "sys/devices/system/cpu/cpu0/cache" / name
        folder.mkdir(parents=True)
        (folder / "size").write_text(size)
    assert last_cache_bytes(tmp_path) == 32 * MIB


def test_the_best_undisturbed_round_is_kept_and_a_starved_figure_is_not() -> None:
    found = Measured()
    found.add_rate([rate(40, 0.95), rate(45, 0.9), rate(60, 0.89)])
    found.add_bandwidth([reads(9, 1.0), reads(8, 1.0)])
    found.add_rate([rate(70, 0.5, 4), rate(50, 0.7, 4)])
    found.add_bandwidth([reads(20, 0.1)])

    limits = found.limits(BOARD, None)
    assert limits.rates == (rate(45, 0.9),)
    assert limits.bandwidths == (reads(9, 1.0),)
    assert found.starved == ["f32 with 4 threads of ncnn 1.0 (0.70)", "1 MiB with 1 thread (0.10)"]


def test_figures_of_an_earlier_measurement_stay_where_there_is_no_new_one() -> None:
    before, now = Measured(), Measured()
    for each in (rate(40, 1), rate(90, 1, 4), rate(50, 1, by="numpy 2.1")):
        before.add_rate([each])
    before.add_bandwidth([reads(9, 1)])
    now.add_rate([rate(42, 1, by="ncnn 1.1")])  # an upgrade of the engine replaces its figure

    limits = now.limits(BOARD, before.limits(BOARD, None))
    assert set(limits.rates) == {
        rate(42, 1, by="ncnn 1.1"),
        rate(90, 1, 4),
        rate(50, 1, by="numpy 2.1"),
    }
    assert limits.bandwidths == (reads(9, 1),)


def test_one_thread_and_all_cores_are_measured_once_each() -> None:
    assert thread_counts(BOARD) == (1, 4)
    # numpy, then f32, bf16, f16 and int8 of ncnn; ONNX Runtime has no network
    assert steps(["ncnn", "onnxruntime"], BOARD) == 2 * (1 + 4)


def test_the_process_answers_with_rates() -> None:
    found = Here().ask(Job(side=64, set_bytes=(4096, 8192), threads=2, seconds=0.0))
    assert found.numpy == np.__version__
    assert len(found.reads) == 2
    assert all(each.per_s > 0 and each.cpu_wall >= 0 for each in (found.product, *found.reads))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"Welcome to the board\n",
        b'{"numpy": "2.0", "product"',
        b'{"numpy": "2.0", "product": {"per_s": 0.0, "cpu_wall": 1.0}, "reads": []}',
    ],
)
def test_an_answer_without_figures_is_an_error(text) -> None:
    with pytest.raises(EngineError, match="gave no figures"):
        read_found(text)


def test_what_a_shell_prints_before_the_answer_is_left_out() -> None:
    answer = b'{"numpy": "1.19.5", "product": {"per_s": 1e9, "cpu_wall": 1.0}, "reads": []}\n'
    found = read_found(b"Welcome to the board\n" + answer)
    assert (found.numpy, found.product.per_s, found.reads) == ("1.19.5", 1e9, ())


def test_the_network_has_the_products_that_are_counted_by_hand() -> None:
    # stem: 24 x 24 places, 512 sums of 4 x 4 x 3; then sixteen times 512 sums of 512
    assert MACS == 576 * 512 * 48 + 16 * 576 * 512 * 512
    assert PARAMETERS == 512 * 48 + 16 * 512 * 512


def test_the_table_has_a_line_for_each_figure() -> None:
    found = Measured()
    found.add_rate([rate(45.25, 0.98)])
    found.add_bandwidth([reads(9, 1.0)])
    first, second = limit_cells(found.limits(BOARD, None))
    assert first == ["f32", "1", "45.2 GMAC/s", "0.98", "ncnn 1.0"]
    assert second == ["memory", "1", "9.0 GB/s", "1.00", "numpy, reading 1 MiB again and again"]
    assert len(HEADER) == len(first) == len(second)
