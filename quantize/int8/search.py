"""Search for the layers to keep in float, by trials: quantized on few images and compared with the parent.

Trials are logged in a file, so that an interrupted search resumes without repeating them.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from edge.parity.boxes import BOX_LIMITS, SCORE_SHIFT
from edge.parity.compare import PX_LIMITS
from edge.parity.reference import Reference
from quantize.int8.base import Recipe
from quantize.int8.calibration import ImageSets
from quantize.int8.gate import float_reference, judge_int8
from quantize.int8.layer_search import OutOfTimeError, SearchResult, search_layers
from quantize.int8.registry import quantizer
from quantize.int8.run import Int8Options, write_int8
from runtimes.artifact import MANIFEST, Artifact, sha256_of
from runtimes.errors import ConversionError, EngineError, InputError
from runtimes.files import atomic_file
from runtimes.parity_spec import BoxesParity, Parity, PxParity
from runtimes.record import MALFORMED
from runtimes.spec import KeptLayer
from runtimes.staging import scratch
from runtimes.version import __version__

# Trials calibrate on fewer images than the final artifact: only their order counts.
TRIAL_IMAGES = 32
# Share of the gate's limit to hold on the search set, since other images judge.
LIMIT_SHARE = 0.8
REASON = "left in float by --search: drift {drift:.3g} with these layers, {plain:.3g} with none (limit {limit:.3g})"


class TrialLog(msgspec.Struct, forbid_unknown_fields=True):
    """Trials so far: `key` identifies artifact, images, mode, limit and version; drift by joined names of kept layers.

    An infinite drift is null: JSON has no infinity.
    """

    key: tuple[str, ...]
    drift: dict[str, float | None] = msgspec.field(default_factory=dict)


@dataclass
class Trials:
    """Drift of one parent's int8 artifacts by their kept layers, measured once each and logged."""

    parent: Artifact
    sets: ImageSets
    options: Int8Options
    log_path: Path
    time_limit_s: float | None
    progress: Callable[[str], None]
    reference: Reference = field(init=False)
    log: TrialLog = field(init=False)
    began_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.began_s = time.monotonic()
        self.reference = float_reference(self.parent, self.sets.search)
        self.sets = replace(self.sets, calibration=self.sets.calibration[:TRIAL_IMAGES])
        mode, limit = self.options.recipe(self.parent).mode, f"max px {self.options.max_px}"
        manifest = sha256_of(self.parent.root / MANIFEST)
        key = (manifest, self.sets.sha256, mode, limit, __version__)
        self.log = _read_log(self.log_path, key)

    def drift(self, kept: frozenset[str]) -> float:
        """Return the drift with these layers in float, relative to the gate's limit. Raises OutOfTimeError."""
        name = "\n".join(sorted(kept))
        if name in self.log.drift:
            logged = self.log.drift[name]
            return math.inf if logged is None else logged
        if self.time_limit_s is not None and time.monotonic() - self.began_s > self.time_limit_s:
            raise OutOfTimeError
        value = relative_drift(self._compare(kept))
        self.log.drift[name] = value if math.isfinite(value) else None
        with atomic_file(self.log_path) as stream:
            stream.write(msgspec.json.encode(self.log))
        self.progress(f"{len(kept)} layers in float: {value:.2f} of the limit")
        return value

    def _compare(self, kept: frozenset[str]) -> Parity:
        layers = tuple(KeptLayer(layer=name, precision="float", reason="") for name in sorted(kept))
        recipe = Recipe(self.options.recipe(self.parent).mode, layers)
        with scratch("search") as folder:
            artifact = write_int8(self.parent, self.sets, recipe, folder)
            return judge_int8(artifact, self.reference, "search set", self.options.max_px)


def relative_drift(parity: Parity) -> float:
    """Return the drift relative to its limit; infinite where a sanity check failed.

    Raises InputError where agreement alone cannot judge the model.
    """
    if parity.symptoms:
        return math.inf
    if isinstance(parity, PxParity) and parity.px_p95 is not None:
        return parity.px_p95 / (parity.limit or PX_LIMITS["int8"])
    if isinstance(parity, BoxesParity):
        lost = (1 - parity.matched) / (1 - BOX_LIMITS["int8"].share)
        shift = math.inf if parity.score_shift is None else abs(parity.score_shift)
        return max(lost, shift / SCORE_SHIFT)
    raise InputError(
        "--search compares with the float artifact, and under half of this model's keypoints are decidable; "
        "omit --search and add --val COCO.json"
    )


def search_kept_layers(
    parent: Artifact,
    sets: ImageSets,
    options: Int8Options,
    out: Path,
    time_limit_s: float | None,
    progress: Callable[[str], None],
) -> tuple[Int8Options, SearchResult]:
    """Return the options with the layers that a search keeps in float, and the result of the search.

    The log in `out`/.search/ is resumed. Raises InputError where agreement alone cannot judge the model.
    """
    layers = [layer.name for layer in quantizer(parent.manifest.runtime).layers(parent)]
    folder = out / ".search"
    folder.mkdir(parents=True, exist_ok=True)
    trials = Trials(parent, sets, options, folder / f"{parent.name}.json", time_limit_s, progress)
    try:
        found = search_layers(layers, LIMIT_SHARE, trials.drift)
    except (ConversionError, EngineError) as error:
        raise InputError(f"{parent.name}: --search failed ({error}); omit --search") from error
    reason = REASON.format(drift=found.drift, plain=found.initial_drift, limit=found.limit)
    kept = tuple(KeptLayer(layer=name, precision="float", reason=reason) for name in found.kept)
    return replace(options, kept=(*options.kept, *kept)), found


def _read_log(path: Path, key: tuple[str, ...]) -> TrialLog:
    """Return the log of an earlier search with the same key, or an empty one."""
    try:
        log = msgspec.json.decode(path.read_bytes(), type=TrialLog)
    except (OSError, *MALFORMED):
        return TrialLog(key)
    return log if log.key == key else TrialLog(key)
