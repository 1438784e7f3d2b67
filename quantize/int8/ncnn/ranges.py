"""Calibration of ncnn nets: magnitudes of blobs on calibration images, and where to clip them for int8.

ncnn's int8 is symmetric: a blob needs one number, the magnitude that becomes 127.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantize.int8.ncnn.model_file import F32
from runtimes.adapters.common import engine_name
from runtimes.adapters.ncnn_adapter import image_mat
from runtimes.artifact import Artifact
from runtimes.errors import ConversionError

BINS = 2048
CLIPS = 128
LEVELS = 127

ReadBlob = Callable[[str], F32]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Magnitudes of a blob: the largest, and the counts int64 (BINS,) in equal bins up to it.

    Zeros are not counted: they stay zero at any scale.
    """

    peak: float
    counts: NDArray[np.int64]


def visit_blobs(
    artifact: Artifact, images: NDArray[np.uint8], visit: Callable[[ReadBlob], None]
) -> None:
    """Run the float net on every image, uint8 BGR (N, H, W, 3), and call `visit` with a function that reads blobs.

    One net for all images, one extractor for each: a layer is computed once an image. Blobs are float32, in ncnn's
    shape: (W,), (H, W) or (C, H, W). Raises ConversionError where ncnn refuses the net, or there is no image.
    """
    if len(images) == 0:
        raise ConversionError("static int8 needs calibration images; give some with --calib")
    net = _open_net(artifact)
    try:
        for image in images:
            # the extractor must go before the net is cleared: it holds memory of the net
            visit(_reader(net, artifact, image))
    finally:
        net.clear()


def blob_histograms(
    artifact: Artifact, peaks: Mapping[str, float], images: NDArray[np.uint8]
) -> dict[str, Histogram]:
    """Return the histogram of each blob in `peaks`, its largest magnitudes. Raises as `visit_blobs`."""
    counts = {blob: np.zeros(BINS, np.int64) for blob in peaks}

    def count(read: ReadBlob) -> None:
        for blob, peak in peaks.items():
            counts[blob] += _histogram(np.abs(read(blob)).ravel(), peak)

    visit_blobs(artifact, images, count)
    return {blob: Histogram(peak, counts[blob]) for blob, peak in peaks.items()}


def best_clip(histogram: Histogram) -> float:
    """Return the clip magnitude, at most the peak, of the least squared error of clipping and rounding to 127 steps.

    Expected squared error: a twelfth of a step's square for each value below, (value - clip)^2 for each beyond (Banner,
    Nahshan and Soudry, Post training 4-bit quantization, 2019, section 3), on the histogram instead of an assumed
    distribution. ncnn's ncnn2table clips by KL divergence, which cuts the long tails of SiLU far too low.
    """
    values = (np.arange(BINS) + 0.5) / BINS
    clips = np.arange(1, CLIPS + 1)[:, None] / CLIPS
    errors = np.where(values < clips, (clips / LEVELS) ** 2 / 12, (values - clips) ** 2)
    best = int(np.argmin(errors @ histogram.counts))
    return float(clips[best, 0]) * histogram.peak


def _histogram(values: NDArray[np.float32], peak: float) -> NDArray[np.int64]:
    if peak == 0:
        return np.zeros(BINS, np.int64)
    index = (values[values > 0] * np.float64(BINS / peak)).astype(np.int64)
    return np.bincount(np.minimum(index, BINS - 1), minlength=BINS)


def _reader(net: Any, artifact: Artifact, image: NDArray[np.uint8]) -> ReadBlob:
    import ncnn

    manifest = artifact.manifest
    extractor = net.create_extractor()
    _check(extractor.input(engine_name(manifest.inputs[0]), image_mat(ncnn, image, manifest.image)))
    return partial(_blob, extractor)


def _blob(extractor: Any, name: str) -> F32:
    code, mat = extractor.extract(name)
    _check(code)
    return np.array(mat)


def _open_net(artifact: Artifact) -> Any:
    import ncnn

    net = ncnn.Net()
    option = net.opt
    option.lightmode = False  # keeps blobs until they are read
    option.num_threads = 1  # sums must not depend on the number of cores
    option.use_vulkan_compute = False
    option.use_fp16_packed = option.use_fp16_storage = option.use_fp16_arithmetic = False
    option.use_bf16_packed = option.use_bf16_storage = False
    _check(net.load_param(str(artifact.file(".param"))))
    _check(net.load_model(str(artifact.file(".bin"))))
    return net


def _check(code: int) -> None:
    if code != 0:
        raise ConversionError(
            f"ncnn cannot run the float artifact on the calibration images (code {code}); verify it first"
        )
