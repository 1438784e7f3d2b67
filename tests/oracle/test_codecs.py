"""Decoding against mmpose 1.3.2 and mmdet 3.3.0, in input pixels and back in the photograph.

mmpose puts UDP keypoints on a scale of W / (w - 1) and divides by W again on the way to the photograph; ours are pixels
of the crop, (W - 1) / (w - 1), so that `Crop.to_frame` alone takes them back.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from edge.codecs import decode
from edge.codecs.flip import flip_back
from edge.codecs.heatmap import blur, find_peaks
from edge.geometry import Size, make_crops
from edge.image import crop_image, read_image
from edge.schema import load_schema
from edge.types import Keypoints
from runtimes.base import Array
from runtimes.codec_spec import (
    BoxesCodec,
    Codec,
    HeatmapCodec,
    RTMDetCodec,
    SimCCCodec,
)
from runtimes.spec import (
    CropSpec,
    ImageSpec,
    ModelSpec,
    TensorSpec,
    Thresholds,
)

Npz = Mapping[str, Array]

SIMCC = ("simcc_x", "simcc_y")
RTMDET = ("cls0", "cls1", "cls2", "reg0", "reg1", "reg2")
PHOTO_WH = (640, 425)


def spec(
    codec: Codec,
    outputs: tuple[str, ...],
    wh: Size = (192, 256),
    crop: CropSpec | None = None,
    thresholds: Thresholds | None = None,
) -> ModelSpec:
    return ModelSpec(
        model="oracle",
        task="detect" if isinstance(codec, RTMDetCodec | BoxesCodec) else "pose-topdown",
        inputs=(),
        outputs=tuple(TensorSpec(name=name) for name in outputs),
        image=ImageSpec(wh=wh),
        crop=crop or CropSpec(kind="affine", padding=1.25),
        codec=codec,
        keypoints=load_schema("coco17").to_spec(),
        thresholds=thresholds or Thresholds(),
    )


def stacked(items: Sequence[Keypoints]) -> tuple[Array, Array]:
    return np.concatenate([item.xy for item in items]), np.concatenate([i.scores for i in items])


@pytest.fixture(scope="session")
def codecs(oracles) -> Npz:
    return np.load(oracles("codecs.npz"))


@pytest.mark.parametrize("case", ["simcc", "simcc_norm"])
def test_simcc(codecs: Npz, case: str) -> None:
    outputs = {"simcc_x": codecs[f"{case}/dec_in_x"], "simcc_y": codecs[f"{case}/dec_in_y"]}
    xy, scores = stacked(decode(outputs, spec(SimCCCodec(), SIMCC)))
    np.testing.assert_array_equal(xy, codecs[f"{case}/dec_kpts"])
    np.testing.assert_array_equal(scores, codecs[f"{case}/dec_scores"])


def test_simcc_maxima_and_flip(codecs: Npz) -> None:
    outputs = {"simcc_x": codecs["gsm/x"], "simcc_y": codecs["gsm/y"]}
    model = spec(SimCCCodec(split_ratio=1.0), SIMCC)
    xy, scores = stacked(decode(outputs, model))
    np.testing.assert_array_equal(xy, codecs["gsm/locs"])
    np.testing.assert_array_equal(scores, codecs["gsm/vals"])
    flipped = flip_back(outputs, model)
    np.testing.assert_array_equal(flipped["simcc_x"], codecs["gsm/flip_x"])
    np.testing.assert_array_equal(flipped["simcc_y"], codecs["gsm/flip_y"])


@pytest.mark.parametrize(
    ("case", "refine", "wh"),
    [
        ("msra", "shift", (192, 256)),
        ("msra_unbiased", "dark", (192, 256)),
        ("udp", "udp", (192, 256)),
        ("udp_s6", "udp", (768, 1024)),
    ],
)
def test_heatmap(codecs: Npz, case: str, refine: str, wh: Size) -> None:
    outputs = {"heatmap": codecs[f"{case}/dec_in"][None]}
    xy, scores = stacked(decode(outputs, spec(HeatmapCodec(refine=refine), ("heatmap",), wh)))
    scale = (np.array(wh) - 1) / wh if refine == "udp" else 1
    np.testing.assert_allclose(xy, codecs[f"{case}/dec_kpts"] * scale, atol=1e-3)
    np.testing.assert_array_equal(scores, codecs[f"{case}/dec_scores"])


@pytest.mark.parametrize(
    ("refine", "case"), [("shift", "plain"), ("dark", "dark"), ("udp", "dark_udp")]
)
def test_heatmap_refinement_in_bins(codecs: Npz, refine: str, case: str) -> None:
    # With an input as large as the map, input pixels are bins.
    model = spec(HeatmapCodec(refine=refine), ("heatmap",), (48, 64))
    xy, _ = stacked(decode({"heatmap": codecs["udp/dec_in"][None]}, model))
    np.testing.assert_allclose(xy, codecs[f"refine/{case}"], atol=1e-4)


@pytest.mark.parametrize(("maps", "case"), [("udp/dec_in", "ghm/"), ("ghm/neg_in", "ghm/neg_")])
def test_heatmap_maxima(codecs: Npz, maps: str, case: str) -> None:
    peaks, values = find_peaks(codecs[maps])
    np.testing.assert_array_equal(peaks, codecs[f"{case}locs"])
    np.testing.assert_array_equal(values, codecs[f"{case}vals"])


def test_heatmap_blur(codecs: Npz) -> None:
    np.testing.assert_allclose(blur(codecs["udp/dec_in"], 11), codecs["refine/blur11"], atol=1e-6)


@pytest.mark.parametrize("shift", [False, True])
def test_heatmap_flip(codecs: Npz, *, shift: bool) -> None:
    model = spec(HeatmapCodec(shift_flip=shift), ("heatmap",))
    flipped = flip_back({"heatmap": codecs["udp/dec_in"][None]}, model)["heatmap"]
    np.testing.assert_array_equal(flipped, codecs[f"flip/heatmap_shift{int(shift)}"])


@pytest.mark.parametrize(
    ("name", "codec", "outputs", "udp"),
    [
        ("rtmpose-t", SimCCCodec(), SIMCC, False),
        ("rtmpose-s", SimCCCodec(), SIMCC, False),
        ("vitpose-s", HeatmapCodec(refine="udp"), ("heatmap",), True),
    ],
)
def test_raw_outputs_to_the_photograph(
    oracles, name: str, codec: Codec, outputs: tuple[str, ...], *, udp: bool
) -> None:
    oracle = np.load(oracles(f"{name}.npz"))
    crop = CropSpec(kind="affine", padding=1.25, udp=udp)
    model = spec(codec, outputs, crop=crop)
    items = decode({output: oracle[output] for output in outputs}, model)
    xy, scores = stacked(items)
    scale = np.array([191 / 192, 255 / 256]) if udp else 1
    np.testing.assert_allclose(xy, oracle["dec_keypoints_input"] * scale, atol=0.01)
    np.testing.assert_array_equal(scores, oracle["dec_scores"])
    # The first two inputs are the crops of the boxes; the others are noise.
    crops = make_crops(oracle["bbox_xyxy"], PHOTO_WH, crop, (192, 256))
    people = [place.to_frame(item.xy) for place, item in zip(crops, items[:2], strict=True)]
    np.testing.assert_allclose(np.concatenate(people), oracle["img_keypoints_noflip"], atol=0.05)
    np.testing.assert_allclose(scores[:2], oracle["img_scores_noflip"], rtol=1e-6)


def test_sapiens_heatmaps(oracles) -> None:
    oracle = np.load(oracles("sapiens-mini-17.npz"))
    model = spec(HeatmapCodec(refine="udp"), ("heatmap",), (768, 1024))
    xy, scores = stacked(decode({"heatmap": oracle["heatmap"]}, model))
    scale = np.array([767 / 768, 1023 / 1024])
    np.testing.assert_allclose(xy, oracle["dec_keypoints_input"] * scale, atol=1e-3)
    np.testing.assert_array_equal(scores, oracle["dec_scores"])


@pytest.mark.parametrize("name", ["rtmdet-nano", "rtmdet-nano-real-hw"])
def test_rtmdet_boxes_in_the_photograph(oracles, name: str) -> None:
    oracle = np.load(oracles(f"{name}.npz"))
    model = spec(
        RTMDetCodec(),
        RTMDET,
        (320, 320),
        CropSpec(kind="letterbox", pad_value=114),
        Thresholds(score=0.05, nms_iou=0.6),
    )
    # Of the two stored inputs the first is a photograph, the second noise.
    found = decode({output: oracle[output] for output in RTMDET}, model)[0]
    whole = np.array([[0, 0, *PHOTO_WH]], np.float32)
    (crop,) = make_crops(whole, PHOTO_WH, model.crop, (320, 320))
    boxes = crop.to_frame(found.boxes.reshape(-1, 2, 2)).reshape(-1, 4)
    np.testing.assert_allclose(boxes, oracle["det0_boxes"], atol=0.01)
    np.testing.assert_allclose(found.scores, oracle["det0_scores"], atol=1e-6)
    np.testing.assert_array_equal(found.labels, oracle["det0_labels"])


@pytest.mark.parametrize("index", range(3))
def test_boxes_of_a_graph_with_nms(oracles, real: Path, index: int) -> None:
    """The real detector's own graph, fed by our letterbox, against mmdet on three photographs."""
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(real / "models/rtmdet-nano-person/end2end.onnx")
    oracle = np.load(oracles("rtmdet-nano-real-hw.npz"))
    photo = read_image(real / "mmpose-coco" / str(oracle["images"][index]).rsplit("/", 1)[1])
    place = CropSpec(kind="letterbox", pad_value=114)
    model = spec(
        BoxesCodec(), ("dets", "labels"), (320, 320), place, Thresholds(score=0.05, nms_iou=0.6)
    )
    height, width = photo.shape[:2]
    whole = np.array([[0, 0, width, height]], np.float32)
    (crop,) = make_crops(whole, (width, height), place, (320, 320))
    mean, std = np.array([103.53, 116.28, 123.675]), np.array([57.375, 57.12, 58.395])
    pixels = (crop_image(photo, crop, place) - mean) / std
    feed = pixels.transpose(2, 0, 1)[None].astype(np.float32)
    dets, labels = session.run(["dets", "labels"], {"input": feed})
    (found,) = decode({"dets": dets, "labels": labels}, model)
    # mmdet clips to the padded input, the graph does not.
    boxes = crop.to_frame(found.boxes.clip(0, 320).reshape(-1, 2, 2)).reshape(-1, 4)
    np.testing.assert_allclose(boxes, oracle[f"det{index}_boxes"], atol=0.01)
    np.testing.assert_allclose(found.scores, oracle[f"det{index}_scores"], atol=1e-5)
