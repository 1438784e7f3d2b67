"""Top-down inference from a photograph and boxes, with and without flip test, against mmpose."""

from pathlib import Path

import numpy as np
import pytest

from edge.codecs.flip import flip_back
from edge.image import crop_batch, read_image
from edge.model import Model
from export.torch_session import TorchSession
from runtimes.artifact import Artifact
from runtimes.registry import ENGINES, open_session

TOLERANCE_PX = 0.05
OUTPUTS = ("simcc_x", "simcc_y")
BINS_PER_PIXEL = 2
KINDS = ("noflip", "flip")


def pictures(reference: np.lib.npyio.NpzFile) -> np.ndarray:
    """The reference's own crops, uint8 BGR (2, 256, 192, 3)."""
    return np.ascontiguousarray(reference["raw_crop_bgr_u8"].transpose(0, 2, 3, 1))


def lead(bins: np.ndarray) -> np.ndarray:
    """By how much the best bin beats the second, (B, K)."""
    ordered = np.sort(bins, axis=2)
    return ordered[..., -1] - ordered[..., -2]


class TopDown:
    """One reference: its photograph, its outputs with and without flip, and where its keypoints lie."""

    def __init__(self, oracles, real: Path, name: str, torch_model: Model) -> None:
        self.reference = np.load(oracles(f"{name}.npz"))
        self.frame = read_image(real / "mmpose-coco" / Path(str(self.reference["image"])).name)
        self.boxes = self.reference["bbox_xyxy"]
        self.crops = torch_model.crops(self.frame, self.boxes)
        mirrored = torch_model.session.run(
            {"image": np.ascontiguousarray(pictures(self.reference)[:, :, ::-1])}
        )
        back = flip_back(mirrored, torch_model.spec)
        plain = {name: self.reference[name][:2] for name in OUTPUTS}
        self.outputs = {
            "noflip": plain,
            "flip": {name: (plain[name] + back[name]) / 2 for name in OUTPUTS},
        }

    def errors(self, kind: str, images: np.ndarray, model: Model) -> np.ndarray:
        """How far the model's (averaged) outputs for crops are from the reference's, the worst bin, (2, 17)."""
        outputs = model.session.run({"image": images})
        if kind == "flip":
            mirrored = model.session.run({"image": np.ascontiguousarray(images[:, :, ::-1])})
            back = flip_back(mirrored, model.spec)
            outputs = {name: (outputs[name] + back[name]) / 2 for name in OUTPUTS}
        wanted = self.outputs[kind]
        return np.maximum(*(np.abs(outputs[name] - wanted[name]).max(axis=2) for name in OUTPUTS))

    def leads(self, kind: str) -> np.ndarray:
        """By how much the reference's best bin beats the second, on the closer axis, (2, 17)."""
        return np.minimum(*(lead(self.outputs[kind][name]) for name in OUTPUTS))

    def behind(self, kind: str, xy: np.ndarray) -> np.ndarray:
        """By how much the reference's value in the bins of xy, in pixels of the input, is below its best, (2, 17)."""
        gaps = []
        for axis, name in enumerate(OUTPUTS):
            values = self.outputs[kind][name]
            bins = np.rint(xy[..., axis] * BINS_PER_PIXEL).astype(int)
            chosen = np.take_along_axis(values, bins[..., None], axis=2)[..., 0]
            gaps.append(values.max(axis=2) - chosen)
        return np.maximum(*gaps)

    def distances(self, kind: str, xy: np.ndarray) -> np.ndarray:
        return np.linalg.norm(xy - self.reference[f"img_keypoints_{kind}"], axis=2)


@pytest.fixture
def torch_model(loaded_model, request) -> Model:
    loaded = loaded_model(f"oracle:{request.param}")
    return Model(loaded.spec, TorchSession(loaded.module, loaded.spec))


def check(model: Model, path: TopDown, kind: str, images: np.ndarray, error_limit: float) -> float:
    """Judge every keypoint of crops; return the share of them that the outputs' error cannot move.

    Those lie where mmpose's do. The others lie in a bin that the reference likes almost as well as its best.
    """
    errors = path.errors(kind, images, model)
    assert errors.max() <= error_limit
    items = model.decode_crops(images, flip=kind == "flip")
    clear = path.leads(kind) > 2 * errors  # the best bin may lose one error and another win one
    pairs = zip(path.crops, items, strict=True)
    in_frame = np.concatenate([crop.to_frame(item.xy) for crop, item in pairs])
    assert path.distances(kind, in_frame)[clear].max(initial=0) <= TOLERANCE_PX
    assert (path.behind(kind, np.concatenate([item.xy for item in items])) <= 2 * errors).all()
    scores = np.concatenate([item.scores for item in items])
    assert (np.abs(scores - path.reference[f"img_scores_{kind}"]) <= errors + 1e-5).all()
    return float(clear.mean())


@pytest.mark.parametrize(
    ("torch_model", "name"), [("rtmpose-t",) * 2, ("rtmpose-s",) * 2], indirect=["torch_model"]
)
def test_pytorch(oracles, real: Path, torch_model: Model, name: str) -> None:
    path = TopDown(oracles, real, name, torch_model)
    for kind in KINDS:
        assert check(torch_model, path, kind, pictures(path.reference), 1e-4) == 1


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ENGINES)
def test_runtimes(oracles, real: Path, loaded_model, exported, runtime: str) -> None:
    name = "rtmpose-t"
    loaded = loaded_model(f"oracle:{name}")
    path = TopDown(
        oracles, real, name, Model(loaded.spec, TorchSession(loaded.module, loaded.spec))
    )
    for precision, limit, share in (("fp32", 1e-3, 1.0), ("fp16", 3e-2, 0.7)):
        artifact = Artifact.open(exported(f"oracle:{name}", runtime)[precision].path)
        with Model(artifact.manifest, open_session(artifact)) as model:
            for kind in KINDS:
                assert check(model, path, kind, pictures(path.reference), limit) >= share


@pytest.mark.parametrize(
    ("torch_model", "name"), [("rtmpose-t",) * 2, ("rtmpose-s",) * 2], indirect=["torch_model"]
)
def test_from_the_photograph(oracles, real: Path, torch_model: Model, name: str) -> None:
    """The same with our own crops, which OpenCV 5 interpolates finer than the reference's OpenCV did."""
    path = TopDown(oracles, real, name, torch_model)
    ours = crop_batch(path.frame, path.crops, torch_model.spec.crop)
    difference = np.abs(ours.astype(int) - pictures(path.reference))
    assert difference.max() <= 5
    assert difference.mean() < 0.1
    for kind in KINDS:
        # random weights answer a grey level with up to a tenth of their largest output
        check(torch_model, path, kind, ours, 0.5)
        poses = torch_model.poses(path.frame, path.boxes, flip=kind == "flip")
        pairs = zip(path.crops, torch_model.decode_crops(ours, flip=kind == "flip"), strict=True)
        wanted = np.concatenate([crop.to_frame(item.xy) for crop, item in pairs])
        np.testing.assert_allclose(poses.xy, wanted, rtol=0, atol=1e-3)
