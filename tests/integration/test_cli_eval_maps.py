"""`edgepose eval` of dense models and of MPII's keypoints: figures worked out by hand, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.evaluation.dense.evaluate import evaluate_maps
from edge.evaluation.dense.ground_truth import read_depth, read_mask, read_normals
from edge.model import Model
from runtimes.codec_spec import DenseCodec
from runtimes.errors import InputError
from runtimes.fake import FakeSession
from runtimes.spec import CropSpec, ImageSpec, ModelSpec, TensorSpec

Make = Callable[..., Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures of 32x32 in images/: the left half is blue and the right red, and the other way round."""
    root = tmp_path_factory.mktemp("maps")
    (root / "images").mkdir()
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[:, :16, 0] = 255
    picture[:, 16:, 2] = 255
    cv2.imwrite(str(root / "images" / "one.png"), picture)
    cv2.imwrite(str(root / "images" / "two.png"), picture[:, ::-1])
    return root


def dense(make: Make, root: Path, task: str) -> Path:
    """Write the network of the blue and the red cells as a dense artifact."""
    classes = ("blue", "red") if task == "segment" else None
    make(root, task=task, codec=DenseCodec(), keypoints=None, classes=classes, parity=())
    return root


def write(folder: Path, **maps: np.ndarray) -> Path:
    folder.mkdir()
    for name, values in maps.items():
        if values.dtype.kind == "f":
            np.save(folder / f"{name}.npy", values)
        else:
            cv2.imwrite(str(folder / f"{name}.png"), values)
    return folder


def test_masks(edgepose: Make, small_artifact: Make, folder: Path, tmp_path: Path) -> None:
    artifact = dense(small_artifact, tmp_path / "dense", "segment")
    mask = np.zeros((32, 32), np.uint8)
    mask[:, 16:] = 1
    wrong = np.zeros((32, 32), np.uint8)  # all blue is expected, and half of it is found
    wrong[24:] = 255
    truth = write(tmp_path / "masks", one=mask, two=wrong)
    args = ("eval", artifact, "--annotations", truth, "--images", folder / "images")
    done = edgepose(*args, "--json")
    assert done.code == 0, done.err
    # pixels: blue there 512 + 768, found 512 + 384, all of them right; red there 512, found 512 + 384
    blue, red = 896 / 1280, 512 / 896
    assert done.json["protocol"] == "masks"
    assert done.json["images"] == 2
    assert done.json["figures"] == {
        "mIoU": pytest.approx((blue + red) / 2),
        "mAcc": pytest.approx((896 / 1280 + 1) / 2),
        "accuracy": pytest.approx((896 + 512) / 1792),
    }
    assert done.json["breakdown"]["blue"]["IoU"] == pytest.approx(blue)
    assert done.json["breakdown"]["red"] == {"IoU": pytest.approx(red), "accuracy": 1}
    lines = [line.split() for line in edgepose(*args).out.splitlines()]
    assert [line[0] for line in lines] == ["figure", "mIoU", "mAcc", "accuracy", "blue", "red"]


def test_depth(edgepose: Make, small_artifact: Make, folder: Path, tmp_path: Path) -> None:
    """The network gives 1 where it is blue and 0 elsewhere; the truth is 3 and 2 metres, in part unknown."""
    artifact = dense(small_artifact, tmp_path / "dense", "depth")
    near = np.full((32, 32), 2000, np.uint16)
    near[:, :16] = 3000
    near[:8] = 0
    flat = np.full((32, 32), 2.0, np.float32)
    flat[0] = np.nan
    truth = write(tmp_path / "depth", one=near, two=flat)
    args = ("eval", artifact, "--annotations", truth, "--images", folder / "images", "--json")
    fitted = edgepose(*args).json["figures"]
    # cells are resized bilinearly: at the border of the halves the depth is between
    assert fitted["RMSE"] < 60
    assert fitted["delta1"] > 0.95
    plain = edgepose(*args, "--depth-align", "none").json["figures"]
    assert plain["AbsRel"] == pytest.approx((1 + 0.75) / 2, abs=1e-3)
    assert plain["delta1"] == 0


def test_normals(folder: Path, tmp_path: Path) -> None:
    spec = ModelSpec(
        model="normals",
        task="normal",
        inputs=(TensorSpec(name="image"),),
        outputs=(TensorSpec(name="map"),),
        image=ImageSpec(wh=(32, 32)),
        crop=CropSpec(kind="stretch"),
        codec=DenseCodec(scale="unit"),
    )
    ahead = np.zeros((1, 3, 8, 8), np.float32)
    ahead[:, 2] = 4
    model = Model(spec, FakeSession(lambda _: {"map": ahead}))
    right = np.full((32, 32, 3), (255, 127, 127), np.uint8)  # BGR of (0, 0, 1)
    right[:16] = 0
    aside = np.zeros((32, 32, 3), np.float32)
    aside[..., 0] = 2  # along x, and twice as long
    aside[8:] = np.nan
    truth = write(tmp_path / "normals", one=right, two=aside)
    images = [folder / "images" / "one.png", folder / "images" / "two.png"]
    result = evaluate_maps(model, images, truth)
    # 512 pixels at half a grey level off, 256 at right angles
    assert result.figures["mean_degrees"] == pytest.approx(30, abs=0.3)
    assert result.figures["median_degrees"] == pytest.approx(0.32, abs=0.05)
    assert result.figures["within_30"] == pytest.approx(2 / 3)
    assert (result.protocol, result.images) == ("normals", 2)


def test_maps_that_are_none_are_refused(tmp_path: Path) -> None:
    grey, colour = np.full((4, 4), 7, np.uint8), np.zeros((4, 4, 3), np.uint8)
    write(tmp_path / "maps", grey=grey, colour=colour, flat=np.zeros((4, 4), np.float32))
    (tmp_path / "maps" / "bad.png").write_bytes(b"no image")
    (tmp_path / "maps" / "bad.npy").write_bytes(b"no array")
    cases = {
        ("grey.png", lambda path: read_mask(path, 7)): "class 7, and the model has 0 to 6",
        ("colour.png", lambda path: read_mask(path, 7)): "not one channel of class numbers",
        ("flat.npy", lambda path: read_mask(path, 7)): "float32",
        ("grey.png", read_depth): "not a 16-bit PNG",
        ("colour.png", read_depth): "not a 16-bit PNG",
        ("flat.npy", read_normals): "not three channels",
        ("bad.png", read_depth): "cannot be decoded",
        ("bad.npy", read_depth): "no NumPy array",
    }
    for (name, read), said in cases.items():
        with pytest.raises(InputError, match=said):
            read(tmp_path / "maps" / name)


def test_what_does_not_fit_a_dense_model_is_said_before_it_runs(
    edgepose: Make, small_artifact: Make, folder: Path, tmp_path: Path
) -> None:
    artifact = dense(small_artifact, tmp_path / "dense", "segment")
    pose = small_artifact(tmp_path / "pose").root
    images = ("--images", folder / "images")
    mask = np.zeros((32, 32), np.uint8)
    one = write(tmp_path / "one", one=mask)
    small = write(tmp_path / "small", one=mask[:16], two=mask)
    (tmp_path / "coco.json").write_text(
        '{"images": [{"id": 1, "file_name": "one.png"}], "annotations": [], "categories": []}'
    )
    cases: list[tuple[tuple[object, ...], str]] = [
        ((artifact, one, *images), "no two.png (or .npy) in"),
        ((artifact, small, *images), "is 32x16, its image one.png 32x32"),
        ((artifact, one, *images, "--flip"), "--flip with a directory of maps"),
        ((artifact, one), "say where the images are with --images DIR"),
        ((artifact, tmp_path / "coco.json", *images), "give --annotations DIR"),
        ((pose, one, *images), "is for dense models"),
    ]
    for (model, annotations, *more), said in cases:
        done = edgepose("eval", model, "--annotations", annotations, *more)
        assert done.code == 2, done.err
        assert said in done.message
