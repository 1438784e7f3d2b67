"""One trial of a search: an int8 artifact made on few images, judged against its parent on the search set, noted.

Notes lie in a file, so that a search that was stopped goes on: what was tried is not tried again.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from edge.parity.boxes import BOX_LIMITS, SCORE_SHIFT
from edge.parity.compare import PX_LIMITS
from edge.parity.reference import Reference
from quantize.int8.base import Recipe
from quantize.int8.calibration import Sets
from quantize.int8.gate import float_reference, judge_int8
from quantize.int8.layer_search import OutOfTimeError, SearchResult, search_layers
from quantize.int8.registry import quantizer
from quantize.int8.run import Job, make_int8
from runtimes.artifact import MANIFEST, Artifact, sha256_of
from runtimes.errors import ConversionError, EngineError, InputError
from runtimes.files import atomic_file
from runtimes.parity_spec import BoxesParity, Parity, PxParity
from runtimes.spec import KeptLayer
from runtimes.version import __version__

# Trials calibrate on fewer images: their order is what counts, the artifact is made with all.
CALIBRATE = 32
# The search set is not the one that judges: it must do better by this factor.
MARGIN = 0.8
TOLD = "left in float by --search: drift {drift:.3g} with these layers, {plain:.3g} with none (limit {limit:.3g})"


class Notes(msgspec.Struct):
    """What was tried: `key` says of which artifact, images and recipe; drift by the kept layers' names, joined."""

    key: tuple[str, ...]
    drift: dict[str, float] = msgspec.field(default_factory=dict)


@dataclass
class Trials:
    """Makes and judges int8 artifacts of one parent, and remembers."""

    parent: Artifact
    sets: Sets
    job: Job
    notes_path: Path
    time_limit_s: float | None
    told: Callable[[str], None]
    reference: Reference = field(init=False)
    notes: Notes = field(init=False)
    began_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.began_s = time.monotonic()
        self.reference = float_reference(self.parent, self.sets.search)
        self.sets = replace(self.sets, calibrate=self.sets.calibrate[:CALIBRATE])
        recipe = self.job.recipe(self.parent)
        key = (sha256_of(self.parent.root / MANIFEST), self.sets.sha256, recipe.mode, __version__)
        self.notes = _read_notes(self.notes_path, key)

    def drift(self, kept: frozenset[str]) -> float:
        """Return the drift with these layers in float; 1 is the gate's limit. Raises OutOfTimeError."""
        name = "\n".join(sorted(kept))
        if name in self.notes.drift:
            return self.notes.drift[name]
        if self.time_limit_s is not None and time.monotonic() - self.began_s > self.time_limit_s:
            raise OutOfTimeError
        value = drift_of(self._judged(kept))
        self.notes.drift[name] = value
        with atomic_file(self.notes_path) as stream:
            stream.write(msgspec.json.encode(self.notes))
        self.told(f"{len(kept)} layers in float: {value:.2f} of the limit")
        return value

    def _judged(self, kept: frozenset[str]) -> Parity:
        layers = tuple(KeptLayer(layer=name, precision="float", reason="") for name in sorted(kept))
        recipe = Recipe(self.job.recipe(self.parent).mode, layers)
        with tempfile.TemporaryDirectory(prefix="edgepose-search-") as scratch:
            artifact = make_int8(self.parent, self.sets, recipe, Path(scratch))
            return judge_int8(artifact, self.reference, "search set", self.job.max_px)


def drift_of(parity: Parity) -> float:
    """Return a judgement's drift in shares of its limit; what is broken outright drifts without end.

    Raises InputError where agreement cannot be judged without labels.
    """
    if parity.symptoms:
        return float("inf")
    if isinstance(parity, PxParity) and parity.px_p95 is not None:
        return parity.px_p95 / (parity.limit or PX_LIMITS["int8"])
    if isinstance(parity, BoxesParity):
        lost = (1 - parity.matched) / (1 - BOX_LIMITS["int8"].share)
        shift = float("inf") if parity.score_shift is None else abs(parity.score_shift)
        return max(lost, shift / SCORE_SHIFT)
    raise InputError(
        "--search goes by agreement with the float artifact, and this model decides under half of its keypoints; "
        "leave --search out and judge by --val"
    )


def searched(
    parent: Artifact,
    sets: Sets,
    job: Job,
    out: Path,
    time_limit_s: float | None,
    told: Callable[[str], None],
) -> tuple[Job, SearchResult]:
    """Return the job with the layers that a search leaves in float, and what the search came to.

    Notes are kept in `out`/.search/ and taken up again. Raises InputError where there is nothing to go by.
    """
    layers = [layer.name for layer in quantizer(parent.manifest.runtime).layers(parent)]
    folder = out / ".search"
    folder.mkdir(parents=True, exist_ok=True)
    trials = Trials(parent, sets, job, folder / f"{parent.name}.json", time_limit_s, told)
    try:
        found = search_layers(layers, MARGIN, trials.drift)
    except (ConversionError, EngineError) as error:
        raise InputError(f"{parent.name}: --search cannot go on ({error}); leave it out") from error
    reason = TOLD.format(drift=found.drift, plain=found.initial_drift, limit=found.limit)
    kept = tuple(KeptLayer(layer=name, precision="float", reason=reason) for name in found.kept)
    return replace(job, kept=(*job.kept, *kept)), found


def _read_notes(path: Path, key: tuple[str, ...]) -> Notes:
    """Return the notes of an earlier search of the same thing, or new ones."""
    try:
        notes = msgspec.json.decode(path.read_bytes(), type=Notes)
    except (OSError, msgspec.DecodeError):
        return Notes(key)
    return notes if notes.key == key else Notes(key)
