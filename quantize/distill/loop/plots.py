"""Training curves as a picture: the losses, and the metrics on the validation set."""

import csv
from collections.abc import Sequence
from pathlib import Path

from runtimes.errors import MissingDependencyError
from runtimes.files import atomic_file

Columns = dict[str, list[float]]
MAX_SMOOTHING = 25  # steps averaged into one point of a loss curve
NO_LOSS = {"step", "rate", "images_per_s"}


def read_log(path: Path) -> Columns:
    """Return a CSV log's columns by name; empty cells are skipped."""
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    names = list(rows[0]) if rows else []
    return {name: [float(row[name]) for row in rows if row[name]] for name in names}


def plot_curves(log: Columns, metrics: Columns, title: str, target: Path) -> None:
    """Write a PNG: losses over steps (logarithmic axis), and metrics between 0 and 1 over steps.

    log: `step` and a column per loss; metrics: `step` and a column per metric, `px` not drawn. Raises
    MissingDependencyError without matplotlib.
    """
    try:
        import matplotlib as mpl  # noqa: PLC0415 a host's library, and slow to import

        mpl.use("agg")
        from matplotlib import pyplot as plt  # noqa: PLC0415
    except ImportError as error:
        raise MissingDependencyError("matplotlib", "distill") from error
    figure, (losses, quality) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for name, values in log.items():
        if name not in NO_LOSS and any(value > 0 for value in values):
            steps, smooth = _smoothed(log["step"], values)
            losses.plot(steps, smooth, label=name, linewidth=1)
    losses.set(xlabel="step", ylabel="loss", yscale="log", title=title)
    losses.legend()
    for name, values in metrics.items():
        if name not in {"step", "px"} and len(values) == len(metrics["step"]):
            quality.plot(metrics["step"], values, marker="o", label=name)
    quality.set(xlabel="step", ylabel="validation", ylim=(0, 1))
    quality.legend()
    with atomic_file(target) as stream:
        figure.savefig(stream, format="png", dpi=110)
    plt.close(figure)


def _smoothed(steps: Sequence[float], values: Sequence[float]) -> tuple[list[float], list[float]]:
    """Return means over neighbouring steps; short runs stay as they are."""
    width = max(1, min(MAX_SMOOTHING, len(values) // 40))
    starts = range(0, len(values) - width + 1, width)
    means = [sum(values[start : start + width]) / width for start in starts]
    return [steps[start + width - 1] for start in starts], means
