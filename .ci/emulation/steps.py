"""The commands that run on the emulated board, JOBS at once (2), with what each gave and how long it took.

Usage: steps.py artifacts BOARD DRAWN ARTIFACT...    doctor, verify, outputs, tests, run, bench, attention
       steps.py networks BOARD DRAWN ARTIFACT...     one inference in f16 of each network that has not passed before
Writes NAME.json for each command and its output to BOARD/steps or BOARD/networks/steps, and how long all took to
BOARD/artifacts.json or BOARD/networks.json; exits with 1 where one fails.
"""

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

LIMIT_S = 3600  # of one command: an emulated process that hangs would hang all
HERE = Path(__file__).parent
RUNTIMES = ("ncnn", "openvino", "onnxruntime", "tflite")
HALF = ("ncnn", "openvino")  # the others compute f32 on a CPU whatever is asked for
TESTS = ("test_runtime_contract", "test_runtime_traps", "test_bench_contract")


@dataclass(frozen=True, slots=True)
class Step:
    """A command; `name` is unique, and a file's name. accepted: the exit codes that are no failure."""

    name: str
    command: tuple[str, ...]
    accepted: tuple[int, ...] = (0,)


@dataclass(frozen=True, slots=True)
class Done:
    """What became of it. cpu_s: of the command and the processes that it waited for."""

    name: str
    code: int
    failed: bool
    wall_s: float
    cpu_s: float
    out: str


@dataclass(frozen=True, slots=True)
class Board:
    """The folder that `board` made."""

    root: Path

    def cli(self, name: str, *words: str | Path) -> Step:
        """Return a step of the command line."""
        return Step(name, (str(self.root / "edgepose"), *map(str, words)))

    def python(self, name: str, *words: str | Path) -> Step:
        """Return a step of the board's Python."""
        return Step(name, (str(self.root / "py"), *map(str, words)))


def plan(board: Board, drawn: Path, artifacts: list[Path]) -> list[Step]:
    """Return all that is asked of the artifacts; the long ones come first."""
    by_name = {path.name: path for path in artifacts}
    return [
        *contract_tests(board),
        *(step for path in artifacts for step in checks(board, drawn, path)),
        *uses(board, drawn, by_name),
        board.python("attention", HERE / "outputs.py", "attention", drawn),
        board.cli("doctor", "doctor", "--json"),
        board.cli("devices", "devices"),
    ]


def contract_tests(board: Board) -> Iterable[Step]:
    """Yield the tests of every runtime's contract; the largest file runtime by runtime."""
    scratch = board.root / "pytest"
    for name in TESTS:
        base = ("-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/contract/{name}.py")
        parts = {"": ""}
        if name == "test_runtime_contract":
            others = " or ".join(RUNTIMES)
            parts = {f" {each}": each for each in RUNTIMES} | {" others": f"not ({others})"}
        for suffix, chosen in parts.items():
            title = f"pytest {name}{suffix}"
            selected = ("-k", chosen) if chosen else ()
            yield board.python(title, *base, *selected, f"--basetemp={scratch / title}")


def checks(board: Board, drawn: Path, path: Path) -> Iterable[Step]:
    """Yield `verify` of an artifact and its outputs, in each arithmetic of its engine."""
    for arithmetic in ("f32", "f16") if is_half(path) else ("f32",):
        options = ("--precision", arithmetic, "--threads", "1", "--json")
        step = board.cli(f"verify {path.name} {arithmetic}", "verify", path, *options)
        # Where f16 is too coarse for a model, `verify` refuses it and `auto` stays at f32: the record has the verdict.
        yield replace(step, accepted=(0, 3)) if arithmetic == "f16" else step
        words = ("save", drawn, arithmetic, board.root / "outputs", path)
        yield board.python(f"outputs {path.name} {arithmetic}", HERE / "outputs.py", *words)


def is_half(path: Path) -> bool:
    """Whether the artifact's engine computes in float16 on ARM."""
    return any(f".{runtime}-" in path.name for runtime in HALF)


def uses(board: Board, drawn: Path, artifacts: dict[str, Path]) -> Iterable[Step]:
    """Yield `run` of the drawn frame and `bench` on every runtime's fp32 artifacts, of a detector and a pose model.

    The three people of the frame score over .6, and what is none of them under .4.
    """
    for runtime in RUNTIMES:
        fp32 = sorted(name for name in artifacts if name.endswith(f".{runtime}-fp32"))
        detectors, poses = (
            [artifacts[name] for name in fp32 if name.startswith(f"rtm{kind}")]
            for kind in ("det", "pose")
        )
        if not (detectors and poses):
            continue
        target = board.root / "run" / f"{runtime}.json"
        models = (
            "--detector",
            detectors[0],
            *("--det-thr", "0.5"),
            "--pose",
            poses[0],
            "--threads",
            "1",
        )
        saved = ("--save-json", target, "--force")
        yield board.cli(f"run {runtime}", "run", drawn / "frame.png", *models, *saved)
        length = ("--threads", "1", "--iterations", "3", "--warmup", "1", "--json")
        yield board.cli(f"bench {runtime}", "bench", poses[0], *length)


def networks(board: Board, artifacts: list[Path]) -> list[Step]:
    """Return one inference in f16 of each artifact."""
    return [
        board.python(f"half {path.parent.name} {path.name}", HERE / "outputs.py", "half", path)
        for path in artifacts
    ]


def has_passed(step: Step, logs: Path) -> bool:
    """Return whether an earlier call of the step did not fail; the folders of networks are made once."""
    record = logs / f"{step.name}.json"
    return record.exists() and not json.loads(record.read_text())["failed"]


def run_step(step: Step, logs: Path) -> Done:
    """Run the command and note what became of it; it is killed at the limit."""
    begin = time.perf_counter()
    out, err = logs / f"{step.name}.out", logs / f"{step.name}.txt"
    with out.open("w") as stdout, err.open("w") as stderr:
        process = subprocess.Popen(  # noqa: S603 - ours
            step.command,
            stdout=stdout,
            stderr=stderr,
            stdin=subprocess.DEVNULL,
        )
        stop = threading.Timer(LIMIT_S, process.kill)
        stop.start()
        _, status, usage = os.wait4(process.pid, 0)
        stop.cancel()
    code = process.returncode = os.waitstatus_to_exitcode(status)
    cpu_s = usage.ru_utime + usage.ru_stime
    wall_s = time.perf_counter() - begin
    failed = code not in step.accepted
    done = Done(step.name, code, failed, round(wall_s, 1), round(cpu_s, 1), out.read_text())
    (logs / f"{step.name}.json").write_text(json.dumps(asdict(done)))
    tail = "" if not failed else f": exit {code}\n{done.out[-2000:]}{err.read_text()[-3000:]}"
    print(f"{step.name} ({wall_s:.0f} s){tail}", flush=True)
    return done


def main() -> int:
    """Run the steps of one kind; returns 1 where one fails."""
    kind, root, drawn, *paths = sys.argv[1:]
    board, artifacts = Board(Path(root).resolve()), [Path(path).resolve() for path in paths]
    steps = (
        networks(board, artifacts)
        if kind == "networks"
        else plan(board, Path(drawn).resolve(), artifacts)
    )
    if only := os.environ.get("ONLY"):
        steps = [step for step in steps if re.search(only, step.name)]
    logs = board.root / ("networks/steps" if kind == "networks" else "steps")
    for folder in (logs, board.root / "run", board.root / "pytest"):
        folder.mkdir(parents=True, exist_ok=True)
    if kind == "networks":
        steps = [step for step in steps if not has_passed(step, logs)]
    begin = time.perf_counter()
    jobs = int(os.environ.get("JOBS", "2"))
    with ThreadPoolExecutor(jobs) as pool:
        done = list(pool.map(lambda step: run_step(step, logs), steps))
    wall_s = round(time.perf_counter() - begin)
    (board.root / f"{kind}.json").write_text(json.dumps({"jobs": jobs, "wall_s": wall_s}))
    failed = [each.name for each in done if each.failed]
    print(f"{len(done)} commands in {wall_s} s; failed: {', '.join(failed) or 'none'}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
