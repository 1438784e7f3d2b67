"""Embedding models: imported as any other, opened by Model, and people told apart by their colours."""

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from scripted import COCO, detector_spec, pose_spec

from edge.model import Model, load
from edge.parity.verify import verify
from edge.pipeline import Pipeline, TrackOptions
from edge.pipeline.tracking import Tracker, appearance
from edge.synth import draw_clip
from edge.types import Frame, Poses
from export.import_model import import_model
from export.import_spec import ImportSpec
from runtimes.artifact import Artifact
from runtimes.base import RunOptions
from runtimes.codec_spec import DenseCodec, EmbeddingCodec
from runtimes.errors import EdgeposeError, InputError
from runtimes.fake import FakeSession
from runtimes.spec import CropSpec, ImageSpec, TensorSpec

WH = (32, 64)


def colour_net(path: Path, *, vector: bool) -> None:
    """Write a network of colour statistics: opponent colours by a 1x1 convolution, rectified, averaged over cells."""
    ways = np.array(
        [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, -1, 0], [0, 1, -1], [1, 0, -1]], np.float32
    )
    weights = np.concatenate([ways, -ways])[:, :, None, None]
    nodes = [
        helper.make_node("Conv", ["image", "weights"], ["colours"]),
        helper.make_node("Relu", ["colours"], ["bright"]),
    ]
    if vector:
        nodes += [
            helper.make_node("GlobalAveragePool", ["bright"], ["mean"]),
            helper.make_node("Flatten", ["mean"], ["embedding"]),
        ]
        shape = ["batch", 12]
    else:
        nodes.append(
            helper.make_node(
                "AveragePool", ["bright"], ["embedding"], kernel_shape=[4, 4], strides=[4, 4]
            )
        )
        shape = ["batch", 12, WH[1] // 4, WH[0] // 4]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, WH[1], WH[0]])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(weights, "weights")],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)


def spec_of(*, vector: bool, **changed: object) -> ImportSpec:
    shape = (-1, 12) if vector else (-1, 12, WH[1] // 4, WH[0] // 4)
    fields = {
        "model": "colours-vector" if vector else "colours",
        "task": "embedding",
        "inputs": (
            TensorSpec(
                name="image", engine_name="image", shape=(-1, 3, WH[1], WH[0]), layout="NCHW"
            ),
        ),
        "outputs": (TensorSpec(name="embedding", engine_name="embedding", shape=shape),),
        "image": ImageSpec(wh=WH, mean=(110, 110, 110), std=(60, 60, 60)),
        "crop": CropSpec(kind="affine", padding=1.0),
        "codec": EmbeddingCodec(),
        "runtime": "onnxruntime",
    }
    return ImportSpec(**{**fields, **changed})


@pytest.fixture(scope="module", params=["map", "vector"])
def colours(request: pytest.FixtureRequest, once) -> Path:
    """The network of colour statistics as an artifact."""

    def fill(root: Path) -> None:
        colour_net(root / "net.onnx", vector=request.param == "vector")
        import_model([root / "net.onnx"], spec_of(vector=request.param == "vector"), root / "out")

    (made,) = (once(f"colours {request.param}", fill) / "out").iterdir()
    return made


def clip(seed: int, count: int) -> list[tuple[np.ndarray, Poses]]:
    """Return drawn frames and the true poses; ids are the drawn people's."""
    frames = []
    for scene in draw_clip(seed, (320, 240), count, fps=6, people=3):
        people = [each for each in scene.people if (each.keypoints[:, 2] > 0).sum() > 5]
        keypoints = np.array([each.keypoints for each in people], np.float32).reshape(-1, 17, 3)
        poses = Poses(
            keypoints[..., :2],
            (keypoints[..., 2] > 0).astype(np.float32),
            np.array([each.box for each in people], np.float32).reshape(-1, 4),
            np.ones(len(people), np.float32),
            np.array([each.person_id for each in people], np.int32),
            COCO,
        )
        frames.append((scene.image, poses))
    return frames


def test_a_person_looks_more_like_itself_than_like_others(colours: Path) -> None:
    same, other = [], []
    with load(colours) as model:
        for seed in (2, 3):
            seen = [
                (poses.ids, appearance(model, image, poses, TrackOptions()))
                for image, poses in clip(seed, 4)
            ]
            ids = np.concatenate([each for each, _ in seen])
            looks = np.concatenate([each for _, each in seen])
            np.testing.assert_allclose(np.linalg.norm(looks, axis=1), 1, rtol=1e-5)
            distances = 1 - looks @ looks.T
            alike = ids[:, None] == ids
            same.append(distances[alike & ~np.eye(len(ids), dtype=bool)].mean())
            other.append(distances[~alike].mean())
    assert max(same) < min(other)


def test_the_pose_weighs_a_feature_map_by_the_equation(colours: Path) -> None:
    """Of an image whose halves differ, a person on the left half looks more like the left."""
    image = np.zeros((64, 32, 3), np.uint8)
    image[:, :16], image[:, 16:] = (0, 0, 255), (255, 0, 0)
    box = np.array([[0, 0, 32, 64]], np.float32)
    xy = np.tile(np.array([[6.0, 32.0]], np.float32), (17, 1))[None]
    xy[0, :, 1] = np.linspace(4, 60, 17)
    poses = Poses(
        xy, np.ones((1, 17), np.float32), box, np.ones(1, np.float32), np.zeros(1, np.int32), COCO
    )
    nowhere = Poses(xy, np.zeros((1, 17), np.float32), box, poses.box_scores, poses.ids, COCO)
    with load(colours) as model:
        weighted = appearance(model, image, poses, TrackOptions())[0]
        plain = appearance(model, image, nowhere, TrackOptions())[0]
    red, blue = 0, 2
    assert plain[red] == pytest.approx(plain[blue], rel=0.02)
    assert weighted[red] > 1.2 * weighted[blue]


def test_looks_tell_who_came_back_from_behind_another(colours: Path) -> None:
    """Two drawn people change places while both are hidden: motion alone takes each for the other."""
    (first, poses), *_ = clip(2, 1)
    two = poses[:2]
    with load(colours) as model:
        looks = appearance(model, first, two, TrackOptions())
    options = TrackOptions(track_max_missing=60)
    places = np.array([[60, 120], [110, 120]], np.float32)
    half = np.array([20, 60], np.float32)

    def at(order: list[int]) -> Poses:
        rows = two[order]
        middle = (rows.boxes[:, :2] + rows.boxes[:, 2:]) / 2
        size = rows.boxes[:, 3:] - rows.boxes[:, 1:2]
        xy = (rows.xy - middle[:, None]) / size[:, None] * 120 + places[:, None]
        box = np.concatenate([places - half, places + half], axis=1).astype(np.float32)
        return Poses(
            xy.astype(np.float32), np.ones_like(rows.scores), box, rows.box_scores, rows.ids, COCO
        )

    for embeddings, expected in ((None, [0, 1]), (looks, [1, 0])):
        identity = Tracker(options, COCO)
        for index in range(4):
            identity.update(at([0, 1]), index / 30, embeddings)
        identity.update(at([0, 1])[:0], 4 / 30, None if embeddings is None else embeddings[:0])
        back = identity.update(
            at([1, 0]), 10 / 30, None if embeddings is None else embeddings[::-1].copy()
        )
        assert back.tolist() == expected


PERSON_WH = (30, 60)
ANGLES = np.linspace(0, 2 * np.pi, 17, endpoint=False)
RED, BLUE = (60, 60, 255), (255, 60, 60)


def draw_swap() -> list[Frame]:
    """Two people stand side by side, and change places while half a second of frames is missing."""
    frames = []
    for index in [*range(15), *range(20, 35)]:
        image = np.zeros((120, 320, 3), np.uint8)
        for colour, x in zip((RED, BLUE), (130, 165) if index < 15 else (165, 130), strict=True):
            image[30:90, x : x + PERSON_WH[0]] = colour
        frames.append(Frame(image, index, index / 10))
    return frames


def people_in(image: np.ndarray) -> list[list[int]]:
    """Return x, y, width, height of each rectangle: of red and of blue pixels."""
    found = [cv2.boundingRect((image[..., channel] > 150).astype(np.uint8)) for channel in (2, 0)]
    return [list(each) for each in found if each[2] > 1]


def detect(feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    boxes = [[x, y, x + w, y + h, 0.9] for x, y, w, h in people_in(feeds["image"][0])]
    dets = np.array(boxes, np.float32).reshape(1, -1, 5)
    return {"dets": dets, "labels": np.zeros(dets.shape[:2], np.int64)}


def ring_in_the_middle(feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Keypoints on an ellipse that fills half of the crop's width and all of its height, as a person does."""
    yxs = [0.5 + 0.45 * np.sin(ANGLES), 0.5 + 0.22 * np.cos(ANGLES), np.ones(17)]
    return {"yxs": np.tile(np.stack(yxs, 1).astype(np.float32), (len(feeds["image"]), 1, 1, 1))}


def ids_by_colour(embedding: Path | None) -> dict[str, list[int]]:
    """Run the clip, and return the ids of the red and the blue person in each frame where both are seen."""
    pose = Model(pose_spec(64), FakeSession(ring_in_the_middle))
    detector = Model(detector_spec((320, 120)), FakeSession(detect))
    ids: dict[str, list[int]] = {"red": [], "blue": []}
    with Pipeline(pose, detector, track=True, embedding=embedding) as pipeline:
        for result in pipeline.stream(draw_swap()):
            poses = result.poses
            if len(poses) < 2:
                continue
            for box, person in zip(poses.boxes, poses.ids.tolist(), strict=True):
                x, y = ((box[:2] + box[2:]) / 2).astype(int)
                red = result.frame.image[y, x, 2] > 150
                ids["red" if red else "blue"].append(person)
    return ids


def test_ids_of_a_pipeline_stay_with_the_looks(colours: Path) -> None:
    """Two who change places unseen change ids by motion alone, and keep them with an embedding."""
    without = ids_by_colour(None)
    assert {len(set(each)) for each in without.values()} != {1}
    seen = ids_by_colour(colours)
    assert len(seen["red"]) > 10
    assert [len(set(each)) for each in seen.values()] == [1, 1]
    assert seen["red"][0] != seen["blue"][0]


def test_a_pipeline_refuses_other_artifacts_as_embedding(small_artifact, tmp_path: Path) -> None:
    """A pose artifact, and a folder that is none."""
    pose = Model(pose_spec(64), FakeSession(ring_in_the_middle))
    other = small_artifact(tmp_path / "small.onnxruntime-fp32").root
    with pytest.raises(InputError, match="a pipeline's embedding is of task embedding"):
        Pipeline(pose, track=True, embedding=other)
    with pytest.raises(EdgeposeError, match=r"nowhere"):
        Pipeline(pose, track=True, embedding=tmp_path / "nowhere")


def test_it_verifies_and_is_refused_as_a_pose_model(colours: Path) -> None:
    verify(Artifact.open(colours), RunOptions())
    with load(colours) as model, pytest.raises(InputError, match="task embedding"):
        model(np.zeros((64, 32, 3), np.uint8))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"codec": DenseCodec()}, "does not belong to task embedding"),
        ({"task": "depth"}, "does not belong to task depth"),
        ({"crop": CropSpec(kind="letterbox")}, "takes a person's box"),
    ],
)
def test_specs_that_contradict_themselves_are_refused(
    tmp_path: Path, changed, message: str
) -> None:
    colour_net(tmp_path / "net.onnx", vector=True)
    with pytest.raises(InputError, match=message):
        import_model([tmp_path / "net.onnx"], spec_of(vector=True, **changed), tmp_path / "out")
