"""doctor --remote and the floors of bench --remote over a real sshd: limits of a board, and nothing left on it."""

import json
import sys

import msgspec
import pytest
from loopback_sshd import Sshd, cut, left_on, remote

from devices.detect import detect_machine
from edge.bench.limits.job import Job
from edge.bench.limits.measure import last_cache_bytes
from edge.bench.limits.nets import MACS, NETS, write_net
from edge.bench.limits.record import (
    Limits,
    Rate,
    limits_path,
    load_limits,
    machine_key,
    save_limits,
)
from edge.bench.remote.board import Board
from edge.bench.remote.limits import There, engines_there, facts_of, measure_board
from edge.bench.remote.ssh import Ssh
from edge.bench.remote.target import Target
from runtimes.base import RunOptions
from runtimes.errors import DeviceLostError, EdgeposeWarning
from runtimes.registry import ENGINES, installed_engine

QUICK = ("--threads", 1, "--iterations", 3, "--rounds", 1)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEPOSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def board(server: Sshd) -> Board:
    return Board(Ssh(Target("127.0.0.1", "", server.port), server.config), sys.executable)


def limits(cpu_model: str | None = None) -> Limits:
    """Return limits of this machine, which is the board too, or of one with another CPU."""
    key = machine_key(detect_machine())
    return Limits(
        machine=msgspec.structs.replace(key, cpu_model=cpu_model or key.cpu_model),
        date="2026-01-01T00:00:00+00:00",
        rates=(Rate(kind="f32", threads=1, macs_per_s=4e9, by="numpy", cpu_wall=1.0),),
        bandwidths=(),
    )


def test_a_row_has_its_floor_once_the_board_was_measured(edgepose, cache, counted, sshd) -> None:
    save_limits(limits("Another CPU"))
    done = edgepose("bench", counted, *QUICK, *remote(sshd), "--json")
    (row,) = done.json
    assert (row["floor_ms"], row["floor_by"]) == (None, "")
    (said,) = [line for line in done.talk if line.startswith("floor: ")]
    assert "the limits of 127.0.0.1 are not known" in said
    assert f"`edgepose doctor --measure --remote ssh:127.0.0.1:{sshd.port} " in said
    assert f"--ssh-config {sshd.config}" in said

    save_limits(limits())
    done = edgepose("bench", counted, *QUICK, *remote(sshd), "--json")
    (row,) = done.json
    assert row["floor_ms"] == pytest.approx(500.0)  # 2 G / 4 G/s
    assert row["floor_ratio"] == pytest.approx(row["p50_ms"] / 500)
    assert row["floor_by"] == "arithmetic"
    assert not [line for line in done.talk if line.startswith("floor: ")]
    assert left_on(sshd) == []


def test_damaged_limits_end_bench_before_it_measures(edgepose, cache, counted, sshd) -> None:
    cache.mkdir()
    limits_path().write_text("{")
    done = edgepose("bench", counted, *QUICK, *remote(sshd))
    assert (done.code, done.out) == (2, "")
    assert str(limits_path()) in done.message
    described = edgepose("doctor", *remote(sshd), "--json")
    assert described.code == 0
    assert any(str(limits_path()) in note for note in described.json["notes"])
    assert edgepose("doctor", "--measure", *remote(sshd)).code == 2
    assert left_on(sshd) == []


def test_a_board_is_described(edgepose, cache, sshd) -> None:
    done = edgepose("doctor", *remote(sshd), "--json")
    assert done.code == 0, done.err
    assert done.json["machine"] == json.loads(msgspec.json.encode(detect_machine()))
    assert done.json["host"] == "127.0.0.1"
    assert done.json["limits"] is None
    found = {each["package"]: each["found"] for each in done.json["packages"]}
    assert found["numpy"] is True
    for runtime in ("ncnn", "openvino", "onnxruntime"):
        assert found[runtime] is (installed_engine(runtime) is not None)
    assert f"next: edgepose doctor --measure --remote ssh:127.0.0.1:{sshd.port}" in done.err
    save_limits(limits())
    assert "4.0 GMAC/s" in edgepose("doctor", *remote(sshd)).out
    assert left_on(sshd) == []


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--remote", "adb:1234"], "adb:1234 is for bench"),
        (["--remote", "board"], "--remote wants ssh:USER@HOST"),
        (["--remote", "ssh:board", "--time-limit", "3"], "--time-limit is of this machine"),
        (["--remote-python", "python3.12"], "are of a board: add --remote ssh:USER@HOST"),
        (["--remote", "ssh:board", "--ssh-config", "nope"], "--ssh-config nope: no such file"),
    ],
)
def test_wrong_use_is_refused_before_anything_is_started(edgepose, args, said) -> None:
    done = edgepose("doctor", "--measure", *args)
    assert done.code == 2
    assert said in done.message


def test_a_board_without_numpy_or_python_is_told_so(edgepose, cache, sshd, tmp_path) -> None:
    bare = tmp_path / "bare"  # a Python without site-packages
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    bare.chmod(0o755)
    done = edgepose("doctor", "--measure", *remote(sshd, bare))
    assert done.code == 4
    assert f"127.0.0.1: numpy, which measures, is not installed for {bare} there" in done.message
    assert f"{bare} -m pip install numpy" in done.message
    described = edgepose("doctor", *remote(sshd, bare), "--json")
    assert described.code == 0
    assert not any(each["found"] for each in described.json["packages"])
    nowhere = edgepose("doctor", "--measure", *remote(sshd, "/no/such/python"))
    assert nowhere.code == 2
    assert "no /no/such/python there" in nowhere.message
    assert not limits_path().exists()
    assert left_on(sshd) == []


def test_numpy_and_engines_measure_there(sshd, tmp_path) -> None:
    with board(sshd) as there:
        facts = facts_of(there)
        assert engines_there(facts) == [each for each in ENGINES if installed_engine(each)]
        place = There(there, facts)
        assert place.machine == detect_machine()
        assert place.last_cache == last_cache_bytes()
        found = place.ask(Job(side=64, set_bytes=(4096, 8192), threads=1, seconds=0.0))
        assert len(found.reads) == 2
        assert all(each.per_s > 0 for each in (found.product, *found.reads))
        for runtime in [each for each in NETS if installed_engine(each)]:
            (tmp_path / runtime).mkdir()
            artifact = write_net(runtime, "fp32", tmp_path / runtime)
            place.put(artifact)
            with place.open(artifact, RunOptions(threads=1)) as worker:
                assert worker.ready.engine.lower().startswith(runtime)
                burst = worker.burst(0.0, 1)
            # the whole network was run: no core does more than 1000 products in a nanosecond
            assert MACS / min(burst.engine_ns) < 1000
    assert left_on(sshd) == []


def test_a_board_that_disappears_keeps_nothing(cache, sshd) -> None:
    def advance(_text: str) -> None:
        cut(sshd)

    with (
        pytest.warns(EdgeposeWarning, match="is removed there as soon as"),
        pytest.raises(DeviceLostError, match=r"127\.0\.0\.1: the connection was lost"),
        board(sshd) as there,
    ):
        measure_board(there, facts_of(there), advance)
    assert not limits_path().exists()
    assert left_on(sshd) == []


@pytest.mark.slow
def test_what_is_kept_is_valid_and_a_busy_board_keeps_nothing(edgepose, cache, sshd) -> None:
    done = edgepose("doctor", "--measure", *remote(sshd), "--json")
    assert left_on(sshd) == []
    if done.code == 3:
        assert "machine busy" in done.err
        assert f"--remote ssh:127.0.0.1:{sshd.port}" in done.err
        assert not limits_path().exists()
        return
    assert done.code == 0, done.err
    kept = load_limits(detect_machine())
    assert kept is not None
    assert all(each.cpu_wall >= 0.9 for each in (*kept.rates, *kept.bandwidths))
    assert done.json["limits"] == json.loads(msgspec.json.encode(kept))
