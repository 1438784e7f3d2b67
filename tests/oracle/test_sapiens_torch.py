"""Sapiens against its authors' mmpose fork: raw outputs, keys, and where the keypoints are."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from edge.codecs import decode
from edge.geometry import make_crops
from edge.image import crop_image, read_image
from edge.types import Keypoints
from export.checkpoint import LoadedModel
from export.recognise import recognise
from export.registry import Variant, load_family

MINI = "sapiens-mini-17"


def raw_error(got: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.abs(got - wanted).max() / max(1.0, np.abs(wanted).max()))


@pytest.fixture(scope="module")
def mini(loaded_model: Callable[[str], LoadedModel]) -> LoadedModel:
    return loaded_model(f"oracle:{MINI}")


@pytest.fixture(scope="module")
def reference(oracles) -> dict[str, np.ndarray]:
    with np.load(oracles(f"{MINI}.npz")) as archive:
        return dict(archive)


def test_outputs_and_features_equal_the_authors(
    mini: LoadedModel, reference: dict[str, np.ndarray]
) -> None:
    image = mini.spec.image
    pixels = reference["crop_bgr_u8"][..., ::-1].astype(np.float32)
    tensor = ((pixels - np.float32(image.mean)) / np.float32(image.std)).transpose(2, 0, 1)
    with torch.no_grad():
        features = mini.module.backbone(torch.from_numpy(tensor[None]))
        heatmap = mini.module.head(features)

    assert mini.variant == Variant("sapiens", "192x3x6-head96", (768, 1024), schema="coco17")
    assert mini.spec.outputs[0].shape[1:] == heatmap.shape[1:]
    assert mini.module.backbone.layers[0].attn.heads == reference["num_heads"]
    assert raw_error(features.numpy(), reference["feat"]) <= 1e-4
    assert raw_error(heatmap.numpy(), reference["heatmap"]) <= 1e-4


@pytest.mark.parametrize("source", ["training", "lite"])
def test_keypoints_equal_those_of_training_and_of_the_lite_demo(
    mini: LoadedModel, reference: dict[str, np.ndarray], oracles, source: str
) -> None:
    """Both decoders write W where UDP means W - 1 (test_codecs says more); in the picture that cancels out."""
    if source == "training":
        xy, scores = reference["dec_keypoints_input"], reference["dec_scores"]
    else:
        with np.load(oracles("sapiens-lite-preproc.npz")) as lite:
            xy, scores = lite["udp_keypoints_input"], lite["udp_scores"]
    (found,) = decode({"heatmap": reference["heatmap"]}, mini.spec)
    assert isinstance(found, Keypoints)
    np.testing.assert_allclose(found.xy, xy * [767 / 768, 1023 / 1024], atol=2e-3)
    np.testing.assert_allclose(found.scores, scores, atol=1e-6)


def test_crops_are_those_of_training_and_not_of_the_lite_demo(
    mini: LoadedModel, reference: dict[str, np.ndarray], oracles, real: Path
) -> None:
    frame = read_image(real / "mmpose-coco" / Path(str(reference["image"])).name)
    boxes = reference["bbox_xyxy"].astype(np.float32)
    (crop,) = make_crops(boxes, frame.shape[1::-1], mini.spec.crop, mini.spec.image.wh)
    ours = crop_image(frame, crop, mini.spec.crop).astype(int)
    with np.load(oracles("sapiens-lite-preproc.npz")) as lite:
        theirs = lite["crop_bgr_u8"]

    assert (
        np.abs(ours - reference["crop_bgr_u8"]).mean() < 0.3
    )  # another OpenCV decoded and warped theirs
    assert np.abs(ours - theirs).mean() > 10


@pytest.mark.parametrize(
    ("count", "schema"), [(17, "coco17"), (133, "coco133"), (308, "sapiens308")]
)
def test_keys_are_the_official_ones(oracles, count: int, schema: str) -> None:
    listed = oracles(f"sapiens-0.3b-{count}.keys.txt").read_text().splitlines()
    wanted = {key: shape for key, shape, _ in (line.split("\t") for line in listed)}
    variant = Variant("sapiens", "0.3b", (768, 1024), schema=schema)
    with torch.device("meta"):
        state = load_family("sapiens").build(variant).state_dict()

    assert {key: str(tuple(value.shape)) for key, value in state.items()} == wanted
    assert recognise(Path("file"), state)[0] == variant
