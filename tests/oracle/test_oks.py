"""OKS and every kind of suppression against mmpose 1.3.2, on six scenes."""

import numpy as np
import pytest

from edge.nms.overlap import box_nms, keypoint_similarity, oks_matrix, oks_nms, soft_oks_nms
from edge.schema import load_schema
from runtimes.base import Array

Scene = dict[str, Array]


@pytest.fixture(params=range(6))
def scene(request: pytest.FixtureRequest, oracles) -> Scene:
    oracle = np.load(oracles("oks.npz"))
    start = f"{request.param}/"
    return {key[len(start) :]: oracle[key] for key in oracle.files if key.startswith(start)}


@pytest.fixture
def similarities(scene: Scene) -> Scene:
    xy, visible = scene["kpts"][..., :2], scene["kpts"][..., 2] > 0.2
    sigmas = np.array(load_schema("coco17").sigmas)
    return {
        "": oks_matrix(xy, None, scene["areas"], sigmas),
        "_vis": oks_matrix(xy, visible, scene["areas"], sigmas),
    }


def test_similarity(scene: Scene, similarities: Scene) -> None:
    np.testing.assert_allclose(similarities[""], scene["iou"], atol=1e-6)
    np.testing.assert_allclose(similarities["_vis"], scene["iou_vis.2"], atol=1e-6)


def test_similarity_of_a_pose_to_each_other(scene: Scene) -> None:
    """Its mean over the keypoints, with an area between the two people's, is what the reference calls OKS."""
    xy, areas = scene["kpts"][..., :2], scene["areas"]
    sigmas = np.array(load_schema("coco17").sigmas)
    for row, truth in enumerate(xy):
        squared = np.square(xy.astype(np.float64) - truth).sum(axis=2)
        got = keypoint_similarity(squared, (areas + areas[row]) / 2, sigmas).mean(axis=1)
        np.testing.assert_allclose(got, scene["iou"][row], atol=1e-6)


@pytest.mark.parametrize("threshold", [0.9, 0.5, 0.3])
def test_pose_suppression(scene: Scene, similarities: Scene, threshold: float) -> None:
    for suffix, oks in similarities.items():
        kept = oks_nms(oks, scene["scores"], threshold)
        assert kept.tolist() == scene[f"nms{threshold}{suffix}"].tolist()
    kept = soft_oks_nms(similarities[""], scene["scores"], threshold)
    assert kept.tolist() == scene[f"soft{threshold}"].tolist()


@pytest.mark.parametrize("threshold", [0.3, 0.6, 0.65])
def test_box_suppression_counting_pixels(scene: Scene, threshold: float) -> None:
    boxes, scores = scene["boxes"][:, :4], scene["boxes"][:, 4]
    kept = box_nms(boxes, scores, threshold, offset=1.0)
    assert kept.tolist() == scene[f"boxnms{threshold}"].tolist()
