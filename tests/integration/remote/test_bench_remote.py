"""bench --remote over a real sshd on the loopback interface: rows, errors, and nothing left on the board."""

import os
import shlex
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from loopback_sshd import Sshd, cut, left_on, make_key, remote, start_full_sshd, start_sshd

from devices.detect import detect_machine
from edge.bench.measure import make_cases, open_for_board
from edge.bench.record import read_run
from edge.bench.remote.bench import Remote, bench_remote
from edge.bench.sustained import Sustained
from runtimes.errors import EdgeposeWarning

QUICK = ("--rounds", 2, "--time", 0.002, "--threads", 1)


def test_rows_are_measured_on_the_board(edgepose, artifact, sshd, tmp_path) -> None:
    out = tmp_path / "run.json"
    done = edgepose("bench", artifact, *QUICK, *remote(sshd), "--out", out)
    assert done.code == 0, done.err
    run = read_run(out)
    (row,) = run.rows
    assert (row.artifact, row.runtime, row.threads) == (artifact.name, "onnxruntime", 1)
    assert row.engine.startswith("ONNX Runtime ")
    assert row.engine_p50_ms is not None
    assert 0 < row.engine_p50_ms <= row.p50_ms  # of each run it is a part
    assert run.machine == detect_machine()
    assert run.host == "127.0.0.1"
    assert run.partial == ""
    assert left_on(sshd) == []


def test_the_next_command_can_be_pasted(edgepose, artifact, sshd, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    python = tmp_path / "my python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    done = edgepose("bench", artifact, *QUICK, *remote(sshd, python))
    assert done.code == 0, done.err
    words = shlex.split(done.talk[-1].removeprefix("next: edgepose "))
    assert words[:2] == ["bench", str(artifact)]
    again = edgepose(*words, *QUICK)
    assert again.code == 0, again.err
    assert read_run(tmp_path / "RUN.json").host == "127.0.0.1"


def test_a_host_key_that_is_unknown_or_changed_is_refused(
    edgepose, artifact, sshd, tmp_path
) -> None:
    other = " ".join(make_key(tmp_path / "other").with_suffix(".pub").read_text().split()[:2])
    try:
        sshd.trust(other)
        changed = edgepose("bench", artifact, *remote(sshd))
        (sshd.root / "known_hosts").write_text("")
        unknown = edgepose("bench", artifact, *remote(sshd))
    finally:
        sshd.trust(sshd.host_key())
    assert (changed.code, unknown.code) == (2, 2)
    assert "127.0.0.1: its host key has changed" in changed.message
    known = sshd.root / "known_hosts"
    assert f"ssh-keygen -f {known} -R '[127.0.0.1]:{sshd.port}', then ssh " in changed.message
    assert f"run ssh -F {sshd.config} -p {sshd.port} 127.0.0.1 once" in unknown.message


def test_the_command_that_drops_a_changed_key_can_be_pasted(
    edgepose, artifact, sshd, tmp_path
) -> None:
    other = " ".join(make_key(tmp_path / "other").with_suffix(".pub").read_text().split()[:2])
    try:
        sshd.trust(other)
        changed = edgepose("bench", artifact, *remote(sshd))
        command = changed.message.partition("run: ")[2].partition(", then")[0]
        subprocess.run(shlex.split(command), check=True, capture_output=True)
        assert "not known here" in edgepose("bench", artifact, *remote(sshd)).message
    finally:
        sshd.trust(sshd.host_key())


def test_boards_that_cannot_be_reached_are_named(edgepose, artifact, sshd) -> None:
    where = ("--ssh-config", sshd.config)
    gone = edgepose("bench", artifact, "--remote", "ssh:edgepose-test.invalid", *where)
    assert gone.code == 2
    assert "edgepose-test.invalid: no such host" in gone.message
    closed = edgepose("bench", artifact, "--remote", "ssh:127.0.0.1:1", *where)
    assert "no SSH server answers there" in closed.message
    stranger = edgepose(
        "bench",
        artifact,
        "--remote",
        f"ssh:nobody@127.0.0.1:{sshd.port}",
        *where,
        "--ssh-config",
        "/dev/null",
    )
    assert stranger.code == 2
    assert "nobody@127.0.0.1: its host key is not known here" in stranger.message


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--remote", "ssh:-oProxyCommand=x"], "--remote wants ssh:USER@HOST"),
        (["--remote", "ssh:board", "--remote-python", "-c"], "--remote-python wants"),
        (["--remote", "ssh:board", "--tuned"], "leave it out with --remote"),
        (["--remote-python", "python3.12"], "are of a board: add --remote ssh:USER@HOST"),
        (["--ssh-config", "/dev/null"], "are of a board: add --remote ssh:USER@HOST"),
        (["--remote", "ssh:board", "--ssh-config", "nope"], "--ssh-config nope: no such file"),
        (["--remote", "pi@board"], "not 'pi@board': write --remote ssh:pi@board"),
        (["ssh:pi@board"], "ssh:pi@board: no such file; a board is named by --remote ssh:pi@board"),
        (["pi@board"], "a board is named by --remote ssh:pi@board"),
        (["adb:emulator-5554"], "a board is named by --remote adb:emulator-5554"),
        (["board:/home/pi/small"], "is read by a board"),
    ],
)
def test_wrong_use_is_refused_before_anything_is_started(edgepose, artifact, args, said) -> None:
    done = edgepose("bench", artifact, *args)
    assert done.code == 2
    assert said in done.message


def test_a_missing_python_or_engine_is_named(edgepose, artifact, sshd, tmp_path) -> None:
    nowhere = edgepose("bench", artifact, *remote(sshd, "/no/such/python"))
    assert nowhere.code == 2
    assert "no /no/such/python there" in nowhere.message
    bare = tmp_path / "my bare"  # a Python without site-packages
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    bare.chmod(0o755)
    done = edgepose("bench", artifact, *remote(sshd, bare))
    assert done.code == 4
    assert f"run on it: '{bare}' -m pip install onnxruntime" in done.message
    chatty = tmp_path / "chatty"
    chatty.write_text("#!/bin/sh\nexec yes\n")
    chatty.chmod(0o755)
    endless = edgepose("bench", artifact, *remote(sshd, chatty))
    assert endless.code == 2
    assert f"{chatty} prints without end there" in endless.message
    assert left_on(sshd) == []


def test_a_python_below_the_home_directory_there_is_found(edgepose, artifact, tmp_path) -> None:
    python = tmp_path / "home/pose/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (tmp_path / "sshd").mkdir()
    server = start_sshd(tmp_path / "sshd", HOME=str(tmp_path / "home"))
    try:
        done = edgepose("bench", artifact, *QUICK, *remote(server, "~/pose/bin/python"))
        assert done.code == 0, done.err
        assert left_on(server) == []
    finally:
        server.stop()


def test_a_worker_that_a_signal_ends_is_no_lost_connection(
    edgepose, artifact, sshd, tmp_path
) -> None:
    python = tmp_path / "python"  # as one whose engine crashes while it loads
    python.write_text(
        "#!/bin/sh\n"
        f'[ "$2" = facts ] && exec {sys.executable} "$@"\n'
        "echo 'open /dev/dri/renderD128: Permission denied' >&2\nkill -SEGV $$\n"
    )
    python.chmod(0o755)
    done = edgepose("bench", artifact, *QUICK, *remote(sshd, python))
    assert done.code == 2
    assert f"127.0.0.1: the process that ran {artifact.name} there ended (" in done.message
    assert "renderD128: Permission denied" in done.message
    assert "connection" not in done.message
    assert left_on(sshd) == []


def test_a_full_disk_is_named(edgepose, artifact, tmp_path) -> None:
    server = start_full_sshd(tmp_path)
    try:
        done = edgepose("bench", artifact, *remote(server))
        assert done.code == 2
        assert "127.0.0.1: its disk is full" in done.message
        assert left_on(server) == []
    finally:
        server.stop()


def measuring(start, artifact: Path, server: Sshd, *more: object) -> "subprocess.Popen[str]":
    """Start a long benchmark and return once the board has been measuring for some rounds."""
    long = ("--rounds", 600, "--time", 60, "--threads", 1)
    running = start("bench", artifact, *long, *remote(server), *more)
    end = time.monotonic() + 120
    # by its CPU time, the board has loaded and warmed up, and is measuring
    while cpu_s(runners(server)) < 2.5 and time.monotonic() < end and running.poll() is None:
        time.sleep(0.05)
    assert running.poll() is None, running.communicate()
    return running


def runners(server: Sshd) -> list[int]:
    """Processes of the benchmark that run from the board's temporary directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"serve" in words and any(str(server.temporary).encode() in word for word in words):
            found.append(int(path.parent.name))
    return found


def cpu_s(processes: list[int]) -> float:
    """Seconds of CPU time that processes have used."""
    ticks = 0
    for number in processes:
        with suppress(OSError):
            fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


@pytest.mark.slow
def test_a_board_that_disappears_leaves_partial_results(
    edgepose, start, artifact, sshd, tmp_path
) -> None:
    out = tmp_path / "run.json"
    running = measuring(start, artifact, sshd, "--out", out)
    cut(sshd)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 2, err
    assert "the board disappeared" in err
    assert "Traceback" not in err
    run = read_run(out)
    assert "the board disappeared" in run.partial
    assert run.rows[0].runs > 0
    assert len(run.rows[0].round_p50_ms) < run.rounds
    assert "run is partial: 127.0.0.1: the board disappeared" in edgepose("compare", out).err
    assert left_on(sshd) == []


def test_a_sustained_run_keeps_the_windows_before_the_board_disappeared(artifact, sshd) -> None:
    def advance(text: str) -> None:
        if text.startswith("window 3 "):
            cut(sshd)

    cases = make_cases(open_for_board([artifact]), [1, 2], ["f32"])
    plan = Sustained(window_s=0.1, burst_s=0.1)
    where = Remote(f"ssh:127.0.0.1:{sshd.port}", sys.executable, sshd.config)
    with pytest.warns(EdgeposeWarning, match="is removed there as soon as"):
        run = bench_remote(where, cases, plan, advance)
    assert "the board disappeared" in run.partial
    (row,) = run.rows  # the other one had no window yet
    assert len(row.round_p50_ms) == run.rounds == 3
    assert (row.threads, row.steady) == (1, None)
    assert row.runs > 0
    assert left_on(sshd) == []


@pytest.mark.slow
def test_ctrl_c_ends_it_and_removes_the_directory(start, artifact, sshd) -> None:
    running = measuring(start, artifact, sshd)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert err.splitlines()[-1].startswith("edgepose: interrupted")
    assert left_on(sshd) == []
    end = time.monotonic() + 60  # the board learns of the end a little later, and finishes a round
    while runners(sshd) and time.monotonic() < end:
        time.sleep(0.05)
    assert runners(sshd) == []
