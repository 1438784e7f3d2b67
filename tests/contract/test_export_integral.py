"""FastPose trained for integral regression, one body over every runtime: the gate judges its decoded keypoints.

Untrained weights give flat maps, which no gate can judge in pixels; so a shallow FastPose learns to put its keypoints
where it is told.
"""

from pathlib import Path

import numpy as np
import pytest

from edge.catalog.specs_fastpose import fastpose_spec
from edge.codecs import decode
from edge.parity.verify import run_batches, verify
from runtimes.artifact import Artifact
from runtimes.base import RunOptions
from runtimes.codec_spec import IntegralCodec
from runtimes.registry import ENGINES, installed_engine, open_session
from runtimes.spec import Lineage, Runtime

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402 - after the check for torch

from export import LoadedModel, Target, export_model  # noqa: E402
from export.inputs import GateInputs, drawn_inputs  # noqa: E402
from export.models.fastpose import FastPose, Size  # noqa: E402
from export.registry import Variant  # noqa: E402

WH, STRIDE, PEOPLE, POINTS = (96, 128), 4, 4, 17
SPEC = fastpose_spec("fastpose-shallow", WH, "coco17", "integral")
VARIANT = Variant("fastpose", "shallow", WH, schema="coco17", codec="integral")
SIGMA, PEAK = 1.5, 0.9  # of the maps to be learnt, in bins
PRIOR = -6.0  # the logit of a bin before anything is learnt
STEPS = 100


@pytest.fixture(scope="module")
def inputs() -> GateInputs:
    return drawn_inputs(SPEC, PEOPLE)


@pytest.fixture(scope="module")
def places() -> np.ndarray:
    """Where the keypoints shall be, in pixels of the input, (PEOPLE, POINTS, 2)."""
    return np.random.default_rng(0).uniform(20, np.array(WH) - 24, (PEOPLE, POINTS, 2))


@pytest.fixture(scope="module")
def model(inputs: GateInputs, places: np.ndarray) -> LoadedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = FastPose(Size((2, 1, 1, 1)), POINTS)
    learn(network, normalised(inputs.images), blobs(places))
    network.eval().requires_grad_(requires_grad=False)
    return LoadedModel(network, SPEC, Lineage(weights="random"), VARIANT)


def normalised(images: np.ndarray) -> torch.Tensor:
    rgb = images[..., ::-1].astype(np.float32)
    pixels = (rgb - np.float32(SPEC.image.mean)) / np.float32(SPEC.image.std)
    return torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())


def blobs(places: np.ndarray) -> torch.Tensor:
    """Gaussians at places (B, K, 2) in pixels: maps (B, K, h, w)."""
    x, y = (np.arange(side // STRIDE) for side in WH)
    bins = places / STRIDE
    far = np.square(y - bins[..., 1:])[..., :, None] + np.square(x - bins[..., :1])[..., None, :]
    return torch.from_numpy(PEAK * np.exp(-far / (2 * SIGMA**2))).float()


def learn(network: FastPose, images: torch.Tensor, wanted: torch.Tensor) -> None:
    """Teach the last two convolutions; of what is before them only the norms' statistics change."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None  # a pass's statistics as they are
    with torch.no_grad():
        network.train()(images)
        network.eval()
        features = network.duc1(network.shuffle(network.preact(images)))
        network.conv_out.bias.fill_(PRIOR)
    learning = [*network.duc2.parameters(), *network.conv_out.parameters()]
    optimiser = torch.optim.Adam(learning, 1e-3)
    for _ in range(STEPS):
        logits = network.conv_out(network.duc2(features))
        loss = nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="sum")
        optimiser.zero_grad()
        (loss / (PEOPLE * POINTS)).backward()
        optimiser.step()


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ENGINES)
def test_keypoints_of_the_mean_are_judged_in_pixels(
    model: LoadedModel, inputs: GateInputs, places: np.ndarray, tmp_path: Path, runtime: Runtime
) -> None:
    if installed_engine(runtime) is None:
        pytest.skip(f"{runtime} is not installed")
    targets = [Target(runtime, "fp32"), Target(runtime, "fp16")]
    for made in export_model(model, targets, tmp_path, inputs=inputs):
        (parity,) = made.parity
        assert (parity.basis, parity.passed) == ("px", True), parity
        assert parity.keypoints == PEOPLE * POINTS
        assert parity.decidable >= 0.9 * parity.keypoints

        artifact = Artifact.open(made.path)
        assert artifact.manifest.codec == IntegralCodec(norm="sigmoid", shift_flip=True)
        assert verify(artifact, RunOptions()).basis == "px"
        session = open_session(artifact)
        items = decode(run_batches(session, "image", inputs.images), artifact.manifest)
        session.close()
        found = np.concatenate([item.xy for item in items])
        # as near as it learnt: most within a bin of the map
        assert np.percentile(np.linalg.norm(found - places, axis=2), 90) < STRIDE
