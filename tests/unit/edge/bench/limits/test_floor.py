"""The floor of a row, by arithmetic on paper; limits kept by machine."""

import json
from pathlib import Path

import msgspec
import pytest

from devices.machine import Machine
from edge.bench.limits.floor import (
    Part,
    bandwidth_of,
    frame_floor,
    frame_macs,
    least_bytes,
    rate_of,
    with_floors,
)
from edge.bench.limits.record import (
    Bandwidth,
    Limits,
    Rate,
    limits_path,
    load_limits,
    machine_key,
    save_limits,
)
from edge.bench.record import BenchRun, read_run
from runtimes.artifact import read_manifest
from runtimes.base import Effective
from runtimes.errors import InputError
from runtimes.spec import Cost, Manifest

DATA = Path(__file__).parents[4] / "data"
RUN = read_run(DATA / "run.json")
MIB = 1 << 20
HERE = Machine(
    arch="aarch64",
    cpu_model="Board",
    isa=(),
    logical_cores=4,
    allowed_cores=4,
    memory_bytes=None,
)


def rate(kind: str, threads: int, gmacs: float) -> Rate:
    return Rate(kind=kind, threads=threads, macs_per_s=gmacs * 1e9, by="test", cpu_wall=1.0)


def reads(mib: int, threads: int, gigabytes: float) -> Bandwidth:
    return Bandwidth(
        set_bytes=mib * MIB, threads=threads, bytes_per_s=gigabytes * 1e9, cpu_wall=1.0
    )


def limits(machine: Machine = HERE) -> Limits:
    return Limits(
        machine=machine_key(machine),
        date="2026-01-01T00:00:00+00:00",
        rates=(rate("f32", 1, 20), rate("f32", 4, 50), rate("int8", 1, 80), rate("int8", 4, 200)),
        bandwidths=(reads(1, 1, 100), reads(64, 1, 4), reads(1, 4, 400), reads(64, 4, 6)),
    )


def run(**fields: object) -> BenchRun:
    plain = {"threads": 1, "p50_ms": 60.0, "macs": 600_000_000, "least_bytes": 100}
    return msgspec.structs.replace(
        RUN, rows=(msgspec.structs.replace(RUN.rows[0], **{**plain, **fields}),)
    )


@pytest.mark.parametrize(
    ("fields", "ms", "ratio", "by"),
    [
        ({}, 30.0, 2.0, "arithmetic"),  # 600 M / 20 G
        ({"threads": 2}, 15.0, 4.0, "arithmetic"),  # two threads reach twice of one at most
        ({"threads": 3}, 12.0, 5.0, "arithmetic"),  # ... but not over all cores' 50 G
        ({"threads": 4}, 12.0, 5.0, "arithmetic"),
        ({"precision": "int8"}, 7.5, 8.0, "arithmetic"),  # 600 M / 80 G
        ({"least_bytes": 200_000_000}, 50.0, 1.2, "memory"),  # 200 MB at 4 GB/s
        ({"least_bytes": 200_000_000, "threads": 4}, 100 / 3, 1.8, "memory"),
        # 20 MB are more than 1 MiB and less than 64: the faster of both
        ({"least_bytes": 20_000_000, "macs": 2_000_000}, 0.2, 300.0, "memory"),
    ],
)
def test_the_floor_is_the_longer_of_both_times(fields, ms, ratio, by) -> None:
    (row,) = with_floors(run(**fields), limits()).rows
    assert row.floor_ms == pytest.approx(ms)
    assert row.floor_ratio == pytest.approx(ratio)
    assert row.floor_by == by


@pytest.mark.parametrize(
    "fields",
    [
        {"macs": None, "least_bytes": None},  # an artifact without a cost
        {"arithmetic": "f16"},  # which was not measured
        {"accelerator": "gpu"},  # the limits are the CPU's
        {"macs": 0},  # no products, and next to no bytes
    ],
)
def test_without_figures_there_is_no_floor(fields) -> None:
    (row,) = with_floors(run(**fields), limits()).rows
    assert (row.floor_ms, row.floor_ratio, row.floor_by) == (None, None, "")


def test_without_limits_the_run_stays_as_it_is() -> None:
    assert with_floors(run(), None) == run()


def test_rates_and_bandwidths_that_were_not_measured_are_none() -> None:
    assert rate_of(limits().rates, "bf16", 1) is None
    assert bandwidth_of(limits().bandwidths, MIB - 1, 1) is None
    assert bandwidth_of(limits().bandwidths, MIB, 1) == 100e9
    assert rate_of([rate("f32", 4, 50)], "f32", 4) is None  # one thread says how much two can do


@pytest.mark.parametrize(("precision", "count"), [("fp32", 4), ("fp16", 2), ("int8", 1)])
def test_weights_have_the_bytes_of_the_file(precision, count) -> None:
    cost = Cost(macs=1, parameters=1000, io_bytes=7)
    assert least_bytes(cost, precision) == 1000 * count + 7


def test_an_artifact_of_an_earlier_release_has_no_cost() -> None:
    for path in (DATA / "artifact_f373529").rglob("artifact.json"):
        assert read_manifest(path).cost is None


def test_limits_are_kept_by_machine(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("EDGEPOSE_CACHE", str(tmp_path / "cache"))
    other = msgspec.structs.replace(HERE, allowed_cores=2)
    assert load_limits(HERE) is None
    save_limits(limits())
    save_limits(limits(other))
    newer = msgspec.structs.replace(limits(), date="2026-02-02T00:00:00+00:00")
    assert save_limits(newer) == limits_path()
    assert load_limits(HERE) == newer
    assert load_limits(other) == limits(other)
    assert len(json.loads(limits_path().read_bytes())["entries"]) == 2


def test_a_cpu_without_a_name_is_kept_by_its_host(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("EDGEPOSE_CACHE", str(tmp_path / "cache"))
    unnamed = msgspec.structs.replace(HERE, cpu_model="")
    of_one = msgspec.structs.replace(limits(), machine=machine_key(unnamed, "pi@one"))
    save_limits(of_one)
    assert load_limits(unnamed, "pi@one") == of_one
    assert load_limits(unnamed, "pi@other") is None
    assert load_limits(unnamed) is None
    # a CPU with a name is the same by whatever address it is reached
    assert machine_key(HERE, "pi@one") == machine_key(HERE, "192.168.0.7") == machine_key(HERE)


@pytest.mark.parametrize("text", ["", "{}x", '{"format": 2}', '{"entries": [{}]}'])
def test_a_damaged_file_says_what_to_do(tmp_path, monkeypatch, text) -> None:
    monkeypatch.setenv("EDGEPOSE_CACHE", str(tmp_path))
    limits_path().write_text(text)
    with pytest.raises(InputError, match="doctor --measure"):
        load_limits(HERE)


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        *(("rates", "macs_per_s", value) for value in (0, -1e9, 1e30)),
        *(("bandwidths", "bytes_per_s", value) for value in (0, -1e9, 1e30)),
        ("machine", "cores", 0),
    ],
)
def test_figures_of_no_machine_are_refused(tmp_path, monkeypatch, part, field, value) -> None:
    monkeypatch.setenv("EDGEPOSE_CACHE", str(tmp_path))
    save_limits(limits())
    document = json.loads(limits_path().read_bytes())
    found = document["entries"][0][part]
    (found if part == "machine" else found[0])[field] = value
    limits_path().write_text(json.dumps(document))
    with pytest.raises(InputError, match=rf"{field}.*doctor --measure"):
        load_limits(HERE)


def test_a_cache_that_cannot_be_written_is_an_input_error(tmp_path, monkeypatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("EDGEPOSE_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(InputError, match="EDGEPOSE_CACHE"):
        save_limits(limits())


def test_a_file_that_cannot_be_read_is_not_replaced(tmp_path, monkeypatch) -> None:
    """It may have entries of other machines. Rows have no floor meanwhile."""
    monkeypatch.setenv("EDGEPOSE_CACHE", str(tmp_path))
    limits_path().mkdir()
    assert load_limits(HERE) is None
    with pytest.raises(InputError, match="cannot be read"):
        save_limits(limits())
    assert [each.name for each in tmp_path.iterdir()] == [limits_path().name]


def part(
    images: list[int], cost: Cost | None, precision: str = "fp32", used: Effective | None = None
) -> Part:
    """A model of a pipeline; only cost and precision of the manifest matter."""
    path = next((DATA / "artifact_f373529").rglob("artifact.json"))
    manifest = msgspec.structs.replace(read_manifest(path), cost=cost, precision=precision)
    assert isinstance(manifest, Manifest)
    return Part(manifest, used or Effective(1, "f32", "cpu"), images)


DETECTOR = Cost(macs=200_000_000, parameters=100, io_bytes=100)  # 10 ms at 20 G a second
POSE = Cost(macs=400_000_000, parameters=100, io_bytes=100)  # 20 ms


def test_the_floor_of_a_frame_is_calls_times_the_detectors_and_people_times_the_poses() -> None:
    """Two calls in four frames and five people: 2/4 * 10 ms + 5/4 * 20 ms."""
    parts = [part([2, 2, 1, 0], POSE), part([1, 0, 1, 0], DETECTOR)]
    assert frame_macs(parts) == 600_000_000
    assert frame_floor(parts, limits()) == pytest.approx(30.0)


def test_each_model_is_at_its_own_precision_and_threads() -> None:
    four = Effective(4, "f32", "cpu")
    parts = [part([1], POSE, "int8"), part([1], DETECTOR, used=four)]
    # 400 M at 80 G, 200 M at 50 G
    assert frame_floor(parts, limits()) == pytest.approx(5.0 + 4.0)


def test_people_of_a_frame_share_the_reading_of_the_weights() -> None:
    heavy = Cost(macs=1_000_000, parameters=50_000_000, io_bytes=4_000_000)
    # 200 MB of weights and 2 or 1 times 4 MB, at 4 GB/s; the last frame has nobody
    assert frame_floor([part([2, 1, 0], heavy)], limits()) == pytest.approx((52 + 51) / 3)
    # as float16: half the weights
    assert frame_floor([part([2], heavy, "fp16")], limits()) == pytest.approx(27.0)


@pytest.mark.parametrize(
    "lacking",
    [
        part([1], None),
        part([1], DETECTOR, used=Effective(1, "f16", "cpu")),  # which was not measured
        part([1], DETECTOR, used=Effective(1, "f32", "gpu")),
    ],
)
def test_without_figures_of_both_models_a_frame_has_no_floor(lacking) -> None:
    assert frame_floor([part([1], POSE), lacking], limits()) is None
    assert frame_floor([part([1], POSE)], None) is None
    assert frame_floor([part([0], POSE)], limits()) is None  # nothing ran


def test_multiply_accumulates_of_a_frame_need_the_cost_of_both() -> None:
    assert frame_macs([part([1], POSE), part([1], None)]) is None
