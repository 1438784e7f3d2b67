"""Values of artifact.json that fit no model are refused when it is opened, in one line that names the field."""

import json
from typing import Any

import msgspec
import pytest

from runtimes.artifact import Artifact
from runtimes.codec_spec import (
    BoxesCodec,
    Codec,
    DenseCodec,
    HeatmapCodec,
    PafCodec,
    PafLimb,
    RTMDetCodec,
    SimCCCodec,
    YoloCodec,
    YOLOXCodec,
    YxsCodec,
)
from runtimes.errors import ArtifactError, InputError
from runtimes.files import seal
from runtimes.naming import Target, artifact_name
from runtimes.spec import Cost, CropSpec, KeypointsSpec, Manifest, TensorSpec
from runtimes.spec_rules import contradictions

COST = ("macs", "parameters", "io_bytes")
NAMES = ("nose", "left", "right")
KEYPOINTS = KeypointsSpec(name="three", names=NAMES, edges=((0, 1), (0, 2)), pairs=((1, 2),))
LIMBS = (PafLimb(ends=(0, 1), channels=(0, 1)), PafLimb(ends=(0, 2), channels=(2, 3)))


def opened(manifest: Manifest, tmp_path, change) -> str:
    """Return why a sealed artifact whose artifact.json was changed does not open, "" where it does."""
    (tmp_path / "model.onnx").write_bytes(b"weights")
    seal(tmp_path, manifest)
    path = tmp_path / "artifact.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    try:
        Artifact.open(tmp_path)
    except ArtifactError as error:
        return str(error)
    return ""


def at(*path: Any, value: object):
    """Return a change of the value at a path."""

    def change(data: Any) -> None:
        for key in path[:-1]:
            data = data[key]
        data[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("field", "path", "values"),
    [
        ("image.std", ("image", "std", 1), (0, -1, 1e300, 1e30, 1e-3, 1e5)),
        ("image.mean", ("image", "mean", 0), (1e300, "x", 1e5, -1e5)),
        ("image.wh", ("image", "wh", 0), (0, -6, 10**9, 6.5)),
        ("crop.padding", ("crop", "padding"), (0, -1.25, 1e300, 1e9, 50, 1e-3)),
        ("crop.pad_value", ("crop", "pad_value"), (-1, 256)),
        ("thresholds.score", ("thresholds", "score"), (-0.1, 1.1, 1e300)),
        ("thresholds.nms_iou", ("thresholds", "nms_iou"), (-0.1, 30)),
        ("thresholds.keypoint", ("thresholds", "keypoint"), (-1, 2)),
        ("inputs", ("inputs", 0, "scale"), (0, -1, 1e300)),
        ("inputs", ("inputs", 0, "zero_point"), (1 << 40, -(1 << 40))),
        ("outputs", ("outputs", 0, "dtype"), ("a\0b", "object", "float128")),
        ("outputs", ("outputs", 0, "shape"), ([-2], [10**12])),
        ("codec.blur_kernel", ("codec", "blur_kernel"), (0, -3, 4, 10**6)),
        ("codec.sigma", ("codec", "sigma"), ([0, 2], [2, -1], [1e9, 2], [2, 1000])),
        ("keypoints.names", ("keypoints", "names"), ([], ["a", "a", "b"])),
        ("keypoints.edges", ("keypoints", "edges"), ([[0, 3]], [[-1, 0]])),
        ("keypoints.pairs", ("keypoints", "pairs"), ([[1, 3]], [[1, 1]], [[0, 1], [1, 2]])),
        (
            "keypoints.sigmas",
            ("keypoints", "sigmas"),
            ([0.1, 0.1], [0.1, 0.1, 0], [0.1, 0.1, -1], [9, 9, 9]),
        ),
        ("classes", ("classes",), ([], ["a", "a"])),
        ("files", ("files", 0, "bytes"), (-1, 1 << 54, 10**400)),
        *(("cost", ("cost", each), (-1, 1 << 51, 10**400, 0.5)) for each in COST),
    ],
)
def test_a_value_that_fits_no_model(manifest, tmp_path, field, path, values) -> None:
    cost = Cost(**dict.fromkeys(COST, 1))
    manifest = msgspec.structs.replace(manifest, keypoints=KEYPOINTS, cost=cost)
    assert opened(manifest, tmp_path, dict) == ""
    for value in values:
        said = opened(manifest, tmp_path, at(*path, value=value))
        assert field in said, value
        assert "\n" not in said


def test_not_a_number_is_no_json(manifest, tmp_path) -> None:
    assert "malformed" in opened(manifest, tmp_path, at("image", "std", 0, value=float("nan")))


def test_nesting_without_end(manifest, tmp_path) -> None:
    (tmp_path / "artifact.json").write_text('{"format": 1, "tools": ' + "[" * 100_000)
    with pytest.raises(ArtifactError, match="not a valid manifest"):
        Artifact.open(tmp_path)


@pytest.mark.parametrize("name", ["x" * 300, "ü" * 200, "a\0b", "a\nb", "sub/x", "..", ""])
def test_a_file_name_that_no_directory_has(manifest, tmp_path, name) -> None:
    said = opened(manifest, tmp_path, at("files", 0, "path", value=name))
    assert "not a bare file name" in said
    assert "\n" not in said


@pytest.mark.parametrize("model", ["../x", "", "a/b", "a\nb", ".hidden"])
def test_a_model_name_is_no_path(manifest, model) -> None:
    with pytest.raises(InputError, match="a name has letters"):
        artifact_name(msgspec.structs.replace(manifest, model=model), Target("ncnn", "int8"))


def test_a_file_twice(manifest, tmp_path) -> None:
    def twice(data: Any) -> None:
        data["files"] *= 2

    assert "lists a file twice" in opened(manifest, tmp_path, twice)


@pytest.mark.parametrize(
    "name", ["other.onnx", "model.onnx.data", "model.bin", "model.param", "m.xml", "m.tflite"]
)
def test_an_engine_file_that_is_not_listed(manifest, tmp_path, name) -> None:
    def add(_data: Any) -> None:
        (tmp_path / name).write_bytes(b"foreign")

    assert f"{name} is not listed" in opened(manifest, tmp_path, add)


def test_files_of_other_programs_do_no_harm(manifest, tmp_path) -> None:
    for name in ("tuned.json", "README.md", "compiled.blob"):
        (tmp_path / name).write_text("x")
    assert opened(manifest, tmp_path, dict) == ""


def paf(limbs=LIMBS, shapes=((-1, 4, 2, 2), (-1, 4, 2, 2)), keypoints=KEYPOINTS):
    outputs = tuple(TensorSpec(name=f"o{row}", shape=shape) for row, shape in enumerate(shapes))
    return {"codec": PafCodec(limbs=limbs), "outputs": outputs, "keypoints": keypoints}


def simcc(*shapes: tuple[int, ...]) -> dict[str, object]:
    outputs = tuple(TensorSpec(name=f"o{row}", shape=shape) for row, shape in enumerate(shapes))
    return {"codec": SimCCCodec(), "outputs": outputs, "keypoints": KEYPOINTS}


def rtmdet(count: int, shape: tuple[int, ...] = (-1, 1, 1, 1)) -> dict[str, object]:
    outputs = tuple(TensorSpec(name=f"o{row}", shape=shape) for row in range(count))
    return {"codec": RTMDetCodec(), "outputs": outputs, "task": "detect"}


def of_classes(codec: Codec, shape: tuple[int, ...], count: int) -> dict[str, object]:
    outputs = (TensorSpec(name="o", shape=shape),)
    classes = tuple(f"c{index}" for index in range(count))
    return {"codec": codec, "outputs": outputs, "task": "detect", "classes": classes}


def limb(ends=(0, 1), channels=(0, 1)):
    return (PafLimb(ends=ends, channels=channels), LIMBS[1])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (paf(), ""),  # 3 keypoints, the background, x and y of 2 limbs
        (paf(shapes=((-1, 8, 2, 2),)), ""),
        (paf(shapes=((), ())), ""),
        (paf(shapes=((-1, 9, 2, 2),)), "9 channels, 3 keypoints and 2 codec.limbs want 8"),
        (paf(shapes=((-1, 4, 2, 2), (-1, 2, 2, 2))), "outputs have 6 channels"),
        (paf(limbs=limb(ends=(0, 3))), "codec.limbs[0].ends"),
        (paf(limbs=limb(ends=(-1, 0))), "codec.limbs[0].ends"),
        (paf(limbs=limb(channels=(0, 4))), "codec.limbs[0].channels"),
        (paf(limbs=limb(channels=(-1, 0))), "codec.limbs[0].channels"),
        (simcc((-1, 3, 12), (-1, 3, 16)), ""),  # twice 6x8
        (simcc((-1, 3, 16), (-1, 3, 12)), "o0"),
        (simcc((-1, 17, 12), (-1, 17, 16)), "axis 1 should be 3"),
        (
            {"keypoints": KEYPOINTS, "outputs": (TensorSpec(name="h", shape=(1, 4, 2, 2)),)},
            "axis 1",
        ),
        (
            {
                "keypoints": KEYPOINTS,
                "codec": YxsCodec(),
                "outputs": (TensorSpec(name="k", shape=(1, 1, 17, 3)),),
            },
            "axis 2 should be 3",
        ),
        (
            {"inputs": (TensorSpec(name="i", shape=(1, 3, 6, 8), layout="NCHW"),)},
            "image.wh is 6x8, the input's shape says 8x6",
        ),
        ({"inputs": (TensorSpec(name="i", shape=(-1, 8, 6, 3), layout="NHWC"),)}, ""),
        ({"outputs": (TensorSpec(name="a"), TensorSpec(name="a"))}, "outputs has two tensors"),
        (rtmdet(6), ""),
        (rtmdet(6) | {"classes": ("person",)}, ""),
        (
            rtmdet(6) | {"classes": ("a", "b")},
            "classes has 2 names, output o0 of shape [-1, 1, 1, 1] has 1 classes",
        ),
        (of_classes(YOLOXCodec(), (-1, 99, 8), 3), ""),
        (
            of_classes(YOLOXCodec(), (-1, 99, 8), 4),
            "classes has 4 names, output o of shape [-1, 99, 8] has 3 classes",
        ),
        (of_classes(YoloCodec(), (-1, 7, 99), 3), ""),
        (
            of_classes(YoloCodec(), (-1, 7, 99), 1),
            "classes has 1 names, output o of shape [-1, 7, 99] has 3 classes",
        ),
        (of_classes(YoloCodec(), (-1, 14, 99), 1) | {"keypoints": KEYPOINTS}, ""),
        (of_classes(YoloCodec(), (-1, -1, 99), 5), ""),
        (of_classes(DenseCodec(), (-1, 3, 9, 9), 4), "classes has 4 names"),
        (of_classes(BoxesCodec(), (-1, -1, 5), 4), ""),
        (rtmdet(5), "outputs are 5, 3 codec.strides want 6"),
        (rtmdet(6, (1, 10, 10)), "4 axes are wanted"),
        (rtmdet(6, (-1, 1, -1, -1)), ""),
        (rtmdet(6, (-1, 1, 4, 4)), "codec.strides of 8 at 6x8 give 1 rows of 1"),
        (simcc((-1, 3, 12), (-1, 3, 16)) | {"codec": SimCCCodec(sigma=(12, 16))}, ""),
        (simcc((-1, 3, 12), (-1, 3, 16)) | {"codec": SimCCCodec(sigma=(4, 17))}, "codec.sigma"),
        (
            {
                "codec": HeatmapCodec(sigma=(2, 3)),
                "outputs": (TensorSpec(name="h", shape=(-1, 3, 4, 3)),),
            },
            "",
        ),
        (
            {
                "codec": HeatmapCodec(sigma=(4, 2)),
                "outputs": (TensorSpec(name="h", shape=(-1, 3, 4, 3)),),
            },
            "3 x 4 bins",
        ),
        (
            {"inputs": (TensorSpec(name="i", dtype="uint8", scale=1, zero_point=-1),)},
            "zero_point of i is -1",
        ),
        ({"inputs": (TensorSpec(name="i", dtype="int8", scale=1, zero_point=-128),)}, ""),
        (paf() | {"codec": PafCodec(limbs=LIMBS, min_keypoints=4)}, "codec.min_keypoints is 4"),
        ({"task": "pose-topdown", "crop": CropSpec(kind="letterbox")}, "crop.kind is letterbox"),
        ({"task": "pose-bottomup", "crop": CropSpec(kind="letterbox")}, ""),
    ],
)
def test_fields_that_contradict_each_other(manifest, fields, said) -> None:
    found = list(contradictions(msgspec.structs.replace(manifest, **fields)))
    assert bool(found) == bool(said)
    assert said in " ".join(found)
