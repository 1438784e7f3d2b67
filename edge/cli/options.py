"""Options that several verbs share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from runtimes.base import RunOptions
from runtimes.errors import InputError

Command = TypeVar("Command", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
task_option = click.option(
    "--task",
    help="The dataset whose keypoints a checkpoint gives: coco, wholebody, ap10k ...; "
    "takes that part out of a ViTPose++.",
)
force_option = click.option("--force", is_flag=True, help="Replace what exists.")


def run_options(function: Command) -> Command:
    """Add --threads, --precision and --accelerator."""
    decorated = click.option(
        "--accelerator", type=click.Choice(["cpu", "gpu", "npu"]), default="cpu"
    )(function)
    decorated = click.option(
        "--precision", type=click.Choice(["f32", "f16", "bf16"]), default="f32", help="Arithmetic."
    )(decorated)
    return click.option(
        "--threads", type=click.IntRange(1), help="Default: min(4, allowed cores)."
    )(decorated)


def make_run_options(threads: int | None, precision: Any, accelerator: Any) -> RunOptions:
    """Build RunOptions from the three options."""
    return RunOptions(threads=threads, precision=precision, accelerator=accelerator)


def parse_list(text: str, known: dict[str, Any], what: str) -> list[Any]:
    """Split `a,b` and look each up; raises InputError naming what is known."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise InputError(
            f"unknown {what} {', '.join(unknown) or repr(text)}; known: {', '.join(known)}"
        )
    return list(dict.fromkeys(known[name] for name in names))


def parse_counts(text: str, option: str) -> list[int]:
    """Split `1,2,4` into whole numbers from 1, each once; raises InputError for anything else."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and part.isascii() and int(part) for part in parts):
        raise InputError(f"{option} wants whole numbers from 1, such as 1,2,4, not {text!r}")
    return list(dict.fromkeys(int(part) for part in parts))


def parse_wh(text: str) -> tuple[int, int]:
    """Parse `WxH`, two positive integers."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise InputError(f"--input wants WxH such as 192x256, not {text!r}")
    return int(width), int(height)
