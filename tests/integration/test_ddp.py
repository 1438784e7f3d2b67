"""Two processes under torchrun: the loss curve of one process, exact resume, and one line when a worker is lost."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

pytestmark = pytest.mark.slow  # each process starts torch anew
ROOT = Path(__file__).resolve().parents[2]
WORKER = Path(__file__).with_name("ddp_worker.py")
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
STEPS = 12


def start(*args: object, processes: int) -> "subprocess.Popen[str]":
    launcher = TORCHRUN if processes == 2 else []
    return subprocess.Popen(
        [sys.executable, *launcher, str(WORKER), *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )


def finish(running: "subprocess.Popen[str]", timeout_s: float = 300) -> tuple[int, str]:
    """Return the code and stderr; it must not hang."""
    try:
        _, err = running.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        running.terminate()
        running.communicate(timeout=300)
        raise
    return running.returncode, err


def learn(
    folder: Path, pictures: Path, *more: object, processes: int, what: str = "train"
) -> list[float]:
    running = start(what, folder, "--pictures", pictures, *more, processes=processes)
    code, err = finish(running)
    assert code == 0, err
    return curve(folder)


def curve(folder: Path) -> list[float]:
    with (folder / "log.csv").open() as stream:
        return [float(row["loss"]) for row in csv.DictReader(stream)]


def numbers(folder: Path) -> list[int]:
    with (folder / "log.csv").open() as stream:
        return [int(row["step"]) for row in csv.DictReader(stream)]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def alone(tmp_path_factory, pictures) -> tuple[Path, list[float]]:
    """One process, and the drawn pictures that all others read."""
    folder = tmp_path_factory.mktemp("alone")
    return folder, learn(folder, pictures, "--steps", STEPS, processes=1)


@pytest.fixture(scope="module")
def together(tmp_path_factory, pictures, alone) -> tuple[Path, list[float]]:
    folder = tmp_path_factory.mktemp("together")
    return folder, learn(folder, pictures, "--steps", STEPS, processes=2)


def test_two_processes_have_the_curve_of_one(alone, together) -> None:
    assert len(together[1]) == STEPS
    assert together[1] == pytest.approx(alone[1], rel=1e-5)
    states = [
        torch.load(folder / "state.pt", weights_only=True)["module"]
        for folder, _ in (alone, together)
    ]
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=0, atol=1e-4, msg=name)


def test_a_detector_has_the_curve_of_one_process(pictures, alone, tmp_path) -> None:
    """The losses' normaliser is that of the whole batch, whichever process sees how many people."""
    curves = [
        learn(tmp_path / str(n), pictures, "--steps", 4, processes=n, what="detect") for n in (1, 2)
    ]
    assert len(curves[0]) == 4
    assert curves[1] == pytest.approx(curves[0], rel=1e-5)


def test_only_the_first_process_writes(together) -> None:
    """Every step has one line, and nothing lies beside the state and the log but what the workers put there."""
    folder = together[0]
    assert numbers(folder) == list(range(1, STEPS + 1))
    assert {path.name for path in folder.iterdir()} == {"log.csv", "state.pt", "pid-0", "pid-1"}


def test_resumed_processes_have_the_same_curve(together, pictures, tmp_path) -> None:
    """Ended after 6 steps of 12, in the middle of an epoch; what is left gives the same numbers, digit for digit."""
    done = learn(tmp_path, pictures, "--steps", STEPS, "--stop", 6, processes=2)
    assert done == together[1][:6]
    assert torch.load(tmp_path / "state.pt", weights_only=True)["done"] == 4
    rest = learn(tmp_path, pictures, "--steps", STEPS, "--resume", processes=2)
    assert rest == together[1]


def test_a_batch_that_cannot_be_shared_is_refused(pictures, alone, tmp_path) -> None:
    more = ("--pictures", pictures, "--batch", 3)
    code, err = finish(start("train", tmp_path, *more, processes=2))
    assert code != 0
    assert "edgepose: a batch of 3 cannot be shared equally by 2 processes" in err


def test_a_lost_worker_ends_the_other_in_a_line(together, pictures, tmp_path) -> None:
    """One process is killed; the other reports it, and its state is resumed to the undisturbed curve."""
    running = start("train", tmp_path, "--pictures", pictures, "--steps", 100_000, processes=2)
    deadline = time.monotonic() + 300
    while not (tmp_path / "state.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(int((tmp_path / "pid-1").read_text()), signal.SIGKILL)
    code, err = finish(running)
    assert code != 0
    said = [line for line in err.splitlines() if line.startswith("edgepose: ")]
    assert len(said) == 1, err
    assert said[0].startswith("edgepose: a worker was lost")
    assert "--resume" in said[0]
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert state["done"] % 4 == 0
    rest = learn(
        tmp_path, pictures, "--steps", max(STEPS, state["done"] + 4), "--resume", processes=2
    )
    shared = min(len(rest), STEPS)
    assert rest[:shared] == together[1][:shared]


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shared")
    code, err = finish(start("shard", folder, processes=2))
    assert code == 0, err
    return folder


@pytest.mark.parametrize("rank", range(2))
def test_a_sharded_teacher_gives_the_same_outputs(shared, rank) -> None:
    """Each process runs it on other pictures, and holds half of every block."""
    found = json.loads((shared / f"shard-{rank}.json").read_text())
    assert found["difference"] <= 1e-6
    assert found["here"] * 2 == found["whole"]


@pytest.mark.parametrize("rank", range(2))
def test_processes_share_the_teacher_cache_and_validation(shared, rank) -> None:
    """Shard by shard and image by image; index, shards and metrics are those of one process."""
    found = json.loads((shared / f"share-{rank}.json").read_text())
    assert found["shards"] == -(-found["people"] // 2) >= 3
    assert found["same cache"]
    assert found["same metrics"]
