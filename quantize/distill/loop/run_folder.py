"""The folder of a training run: file names, the stored configuration, and what may change when a run is resumed."""

import csv
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from runtimes.errors import InputError, TargetExistsError
from runtimes.files import atomic_file
from runtimes.record import MALFORMED, Record

CONFIG = "recipe.json"
STUDENT = "student.safetensors"
BEST = "best.safetensors"
BEST_METRICS = "best.json"
LAST = "last.safetensors"
INIT = "init.json"
STATE = "state.pt"
LOG = "log.csv"
METRICS = "marks.csv"
CURVES = "curves.png"
RESULT = "result.json"
# Settings that do not change the student, and may differ when a run is resumed.
NOT_DECISIVE = (
    *(
        "workers",
        "save_every",
        "validate_every",
        "patience",
        "keep",
        "tensorboard",
        "teacher_cache",
    ),
    *("steps", "epochs"),  # the schedule is then that of the new length, from the step reached on
)
# Settings that decide which weights are the best; runs of edgepose 0.1 did not record them.
VALIDATION = ("val", "val_images")

C = TypeVar("C", bound=Record)
S = TypeVar("S", bound=msgspec.Struct)


def check_run_folder(
    folder: Path, config: C, *, resume: bool, fill: Callable[[C], C] = lambda config: config
) -> None:
    """Raise unless a run with this configuration can start in `folder`, or be resumed there with `resume`.

    fill: puts defaults into a stored configuration, as they are in `config` already.

    TargetExistsError where the folder holds a run already; InputError where there is none to resume, or one with
    another configuration, naming the setting. `batch` and `accumulate` may change if their product does not.
    """
    if not resume:
        if (folder / CONFIG).exists():
            raise TargetExistsError(
                f"{folder} holds a training run; resume it with --resume, or choose another --out"
            )
        return
    new, old = (
        msgspec.structs.asdict(config),
        msgspec.structs.asdict(fill(read_config(folder, type(config)))),
    )
    same_step = new["batch"] * new["accumulate"] == old["batch"] * old["accumulate"]
    free = (*NOT_DECISIVE, "batch", "accumulate") if same_step else NOT_DECISIVE
    free = (*free, *(name for name in VALIDATION if old.get(name) is None))
    name = next((name for name in new if name not in free and new[name] != old[name]), None)
    if name is not None:
        raise InputError(
            f"{folder} was started with {name} {old[name]!r}, not {new[name]!r}; resume with the same, "
            "or start a new run in another --out"
        )


def write_config(folder: Path, config: Record) -> None:
    """Write the configuration: from then on `folder` holds a run."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / CONFIG, config)


class _Named(msgspec.Struct):
    """What configurations of all tasks have, besides fields of their own."""

    student: str


def check_student(folder: Path, student: str) -> None:
    """Raise InputError where the folder's run is of another student, of whatever task, or there is none."""
    stored = read_config(folder, _Named).student
    if stored != student:
        raise InputError(
            f"{folder} was started with student {stored!r}, not {student!r}; resume with the same, or start a new run "
            "in another --out"
        )


def read_config(folder: Path, kind: type[S]) -> S:
    """Return the configuration of a run; raises InputError where it is missing, unreadable or of another kind."""
    path = folder / CONFIG
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError as error:
        raise InputError(f"{folder}: no training run to resume; leave --resume out") from error
    except (OSError, *MALFORMED) as error:
        raise InputError(
            f"{path}: cannot be read ({error}); start a new run in another --out"
        ) from error


def trim_log(path: Path, done: int) -> None:
    """Drop a CSV log's lines of steps after `done`, which a resumed run repeats, and a line that was cut short.

    Several processes may do so at once: all write the same content.
    """
    if not done:
        path.unlink(missing_ok=True)
    if not path.exists():
        return
    head, *lines = path.read_bytes().splitlines(keepends=True) or [b""]
    complete = [
        line for line in lines if line.endswith(b"\n") and line.count(b",") == head.count(b",")
    ]
    kept = [line for line in complete if int(line.split(b",", 1)[0]) <= done]
    with atomic_file(path) as stream:
        stream.write(b"".join([head, *kept]))


def append_row(path: Path, row: Mapping[str, object]) -> None:
    """Append a row to a CSV log, with a header if it is the first."""
    fresh = not path.exists()
    with path.open("a", newline="") as stream:
        writer = csv.writer(stream)
        if fresh:
            writer.writerow(row)
        writer.writerow(row.values())


def copy_file(source: Path, target: Path) -> None:
    """Copy a file atomically, replacing an older one."""
    with source.open("rb") as read, atomic_file(target) as stream:
        shutil.copyfileobj(read, stream)


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically."""
    with atomic_file(path) as stream:
        stream.write(msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n")
