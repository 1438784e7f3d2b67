"""Trials of a search: their drift relative to the gate's limit, and a log that is resumed."""

import math

import msgspec
import numpy as np
import pytest

pytest.importorskip("torch")

from quantize.int8.calibration import ImageSets
from quantize.int8.run import Int8Options
from quantize.int8.search import TrialLog, relative_drift, search_kept_layers
from runtimes.errors import InputError
from runtimes.parity_spec import BoxesParity, PxParity, RawParity

PX = PxParity(reference="parent", passed=True, limit=4.0, px_p95=1.0)
BOXES = BoxesParity(
    reference="parent", passed=True, limit=0.95, boxes=400, matched=0.98, score_shift=-0.006
)


@pytest.mark.parametrize(
    ("parity", "drift"),
    [
        (PX, 0.25),
        (msgspec.structs.replace(PX, symptoms=("constant",)), math.inf),
        (BOXES, 0.4),  # 2 % unmatched of 5 % allowed; a fifth of the allowed shift
        (msgspec.structs.replace(BOXES, score_shift=0.024), 0.8),
        (msgspec.structs.replace(BOXES, matched=0.0, score_shift=None), math.inf),
    ],
)
def test_drift_is_relative_to_the_limit(parity, drift) -> None:
    assert relative_drift(parity) == pytest.approx(drift)


def test_agreement_alone_cannot_judge_raw_outputs() -> None:
    with pytest.raises(InputError, match="add --val"):
        relative_drift(RawParity(reference="parent", passed=None, raw_error=0.1))


def test_a_search_resumes_its_log(small_artifact, tmp_path) -> None:
    parent = small_artifact(tmp_path / "small-32x32.onnxruntime-fp32")
    images = np.zeros((12, 32, 32, 3), np.uint8)
    for index, image in enumerate(images):
        row, column = divmod(4 * index, 32)
        image[4 * row : 4 * row + 4, column : column + 4, 0] = 255
        image[28 - 4 * row : 32 - 4 * row, 28 - column : 32 - column, 2] = 255
    sets = ImageSets(*np.split(images, 3), source="squares", sha256="0" * 64)
    trials: list[str] = []

    def search(max_px=None):
        options = Int8Options(max_px=max_px)
        return search_kept_layers(parent, sets, options, tmp_path, None, trials.append)

    options, found = search()
    assert (found.met, found.kept, options.kept) == (True, (), ())
    assert len(trials) == 1  # int8 computes this network without error: no layer need stay in float
    (path,) = (tmp_path / ".search").iterdir()
    log = msgspec.json.decode(path.read_bytes(), type=TrialLog)
    assert log.drift == {"": 0.0}
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(log, drift={"": 0.5})))
    assert search()[1].drift == 0.5
    assert len(trials) == 1
    # JSON has no infinity: it is null on disk, and that trial is not repeated
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(log, drift={"": math.inf})))
    assert b'"":null' in path.read_bytes()
    found = search()[1]
    assert (found.initial_drift, found.met) == (math.inf, False)
    assert len(trials) == 1
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(log, drift={"": 0.5})))
    assert search(max_px=4.0)[1].drift == 0.0  # of another limit
    trials.pop()
    path.write_bytes(b"not a log")
    assert search()[1].drift == 0.0
    assert len(trials) == 2
