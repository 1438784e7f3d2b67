"""bench --remote adb: with adb's own client against a scripted server: rows, errors, nothing left on the phone."""

import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest
from adb_server import ADB, AdbServer
from phone_files import BENCHMARK_MODEL, BENCHNCNN, executable, make_phone, write_artifact

from edge.bench.record import read_run

needs_adb = pytest.mark.skipif(ADB is None, reason="there is no adb (apt install adb)")
QUICK = ("--rounds", 2, "--iterations", 200)


@pytest.fixture
def phone(tmp_path, monkeypatch):
    phone = make_phone(tmp_path / "phone")
    server = AdbServer(phone)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    yield phone
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def ncnn(tmp_path_factory) -> Path:
    return write_artifact(tmp_path_factory.mktemp("art") / "small.ncnn-fp32", "ncnn").root


def remote(tool: Path, serial: str = "emulator-5554") -> tuple[object, ...]:
    return ("--remote", f"adb:{serial}", "--remote-binary", tool)


def left_on(phone) -> list[str]:
    """What lies in the phone's temporary directory, once the shell that holds ours had time to remove it."""
    end = time.monotonic() + 20
    while (found := [each.name for each in phone.temporary.iterdir()]) and time.monotonic() < end:
        time.sleep(0.05)
    return found


@needs_adb
def test_benchncnn_measures_on_the_big_cores(edgepose, phone, ncnn, tmp_path) -> None:
    tool, out = executable(tmp_path / "benchncnn", BENCHNCNN), tmp_path / "run.json"
    done = edgepose("bench", ncnn, *QUICK, *remote(tool), "--out", out)
    assert done.code == 0, done.err
    assert "f16 (asked f32)" in done.out
    run = read_run(out)
    (row,) = run.rows
    assert (row.min_ms, row.mean_ms, row.runs, row.threads) == (7.5, pytest.approx(8.02), 200, 4)
    unknown = (row.p50_ms, row.p90_ms, row.p99_ms, row.load_ms, row.cpu_wall, row.valid)
    assert unknown == (None,) * 6
    assert row.note.startswith("zero weights")
    # warm-up, then two rounds: loops, threads, big cores, no GPU, no pause, the input of 48 x 64
    calls = (phone.root / "data/calls.txt").read_text().splitlines()
    rest = "4 2 -1 0 param=0/model.param shape=[48,64,3]"
    assert calls == [f"{loops} {rest}" for loops in (10, 100, 100)]
    assert set((phone.root / "masks.txt").read_text().split()) == {"f0"}  # cores 4 to 7
    assert (run.host, run.partial) == ("adb:emulator-5554", "")
    assert (run.machine.profile, run.machine.allowed_cores) == ("snapdragon-865", 8)
    assert (run.sensors_before.hottest.celsius, run.load_before) == (41.2, 2.5)
    assert left_on(phone) == []


@needs_adb
def test_benchmark_model_measures_tflite(edgepose, phone, tmp_path) -> None:
    artifact = write_artifact(tmp_path / "small.tflite-fp32", "tflite")
    tool, out = executable(tmp_path / "my tool", BENCHMARK_MODEL), tmp_path / "run.json"
    more = ("--rounds", 1, "--threads", 2, "--precision", "f16", "--out", out)
    done = edgepose("bench", artifact.root, *more, *remote(tool))
    assert done.code == 0, done.err
    (row,) = read_run(out).rows
    assert (row.runs, row.mean_ms, row.p50_ms) == (1000, pytest.approx(63.7432), 51.891)
    assert (row.load_ms, row.first_ms, row.arithmetic) == (119.515, 87.112, "f16")
    again = edgepose("bench", artifact.root, *more[:-2], *remote(tool))
    words = shlex.split(again.talk[-1].removeprefix("next: edgepose "))
    assert words[:6] == ["bench", str(artifact.root), *remote(str(tool))]
    assert words[6:] == ["--threads", "1,2,4", "--out", "RUN.json"]
    calls = (phone.root / "data/calls.txt").read_text().splitlines()
    assert all("--graph=0/model.tflite --num_threads=2" in call for call in calls)
    assert all("--xnnpack_force_fp16=true" in call for call in calls)
    # 5 s of 63.7 ms, for which the warm-up's are taken
    assert "--num_runs=79 " in calls[1]
    assert left_on(phone) == []


@needs_adb
@pytest.mark.parametrize(
    ("state", "serial", "said"),
    [
        (
            "device",
            "R58N123",
            "adb:R58N123: no such device; adb devices lists those that there are",
        ),
        ("unauthorized", "emulator-5554", "unlock it and confirm its question about USB debugging"),
        ("offline", "emulator-5554", "it is offline; plug it in again"),
    ],
)
def test_a_phone_that_cannot_be_used_is_named(
    edgepose, phone, ncnn, tmp_path, state, serial, said
) -> None:
    phone.state = state
    tool = executable(tmp_path / "benchncnn", BENCHNCNN)
    done = edgepose("bench", ncnn, *QUICK, *remote(tool, serial))
    assert done.code == 2
    assert said in done.message
    assert left_on(phone) == []


@needs_adb
def test_a_phone_that_disappears_leaves_partial_results(edgepose, phone, ncnn, tmp_path) -> None:
    phone.lost_at = 3  # after the warm-up and a round
    tool, out = executable(tmp_path / "benchncnn", BENCHNCNN), tmp_path / "run.json"
    done = edgepose("bench", ncnn, *QUICK, *remote(tool), "--out", out)
    assert done.code == 2
    assert "Traceback" not in done.err
    assert "the phone disappeared" in done.err
    run = read_run(out)
    assert "the phone disappeared" in run.partial
    assert (run.rows[0].runs, run.rows[0].round_mean_ms) == (100, (8.02,))
    assert left_on(phone) == []  # the phone's own shell removed it
    assert "after a restart of the phone run: adb -s emulator-5554 shell rm -rf" in done.err


@needs_adb
def test_a_phone_that_disappears_before_the_first_round_has_no_results(
    edgepose, phone, ncnn, tmp_path
) -> None:
    phone.lost_at = 1
    out = tmp_path / "run.json"
    tool = executable(tmp_path / "benchncnn", BENCHNCNN)
    done = edgepose("bench", ncnn, *QUICK, *remote(tool), "--out", out)
    assert (done.code, out.exists()) == (2, False)
    assert "the phone disappeared" in done.err
    assert left_on(phone) == []


@needs_adb
def test_a_full_phone_is_named(edgepose, phone, ncnn, tmp_path) -> None:
    phone.full = True
    tool = executable(tmp_path / "benchncnn", BENCHNCNN)
    done = edgepose("bench", ncnn, *QUICK, *remote(tool))
    assert done.code == 2
    assert "adb:emulator-5554: its storage is full" in done.message
    assert left_on(phone) == []


@needs_adb
@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            "echo 'CANNOT LINK EXECUTABLE: library \"libomp.so\" not found' >&2; exit 1",
            'benchncnn ended with code 1 there (CANNOT LINK EXECUTABLE: library "libomp.so" not found)',
        ),
        ("echo 'fopen squeezenet.param failed' >&2", "older than its param= argument"),
        ("kill -9 $$", "benchncnn ended with code 137"),
        ("true", "benchncnn printed no times (no output)"),
    ],
)
def test_a_tool_that_fails_is_named_with_its_words(
    edgepose, phone, ncnn, tmp_path, script, said
) -> None:
    tool = executable(tmp_path / "benchncnn", f"#!/bin/sh\n{script}\n")
    done = edgepose("bench", ncnn, *QUICK, *remote(tool))
    assert done.code == 2
    assert said in done.message
    assert left_on(phone) == []


@needs_adb
@pytest.mark.parametrize("script", ["exec yes", "exec yes >&2"])
def test_a_tool_that_prints_without_end_is_stopped(edgepose, phone, ncnn, tmp_path, script) -> None:
    tool = executable(tmp_path / "benchncnn", f"#!/bin/sh\necho $$ > ../../../pid.txt\n{script}\n")
    done = edgepose("bench", ncnn, *QUICK, *remote(tool))
    assert done.code == 2
    assert "benchncnn printed over 4 MB there and was stopped" in done.message
    assert len(done.message) < 1000
    assert left_on(phone) == []
    pid, end = (phone.root / "data/pid.txt").read_text().strip(), time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()


@needs_adb
def test_ctrl_c_ends_the_tool_and_removes_the_directory(start, phone, ncnn, tmp_path) -> None:
    slow = executable(tmp_path / "benchncnn", "#!/bin/sh\nexec sleep 300\n")
    running: subprocess.Popen[str] = start("bench", ncnn, *QUICK, *remote(slow))
    end = time.monotonic() + 60
    while not (found := list(phone.temporary.glob("*/tool.pid"))) and time.monotonic() < end:
        assert running.poll() is None, running.communicate()
        time.sleep(0.05)
    while not (pid := found[0].read_text().strip()):
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert err.splitlines()[-1].startswith("edgepose: interrupted")
    assert left_on(phone) == []
    while Path(f"/proc/{pid}").exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()


def test_adb_that_is_not_installed_is_named(edgepose, ncnn, tmp_path, monkeypatch) -> None:
    tool = executable(tmp_path / "benchncnn", BENCHNCNN)
    monkeypatch.setenv("PATH", str(tmp_path))
    done = edgepose("bench", ncnn, *QUICK, *remote(tool))
    assert done.code == 4
    assert "adb is not installed; run: apt install adb" in done.message


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--remote", "adb:-s"], "--remote wants adb:SERIAL"),
        (["--remote", "adb:x"], "give your Android build of it with --remote-binary PATH"),
        (["--remote", "adb:x", "--remote-binary", "gone/benchncnn"], "cannot be read"),
        (["--remote", "adb:x", "--ssh-config", "x"], "leave them out with --remote adb:SERIAL"),
        (["--remote", "ssh:x", "--remote-binary", "benchncnn"], "add --remote adb:SERIAL"),
        (["--remote", "adb:x", "--tier", "sustained"], "not measured over adb"),
        (["--remote", "adb:x", "--precision", "bf16"], "computes in f32 or f16, not bf16"),
        (["--remote", "adb:x", "--accelerator", "gpu"], "leave out --accelerator"),
    ],
)
def test_wrong_use_is_refused_before_adb_is_started(edgepose, ncnn, args, said) -> None:
    done = edgepose("bench", ncnn, *args)
    assert done.code == 2
    assert said in done.message
    assert "ANDROID_ADB_SERVER_PORT" not in os.environ
