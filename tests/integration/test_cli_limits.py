"""doctor --measure and the floors of bench, as they are typed."""

import json

import cv2
import msgspec
import numpy as np
import pytest

from devices.detect import detect_machine
from edge.bench.limits.record import (
    Bandwidth,
    Limits,
    Rate,
    limits_path,
    load_limits,
    machine_key,
    save_limits,
)

MEASURE = "edgepose doctor --measure"
QUICK = ("--threads", "1", "--iterations", "3", "--rounds", "1")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEPOSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def limits() -> Limits:
    rate = Rate(kind="f32", threads=1, macs_per_s=4e9, by="numpy", cpu_wall=1.0)
    read = Bandwidth(set_bytes=1 << 20, threads=1, bytes_per_s=1e10, cpu_wall=1.0)
    return Limits(
        machine=machine_key(detect_machine()),
        date="2026-01-01T00:00:00+00:00",
        rates=(rate,),
        bandwidths=(read,),
    )


def test_a_row_has_its_floor_once_the_machine_was_measured(edgepose, cache, counted) -> None:
    done = edgepose("bench", counted, *QUICK, "--json")
    (row,) = done.json
    assert (row["macs"], row["least_bytes"]) == (2_000_000_000, 100)
    assert row["floor_ms"] is None
    assert any(MEASURE in line for line in done.talk)

    save_limits(limits())
    done = edgepose("bench", counted, *QUICK, "--json")
    (row,) = done.json
    assert row["floor_ms"] == pytest.approx(500.0)  # 2 G / 4 G/s
    assert row["floor_ratio"] == pytest.approx(row["p50_ms"] / 500)
    assert row["floor_by"] == "arithmetic"
    assert not any(MEASURE in line for line in done.talk)
    header, line = edgepose("bench", counted, *QUICK).out.splitlines()
    assert "over floor" in header
    assert "500.00" in line


def test_a_pipeline_has_its_floor_too(edgepose, cache, counted, tmp_path) -> None:
    """Frames of one person each, which is the whole frame: 2 GMACs at 4 G a second."""
    cv2.imwrite(str(tmp_path / "one.png"), np.full((40, 30, 3), 80, np.uint8))
    asked = ("bench", "--pipeline", tmp_path / "one.png", "--pose", counted, *QUICK[:4])
    done = edgepose(*asked, "--json")
    assert (done.json[0]["macs"], done.json[0]["floor_ms"]) == (2_000_000_000, None)
    assert any(MEASURE in line for line in done.talk)

    save_limits(limits())
    html = tmp_path / "report.html"
    done = edgepose(*asked, "--json", "--html", html)
    (row,) = done.json
    assert row["floor_ms"] == pytest.approx(500.0)
    assert row["floor_ratio"] == pytest.approx(row["mean_ms"] / 500)
    assert "<td>500.00</td>" in html.read_text()
    assert not any(MEASURE in line for line in done.talk)


def test_an_artifact_without_a_cost_asks_for_no_measurement(
    edgepose, cache, small_artifact, tmp_path
):
    plain = small_artifact(tmp_path / "plain.onnxruntime-fp32").root
    done = edgepose("bench", plain, *QUICK, "--json")
    assert done.json[0]["macs"] is None
    assert not any(MEASURE in line for line in done.talk)


def test_doctor_shows_what_was_measured(edgepose, cache) -> None:
    assert edgepose("doctor", "--json").json["limits"] is None
    save_limits(limits())
    assert edgepose("doctor", "--json").json["limits"]["rates"][0]["macs_per_s"] == 4e9
    assert "4.0 GMAC/s" in edgepose("doctor").out


def test_a_damaged_file_is_a_note_of_doctor_and_ends_bench(edgepose, cache, counted) -> None:
    cache.mkdir()
    limits_path().write_text("{")
    done = edgepose("doctor", "--json")
    assert done.code == 0
    assert any(str(limits_path()) in note for note in done.json["notes"])
    done = edgepose("bench", counted, *QUICK)
    assert (done.code, done.out) == (2, "")
    assert MEASURE in done.err


def test_a_rate_of_nothing_ends_bench_before_it_measures(edgepose, cache, counted) -> None:
    save_limits(limits())
    limits_path().write_bytes(limits_path().read_bytes().replace(b"4000000000.0", b"0.0"))
    done = edgepose("bench", counted, *QUICK)
    assert (done.code, done.out) == (2, "")
    assert "macs_per_s" in done.message
    assert MEASURE in done.message


@pytest.mark.slow
def test_what_is_kept_is_valid_and_a_busy_machine_keeps_nothing(edgepose, cache) -> None:
    done = edgepose("doctor", "--measure", "--json")
    if done.code == 3:
        assert "machine busy" in done.err
        assert not limits_path().exists()
        return
    assert done.code == 0, done.err
    kept = load_limits(detect_machine())
    assert kept is not None
    assert all(each.cpu_wall >= 0.9 for each in (*kept.rates, *kept.bandwidths))
    assert done.json["limits"] == json.loads(msgspec.json.encode(kept))


@pytest.mark.parametrize("where", [(), ("--remote", "ssh:board.invalid")])
def test_a_cache_that_cannot_keep_limits_ends_doctor_before_it_measures(
    edgepose, cache, where
) -> None:
    """A host without an address is not reached either."""
    cache.write_text("a file in the place of the folder")
    done = edgepose("doctor", "--measure", "--json", *where)
    assert (done.code, done.out) == (2, "")
    assert "EDGEPOSE_CACHE" in done.talk[-1]
    assert "board.invalid" not in "".join(done.talk)

    cache.unlink()
    limits_path().mkdir(parents=True)
    done = edgepose("doctor", "--measure", *where)
    assert (done.code, done.out) == (2, "")
    assert f"{limits_path()}: cannot be read" in done.talk[-1]
