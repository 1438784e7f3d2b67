"""Options that several verbs share, alone or in groups; `edge.cli.verb.Verb` builds the dataclass of a group."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from edge.bench.remote.target import refuse_target
from runtimes.base import Accelerator, Arithmetic, ArithmeticChoice, RunOptions
from runtimes.cache.names import find
from runtimes.errors import InputError
from runtimes.threads import MAX_THREADS

if TYPE_CHECKING:
    from edge.evaluation.dataset import Dataset
    from edge.pipeline import Skip
    from runtimes.artifact import Artifact

Decorator = Callable[[Any], Any]
PATH = click.Path(path_type=Path)
_MOST_DIGITS = 9


class ArtifactParam(click.ParamType):  # type: ignore[type-arg]  # click 8.1 has no parameter
    """An artifact's directory, or its name in the cache."""

    name = "artifact"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the directory, or the name of none; raises InputError for a name of a board, and what `find` does."""
        found = find(value)
        if found is None:
            refuse_target(str(value))
        return found or Path(value)


ARTIFACT = ArtifactParam()


class FloatRange(click.FloatRange):
    """A number within bounds; NaN, which click's own type lets through, is none."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number; fails for one that is out of bounds, and for NaN."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail("NaN is no number to work with.", param, ctx)
        return number


class FiniteRange(FloatRange):
    """A finite number within bounds."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number; fails for one that is out of bounds, for NaN and for infinity."""
        number = super().convert(value, param, ctx)
        if math.isinf(number):
            self.fail("infinity is no number to work with.", param, ctx)
        return number


def setting(flags: Sequence[str], kind: Any, default: Any, text: str) -> Decorator:
    """Return an option whose help shows its default. flags: as click takes them, the parameter's name last if other."""
    return click.option(*flags, type=kind, default=default, show_default=True, help=text)


def together(*options: Decorator, section: str = "") -> Decorator:
    """Return one decorator that adds all these options; the help lists them in this order, under `section`."""

    def add(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
            if section:
                function.__click_params__[-1].section = section
        return function

    return add


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
force_option = click.option("--force", is_flag=True, help="Replace existing files.")
artifacts_option = setting(["--out"], PATH, Path("artifacts"), "Directory to put artifacts in.")
html_option = click.option("--html", type=PATH, help="Write a self-contained REPORT.html.")
task_option = click.option(
    "--task",
    help="Dataset whose keypoints the checkpoint predicts (coco, wholebody, ap10k ...); "
    "selects that head of a ViTPose++, or of a student trained with --extra-head SET.",
)
det_classes_option = click.option(
    "--det-classes",
    help="Comma-separated classes of the detector that are people. Default: person, or its only one.",
)
keypoints_option = click.option(
    "--keypoints",
    help="SCHEMA.json (names; pairs, edges, sigmas) or a known set's name. Default: what the file names.",
)
heads_option = click.option(
    "--heads",
    type=click.IntRange(1),
    help="Attention heads of a transformer of unpublished width. Default: one for each 64 channels.",
)
size_option = click.option(
    "--size",
    default="",
    help="A ViTPose's whole size, where its tensors do not show it: b-stride8-window8x8-shift-pool.",
)


accelerator_option = setting(
    ["--accelerator"], click.Choice(get_args(Accelerator)), "cpu", "Processor that runs the model."
)


def _engine_options(
    _ctx: click.Context, _param: click.Parameter, texts: tuple[str, ...]
) -> dict[str, int | str]:
    """Parse NAME=VALUE, each name once; a whole number becomes one. Raises InputError for anything else."""
    found: dict[str, int | str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value) or name in found:
            raise InputError(
                f"--engine-option wants NAME=VALUE, each name once, such as provider=cuda, not {text!r}"
            )
        found[name] = int(value) if is_whole(value) else value
    return found


engine_option = click.option(
    "--engine-option",
    "extra",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_engine_options,
    help="An engine's own option, such as provider=tensorrt; repeat for several.",
)
tuned_option = click.option(
    "--tuned", is_flag=True, help="Use the options that `edgepose tune` chose on this machine."
)
threads_option = click.option(
    "--threads",
    type=click.IntRange(1, MAX_THREADS),
    help=f"CPU threads, 1 to {MAX_THREADS}. Default: min(4, allowed cores); ncnn: fewer where that is faster.",
)
# fills runtimes.base.RunOptions
run_options = together(
    threads_option,
    setting(
        ["--precision"], click.Choice(get_args(Arithmetic)), "f32", "Arithmetic of the engine."
    ),
    accelerator_option,
    engine_option,
)


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """Options of a session; `precision` may be "auto", which each artifact answers for itself."""

    threads: int | None
    precision: ArithmeticChoice
    accelerator: Accelerator
    extra: dict[str, int | str]

    def resolve(self, artifact: "Artifact", *, tuned: bool) -> RunOptions:
        """Return the options for an artifact: as given, or as `edgepose tune` chose them.

        Raises InputError where nothing is tuned, or tuned options come with others.
        """
        from devices.tuned import tuned_options
        from edge.parity.auto import chosen_options

        plain = RunOptions(threads=self.threads, accelerator=self.accelerator, extra=self.extra)
        if not tuned:
            return chosen_options(artifact, plain, self.precision)
        if self.precision != "auto":
            plain = replace(plain, precision=self.precision)
        return tuned_options(artifact, plain, self.precision)


# fills LoadOptions
load_options = together(
    threads_option,
    setting(
        ["--precision"],
        click.Choice(get_args(ArithmeticChoice)),
        "f32",
        "Arithmetic of the engine. auto: f16 for each model that verifies in it on this machine, else f32.",
    ),
    accelerator_option,
    engine_option,
)


@dataclass(frozen=True, slots=True)
class CalibrationOptions:
    """Images of people that calibrate int8 and that the gate compares on; `images`: the folder of a COCO.json's."""

    calib: Path | None
    images: Path | None


calibration_options = together(
    click.option(
        "--calib",
        type=PATH,
        help="Images of people to compare on and to calibrate int8 with: DIR, COCO.json or `synth` (drawn people).",
    ),
    click.option(
        "--images", type=PATH, help="Directory of the images that --calib COCO.json lists."
    ),
)


@dataclass(frozen=True, slots=True)
class GateOptions:
    """Limits of the gate, and the labelled images that AP is computed on; `category`: of people, in --calib too."""

    val: Path | None
    val_images: Path | None
    category: str | None
    max_px: float | None
    max_ap_drop: float | None

    def check(self) -> None:
        """Raise InputError for a limit on AP without labels to compute it on."""
        if self.max_ap_drop is not None and self.val is None:
            raise InputError("--max-ap-drop needs ground truth: add --val COCO.json")

    def ground_truth(self) -> "Dataset | None":
        """Read --val; None where it was not given."""
        from edge.evaluation.dataset import load_dataset

        return load_dataset(self.val, self.val_images, self.category) if self.val else None


category_option = click.option(
    "--category",
    help="Category of the people in COCO.json, by name or id. Default: person, or the only one with keypoints.",
)
gate_options = together(
    click.option(
        "--val", type=PATH, help="COCO.json with ground truth: the gate also judges the drop in AP."
    ),
    click.option("--val-images", type=PATH, help="Directory of the images that --val lists."),
    category_option,
    click.option(
        "--max-px",
        type=FloatRange(min=0),
        help="Limit of the keypoint error (p95) in pixels, in place of the precision's own.",
    ),
    click.option(
        "--max-ap-drop",
        type=FloatRange(min=0),
        help="Limit of the drop in AP, in points: 0.5 = .005 (needs --val).",
    ),
)

# fills edge.bench.measure.Plan
plan_options = together(
    setting(["--rounds"], click.IntRange(1), 10, "Rounds; each row takes one turn in a round."),
    setting(
        ["--time", "time_s"],
        FloatRange(0, min_open=True),
        5.0,
        "Timed seconds for each row, over all rounds.",
    ),
)


def parse_list(text: str, known: dict[str, Any], what: str) -> list[Any]:
    """Split `a,b` and look each up; raises InputError naming what is known."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise InputError(
            f"unknown {what} {', '.join(unknown) or repr(text)}; known: {', '.join(known)}"
        )
    return list(dict.fromkeys(known[name] for name in names))


def parse_threads(text: str) -> list[int]:
    """Split `1,2,4` into thread counts, each once; raises InputError for anything else."""
    parts = [part.strip() for part in text.split(",")]
    if not all(is_whole(part) and 1 <= int(part) <= MAX_THREADS for part in parts):
        raise InputError(
            f"--threads wants whole numbers from 1 to {MAX_THREADS}, such as 1,2,4, not {text!r}"
        )
    return list(dict.fromkeys(int(part) for part in parts))


def is_whole(text: str) -> bool:
    """Return whether a text is a whole number in digits, of at most nine."""
    return text.isdecimal() and text.isascii() and len(text) <= _MOST_DIGITS


def parse_wh(text: str) -> tuple[int, int]:
    """Parse `WxH`, two positive integers."""
    width, _, height = text.lower().partition("x")
    if not (is_whole(width) and is_whole(height) and int(width) and int(height)):
        raise InputError(f"--input wants WxH such as 192x256, not {text!r}")
    return int(width), int(height)


def parse_skip(text: str) -> "Skip":
    """Parse `--skip`: a number of frames, or auto."""
    if text == "auto":
        return "auto"
    if not is_whole(text) or int(text) < 1:
        raise InputError(f"--skip wants a number of frames from 1 up, or auto, not {text!r}")
    return int(text)
