"""AlphaPose's pre- and postprocessing: crops, heatmaps and integrals to coordinates, parametric pose NMS."""

import json
from pathlib import Path

import numpy as np
import pytest

from edge.catalog.specs_fastpose import fastpose_spec
from edge.codecs import decode
from edge.codecs.flip import decode_flipped, flip_back
from edge.geometry import Crop, make_crops
from edge.image import crop_batch, read_image
from edge.nms.parametric import HEATMAP, INTEGRAL_WHOLE_BODY, Constants, parametric_nms
from edge.schema import load_schema
from runtimes.base import Array, Outputs
from runtimes.codec_spec import Codec, HeatmapCodec, IntegralCodec
from runtimes.spec import CropSpec, ModelSpec, TensorSpec

WH = (192, 256)
NORMS = ("sigmoid", "softmax")


@pytest.fixture(scope="module")
def decoding(oracles) -> dict[str, Array]:
    return dict(np.load(oracles("alphapose-decode.npz")))


def spec(codec: Codec) -> ModelSpec:
    made = fastpose_spec("fastpose", WH, "coco17")
    fields = {name: getattr(made, name) for name in ModelSpec.__struct_fields__}
    return ModelSpec(**fields | {"codec": codec, "outputs": (TensorSpec(name="heatmap"),)})


def outputs(maps: Array) -> Outputs:
    return {"heatmap": maps[None]}


def mirrored(maps: Array) -> Outputs:
    """The maps of the mirrored input: the reference stores them mirrored back."""
    return {"heatmap": maps[None, load_schema("coco17").flip_order, :, ::-1]}


def place_of(box: Array) -> Crop:
    """The crop whose padded box the reference gave its decoders."""
    (place,) = make_crops(
        box[None].astype(np.float32), (640, 480), CropSpec(kind="affine", padding=1.0), WH
    )
    return place


def test_crops_and_colours_are_alphaposes(oracles, real: Path) -> None:
    oracle = np.load(oracles("alphapose-preprocess.npz"))
    photo = read_image(real / "mmpose-coco" / str(oracle["image"]).rsplit("/", 1)[1])
    model = fastpose_spec("fastpose", WH, "coco17")
    height, width = photo.shape[:2]
    boxes = oracle["boxes_xyxy"].astype(np.float32)
    crops = make_crops(boxes, (width, height), model.crop, WH)

    corners = [place.to_frame(np.array([(0, 0), WH], np.float32)).ravel() for place in crops]
    np.testing.assert_allclose(corners, oracle["crop_bbox_xyxy"], atol=1e-3)
    rgb = crop_batch(photo, crops, model.crop)[..., ::-1]
    want = oracle["input_rgb"].transpose(0, 2, 3, 1)
    got = (rgb - np.array(model.image.mean)) / np.array(model.image.std)
    # OpenCV 4.x interpolates at 1/32 of a pixel, 5.x exactly: a few levels of 255 in some pixels
    levels = np.abs(got - want) * 255
    assert levels.mean() < 0.15
    assert levels.max() <= 8
    # black pixels outside the photograph show the means alone: each channel has the one AlphaPose gave it
    np.testing.assert_allclose(got.min(axis=(0, 1, 2)), want.min(axis=(0, 1, 2)), atol=1e-6)


@pytest.mark.parametrize("flip", [False, True])
def test_heatmaps(decoding: dict[str, Array], *, flip: bool) -> None:
    model, maps = spec(HeatmapCodec(refine="shift-inside")), decoding["heatmap"]
    if flip:
        (found,) = decode_flipped(outputs(maps), mirrored(decoding["heatmap_flip"]), model)
    else:
        (found,) = decode(outputs(maps), model)
    case = "simple_flip" if flip else "simple"
    scores = decoding[f"{case}_maxvals"][:, 0]
    np.testing.assert_array_equal(found.scores[0], scores)
    # Where nothing is positive AlphaPose says bin 0 and we say bin -1; neither is a keypoint.
    sure = scores > 0
    assert sure.sum() == 16
    xy = place_of(decoding["bbox"]).to_frame(found.xy)[0]
    np.testing.assert_allclose(xy[sure], decoding[f"{case}_coords"][sure], atol=1e-3)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("norm", NORMS)
def test_integrals(decoding: dict[str, Array], norm: str, *, flip: bool) -> None:
    model, maps = spec(IntegralCodec(norm=norm)), decoding["logits"]
    if flip:
        (found,) = decode_flipped(outputs(maps), mirrored(decoding["logits_flip"]), model)
    else:
        (found,) = decode(outputs(maps), model)
    case = f"sikr_{norm}_flip" if flip else f"sikr_{norm}"
    xy = place_of(decoding["bbox"]).to_frame(found.xy)[0]
    np.testing.assert_allclose(xy, decoding[f"{case}_coords"], atol=1e-3)
    np.testing.assert_allclose(found.scores[0], decoding[f"{case}_scores"][:, 0], atol=1e-6)


def test_integrals_divided_by_their_sum(decoding: dict[str, Array]) -> None:
    # The reference's input is not stored; its answers are those of this one, positive everywhere, to 1e-3 pixels.
    maps = np.abs(decoding["heatmap"]) + np.float32(1e-3)
    (found,) = decode(outputs(maps), spec(IntegralCodec(norm="divide_sum")))
    xy = place_of(decoding["bbox"]).to_frame(found.xy)[0]
    np.testing.assert_allclose(xy, decoding["sikr_divide_sum_coords"], atol=1e-3)
    np.testing.assert_array_equal(found.scores[0], decoding["sikr_divide_sum_scores"][:, 0])


def test_maps_mirrored_back(decoding: dict[str, Array]) -> None:
    maps = outputs(decoding["heatmap"])
    flipped = flip_back(maps, spec(HeatmapCodec()))["heatmap"]
    np.testing.assert_array_equal(flipped, decoding["flip_heatmap_noshift"])
    # AlphaPose shifts by copying a tensor onto itself; torch then smears one value over each row's vector tail.
    # The columns before it are what was meant.
    shifted = flip_back(maps, spec(HeatmapCodec(shift_flip=True)))["heatmap"]
    want = decoding["flip_heatmap_shift"]
    np.testing.assert_array_equal(shifted[..., :16], want[..., :16])
    assert np.ptp(want[0, 0, 0, -16:]) == 0


@pytest.mark.parametrize(
    ("case", "constants"),
    [
        ("body0", HEATMAP),
        ("body1", HEATMAP),
        ("body2", HEATMAP),
        ("body3", HEATMAP),
        ("whole_heat", HEATMAP),
        ("halpe136_regress", INTEGRAL_WHOLE_BODY),
    ],
)
def test_parametric_pose_nms(oracles, case: str, constants: Constants) -> None:
    oracle = np.load(oracles("alphapose-posenms.npz"))
    xy, scores = oracle[f"{case}/pose_preds"], oracle[f"{case}/pose_scores"][..., 0]
    merged = parametric_nms(xy, scores, oracle[f"{case}/bboxes"], constants)
    assert merged.picks.tolist() == oracle[f"{case}/out_pick"].tolist()
    members = [rows.tolist() for rows in merged.members]
    assert members == json.loads(str(oracle[f"{case}/out_merge_ids"]))
    np.testing.assert_allclose(merged.xy, oracle[f"{case}/out_poses"], rtol=1e-6)
    np.testing.assert_allclose(merged.scores, oracle[f"{case}/out_scores"][..., 0], rtol=1e-6)


def test_the_constants_are_alphaposes(oracles) -> None:
    listed = json.loads(str(np.load(oracles("alphapose-posenms.npz"))["constants"]))
    assert listed == {
        "delta1": HEATMAP.score_width,
        "mu": HEATMAP.mu,
        "delta2": HEATMAP.distance_width,
        "gamma": HEATMAP.similarity,
        "scoreThreds": HEATMAP.min_score,
        "matchThreds": HEATMAP.matches,
        "alpha": HEATMAP.alpha,
    }
