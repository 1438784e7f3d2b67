"""ONNX files as their own toolchains write them, imported by --like and run: tiny graphs with those signatures."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.catalog.lookup import CATALOG, find, spec_of
from edge.catalog.specs import COCO_CLASSES
from edge.catalog.specs_yolo import cells
from edge.model import load
from edge.pipeline import Pipeline
from edge.schema import KeypointSchema
from export.import_like import NOTHING, Described, like_of, read_apart, read_like, spec_like
from export.import_spec import ImportSpec, check_spec
from runtimes.codec_spec import BoxesCodec, RTMDetCodec, SimCCCodec, YoloCodec, YoloRowsCodec
from runtimes.errors import EdgeposeError, InputError
from runtimes.files import seal
from runtimes.spec import Manifest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

GATE = KeypointSchema("gate", ("a", "b"), (), (), (0.1, 0.1))
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a graph that gives constants, whatever the image: {output: array}, declared shapes free where wanted."""

    def write_graph(
        outputs: Mapping[str, np.ndarray],
        *,
        image: Sequence[Any] = ("batch", 3, "height", "width"),
        name: str = "input",
        dtype: str = "FLOAT",
        free: Sequence[str] = (),
        notes: Mapping[str, str] | None = None,
    ) -> Path:
        helper, kinds = onnx.helper, onnx.TensorProto
        nodes = [helper.make_node("ReduceMin", ["real"], ["least"], keepdims=0)]
        nodes.insert(0, helper.make_node("Cast", [name], ["real"], to=kinds.FLOAT))
        nodes.append(helper.make_node("Mul", ["least", "zero"], ["nought"]))
        given = [onnx.numpy_helper.from_array(np.float32(0), "zero")]
        told = []
        for out, values in outputs.items():
            kind = helper.np_dtype_to_tensor_dtype(values.dtype)
            given.append(onnx.numpy_helper.from_array(values, f"{out}.values"))
            nodes.append(helper.make_node("Cast", ["nought"], [f"{out}.0"], to=kind))
            nodes.append(helper.make_node("Add", [f"{out}.values", f"{out}.0"], [out]))
            shape = [
                f"{out}{axis}" if out in free else side for axis, side in enumerate(values.shape)
            ]
            told.append(helper.make_tensor_value_info(out, kind, shape))
        picture = helper.make_tensor_value_info(name, getattr(kinds, dtype), list(image))
        graph = helper.make_graph(nodes, "tiny", [picture], told, given)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        for key, value in (notes or {}).items():
            entry = model.metadata_props.add()
            entry.key, entry.value = key, value
        path = tmp_path / "end2end.onnx"
        onnx.save(model, path)
        return path

    return write_graph


def spec_at(
    path: Path, name: str, described: Described = NOTHING, wh: Any = None
) -> tuple[ImportSpec, tuple[str, ...]]:
    """Read the file and match it; the command reads it in another process."""
    return spec_like(read_like(path, name, wh), name, described)


def imported(path: Path, name: str, described: Described, out: Path, wh: Any = None) -> Path:
    """Return an artifact of the file as the import seals it, without the import's run on drawn pictures."""
    spec, _ = spec_at(path, name, described, wh)
    check_spec(spec)
    out.mkdir(exist_ok=True)
    shutil.copyfile(path, out / "model.onnx")
    path.unlink()
    fields = {each: getattr(spec, each) for each in ImportSpec.__struct_fields__}
    return seal(out, Manifest(**fields)).root


def peaks(places: Sequence[int], bins: int) -> np.ndarray:
    """Return SimCC logits (1, K, bins) with one peak a keypoint."""
    logits = np.zeros((1, len(places), bins), np.float32)
    logits[0, range(len(places)), places] = 0.9
    return logits


@pytest.mark.parametrize(
    "names", [("simcc_x", "simcc_y"), ("output", "700"), ("simcc_y", "simcc_x")]
)
def test_mmdeploys_simcc_of_any_keypoints_and_size(
    write: Write, tmp_path: Path, names: tuple[str, str]
) -> None:
    """Free axes in the declaration, as mmdeploy writes them; the bins say which output is x, and the input's size."""
    x, y = peaks([20, 101], 2 * 96), peaks([7, 200], 2 * 128)
    values = (y, x) if names[0] == "simcc_y" else (x, y)
    path = write(dict(zip(names, values, strict=True)), image=("batch", 3, 128, 96))
    root = imported(path, "rtmpose-t", Described(GATE), tmp_path)
    frame = np.zeros((128, 96, 3), np.uint8)
    with load(root) as model:
        assert model.spec.image.wh == (96, 128)
        assert model.schema == GATE
        (crop,) = model.crops(frame, np.array([[0, 0, 96, 128]], np.float32))
        poses = model.poses(frame, np.array([[0, 0, 96, 128]], np.float32))
    # two bins a pixel
    np.testing.assert_allclose(crop.to_input(poses.xy[0]), [[10, 3.5], [50.5, 100]], atol=1e-3)


def test_a_square_simcc_goes_by_its_names(write: Write) -> None:
    x, y = peaks([20], 128), peaks([7], 128)
    path = write({"simcc_y": y, "simcc_x": x}, image=(1, 3, 64, 64))
    spec, notes = spec_at(path, "rtmpose-m")
    assert [tensor.engine_name for tensor in spec.outputs] == ["simcc_x", "simcc_y"]
    assert spec.keypoints is not None
    assert spec.keypoints.names == ("kp0",)
    assert "does not name its 1 keypoint; kp0 without flip pairs" in notes[0]
    assert isinstance(spec.codec, SimCCCodec)


def test_the_bins_give_the_size_of_a_free_input(write: Write) -> None:
    path = write({"simcc_x": peaks([0] * 17, 576), "simcc_y": peaks([0] * 17, 768)})
    spec, (note,) = spec_at(path, "rtmpose-t")
    assert spec.image.wh == (288, 384)
    assert note.startswith("assumed coco17, as rtmpose-t")


@pytest.mark.parametrize("labels", [np.int64, np.int32])
@pytest.mark.parametrize("name", ["rtmdet-nano", "rtmdet-tiny", "yolox-s"])
def test_boxes_of_a_graph_with_nms(
    write: Write, tmp_path: Path, name: str, labels: type[np.generic]
) -> None:
    dets = np.array([[[8, 4, 40, 60, 0.9], [1, 2, 9, 9, 0.4]]], np.float32)
    path = write({"dets": dets, "labels": np.array([[0, 0]], labels)}, free=("dets", "labels"))
    root = imported(path, name, Described(), tmp_path, (64, 64))
    with load(root) as model:
        assert isinstance(model.spec.codec, BoxesCodec)
        found = model.detect(np.zeros((128, 128, 3), np.uint8))
    assert found.boxes.tolist() == [[16, 8, 80, 120], [2, 4, 18, 18]]
    assert found.scores.tolist() == pytest.approx([0.9, 0.4])


def test_a_detectors_classes_are_the_users(write: Write, tmp_path: Path) -> None:
    dets = np.array([[[8, 4, 40, 60, 0.9], [1, 2, 9, 9, 0.4]]], np.float32)
    path = write({"dets": dets, "labels": np.array([[1, 0]])}, free=("dets", "labels"))
    described = Described(classes=("player", "ball"))
    detector = imported(path, "rtmdet-nano", described, tmp_path / "a", (64, 64))
    x, y = peaks([20], 128), peaks([7], 128)
    pose = imported(
        write({"simcc_x": x, "simcc_y": y}, image=(1, 3, 64, 64)),
        "rtmpose-t",
        Described(),
        tmp_path / "b",
    )
    with pytest.raises(InputError, match="of player, ball"):
        Pipeline(pose, detector)
    with Pipeline(pose, detector, det_classes=("player",)) as pipeline:
        poses = pipeline(np.zeros((64, 64, 3), np.uint8))
    assert poses.boxes.tolist() == [[1, 2, 9, 9]]


def test_rtmdets_raw_heads(write: Write) -> None:
    maps = {f"r{n}": np.zeros((1, 4, n, n), np.float32) for n in (10, 5, 20)[::-1]}
    logits = {f"c{n}": np.zeros((1, 3, n, n), np.float32) for n in (10, 20, 5)}
    spec, notes = spec_at(write(logits | maps, image=(1, 3, 160, 160)), "rtmdet-s")
    assert [tensor.engine_name for tensor in spec.outputs] == [
        "c20",
        "c10",
        "c5",
        "r20",
        "r10",
        "r5",
    ]
    assert isinstance(spec.codec, RTMDetCodec)
    assert spec.classes == ("class0", "class1", "class2")
    assert "does not name its 3 classes" in notes[0]


def test_yolox_raw(write: Write, tmp_path: Path) -> None:
    """Cell (1, 2) of the first level: its centre is (1 + .5, 2 + .25) * 8, its sides e^1 * 8 and e^0 * 8."""
    values = np.zeros((1, cells((64, 64)), 85), np.float32)
    values[0, 2 * 8 + 1] = [0.5, 0.25, 1, 0, 0.8, 0.9, *[0] * 79]
    path = write({"output": values}, image=(1, 3, 64, 64), name="images")
    with load(imported(path, "yolox-s", Described(), tmp_path)) as model:
        assert model.spec.classes == COCO_CLASSES
        found = model.detect(np.zeros((64, 64, 3), np.uint8))
    half = 4 * np.e
    np.testing.assert_allclose(found.boxes, [[12 - half, 14, 12 + half, 22]], rtol=1e-5)
    assert found.scores.tolist() == pytest.approx([0.72])


ULTRALYTICS = {"author": "Ultralytics", "stride": "32", "imgsz": "[64, 64]"}


@pytest.mark.parametrize("name", ["yolo-pose", "yolov8n-pose", "yolo11s-pose"])
def test_ultralytics_pose_lands_in_the_frame(write: Write, tmp_path: Path, name: str) -> None:
    """A frame of 100 x 50 in 64 x 64 has the scale .64, and 16 rows above it."""
    values = np.zeros((1, 11, cells((64, 64))), np.float32)
    values[0, :, 30] = [32, 32, 16, 8, 0.9, 30, 30, 0.8, 33, 34, 0.6]
    path = write({"output0": values}, image=(1, 3, 64, 64), name="images")
    root = imported(path, name, Described(GATE), tmp_path)
    with Pipeline(root) as pipeline:
        poses = pipeline(np.zeros((50, 100, 3), np.uint8))
    np.testing.assert_allclose(
        poses.boxes, [[24 / 0.64, 12 / 0.64, 40 / 0.64, 20 / 0.64]], rtol=1e-5
    )
    np.testing.assert_allclose(
        poses.xy, [[[30 / 0.64, 14 / 0.64], [33 / 0.64, 18 / 0.64]]], rtol=1e-5
    )
    assert poses.box_scores.tolist() == pytest.approx([0.9])
    assert poses.schema == GATE


@pytest.mark.parametrize(
    ("shape", "notes", "codec", "count"),
    [
        ((1, 56, 84), {}, YoloCodec(), 17),
        ((1, 5 + 3 * 4, 84), {}, YoloCodec(), 4),
        ((1, 5 + 2 * 4, 84), {"kpt_shape": "[4, 2]"}, YoloCodec(point_values=2), 4),
        (
            (1, 4 + 2 + 3 * 4, 84),
            {"kpt_shape": "[4, 3]", "names": "{0: 'a', 1: 'b'}"},
            YoloCodec(),
            4,
        ),
        ((1, 300, 57), {"end2end": "True"}, YoloRowsCodec(), 17),
        ((1, 300, 6 + 3 * 4), {}, YoloRowsCodec(), 4),
        ((1, 56, 85), {}, YoloCodec(), 17),  # with the level of stride 64
    ],
)
def test_ultralytics_pose_formats(
    write: Write, shape: tuple[int, ...], notes: Any, codec: Any, count: int
) -> None:
    path = write({"output0": np.zeros(shape, np.float32)}, image=(1, 3, 64, 64), notes=notes)
    spec, _ = spec_at(path, "yolo-pose")
    assert spec.codec == codec
    assert spec.keypoints is not None
    assert len(spec.keypoints.names) == count


@pytest.mark.parametrize(
    ("shape", "notes", "codec", "classes"),
    [
        ((1, 84, 84), {}, YoloCodec(), COCO_CLASSES),
        ((1, 6, 84), {"names": "{0: 'cat', 1: 'person'}"}, YoloCodec(), ("cat", "person")),
        ((1, 5, 84), {}, YoloCodec(), ("person",)),
        ((1, 7, 84), {"names": "__import__('os')"}, YoloCodec(), ("class0", "class1", "class2")),
        ((1, 300, 6), {"names": "{0: 'cat'}"}, YoloRowsCodec(), ("cat",)),
    ],
)
def test_ultralytics_detector_formats(
    write: Write, shape: tuple[int, ...], notes: Any, codec: Any, classes: Any
) -> None:
    path = write({"output0": np.zeros(shape, np.float32)}, image=(1, 3, 64, 64), notes=notes)
    spec, _ = spec_at(path, "yolov8n")
    assert (spec.model, spec.codec, spec.classes) == ("yolov8n", codec, classes)


def test_ultralytics_files_say_what_they_are(write: Write) -> None:
    values = {"output0": np.zeros((1, 56, 84), np.float32)}
    wh = (1, 3, 64, 64)
    assert (
        like_of(
            read_like(write(values, image=wh, notes=ULTRALYTICS | {"task": "pose"}), None, None)
        )
        == "yolo-pose"
    )
    assert like_of(read_like(write(values, image=wh), None, None)) is None


@pytest.mark.parametrize("task", ["segment", "obb", "classify"])
def test_other_tasks_of_ultralytics_are_named(write: Write, task: str) -> None:
    # 4 + 80 + 32 mask coefficients, which would also be 16 keypoints of two values
    values = {"output0": np.zeros((1, 116, 84), np.float32)}
    notes = ULTRALYTICS | {"task": task, "names": str(dict(enumerate(COCO_CLASSES)))}
    graph = read_like(write(values, image=(1, 3, 64, 64), notes=notes), None, None)
    said = f"an Ultralytics {task} model; only pose and detect are read"
    with pytest.raises(InputError, match=said):
        like_of(graph)
    for name in ("yolo-pose", "yolo-detect"):
        with pytest.raises(InputError, match=said):
            spec_like(graph, name)


def outputs_of(name: str) -> dict[str, np.ndarray]:
    """Return zeros of the shapes that our own spec of the entry has."""
    spec = spec_of(find(name))
    return {
        f"out{place}": np.zeros([abs(side) for side in tensor.shape], np.float32)
        for place, tensor in enumerate(spec.outputs)
    }


def one_of_each_kind() -> list[str]:
    """Return an entry of each family, task, codec and number of outputs, the smallest input."""
    kinds: dict[Any, str] = {}
    for name, entry in sorted(CATALOG.items(), key=lambda item: item[1].input_wh):
        spec = spec_of(entry)
        kinds.setdefault((entry.family, entry.task, type(spec.codec), len(spec.outputs)), name)
    return list(kinds.values())


@pytest.mark.parametrize("name", one_of_each_kind())
def test_every_kind_of_entry_is_matched_by_its_shapes(write: Write, name: str) -> None:
    spec = spec_of(find(name))
    width, height = spec.image.wh
    image = (1, height, width, 3) if spec.inputs[0].layout == "NHWC" else (1, 3, height, width)
    dtype = "INT32" if spec.inputs[0].dtype == "uint8" else "FLOAT"
    found, _ = spec_at(write(outputs_of(name), image=image, dtype=dtype), name)
    assert found.model == name
    assert (found.codec, found.keypoints, found.classes) == (
        spec.codec,
        spec.keypoints,
        spec.classes,
    )
    assert [tensor.engine_name for tensor in found.outputs] == list(outputs_of(name))
    assert (found.image, found.crop) == (spec.image, spec.crop)


@pytest.mark.parametrize("name", one_of_each_kind())
def test_another_models_outputs_are_one_line(write: Write, name: str) -> None:
    spec = spec_of(find(name))
    width, height = spec.image.wh
    image = (1, height, width, 3) if spec.inputs[0].layout == "NHWC" else (1, 3, height, width)
    path = write({"logits": np.zeros((1, 10), np.float32)}, image=image)
    with pytest.raises(
        InputError, match=rf"its outputs are logits \(1, 10\); {name.replace('+', '.')} is"
    ) as said:
        spec_at(path, name)
    assert "\n" not in str(said.value)


@pytest.mark.parametrize(
    ("name", "shape", "image", "notes", "said"),
    [
        # YOLOX has (640/8)^2 + (640/16)^2 + (640/32)^2 rows; three anchors a cell are YOLOv5's
        ("yolox-tiny", (1, 8000, 85), (640, 640), {}, "with A = 8400 at 640x640"),
        ("yolo-detect", (1, 25200, 85), (640, 640), {}, r"with A = 8400 at 640x640 \(P6: 8500\)"),
        ("yolo-pose", (1, 25200, 56), (640, 640), {}, "with A = 8400 at 640x640"),
        ("yolo-pose", (1, 56, 84), (64, 64), {"kpt_shape": "[21, 3]"}, r"kpt_shape \[21, 3\]"),
        ("tinypose-256x192", (1, 17, 60, 40), (192, 256), {}, "with w : h = 192 : 256"),
        ("rtmdet-nano", (1, 80, 20, 20), (320, 320), {}, "of strides 8, 16 and 32 at 320x320"),
    ],
)
def test_refusals_name_the_numbers_that_are_expected(
    write: Write, name: str, shape: tuple[int, ...], image: Any, notes: Any, said: str
) -> None:
    width, height = image
    values = {"output0": np.zeros(shape, np.float32)}
    with pytest.raises(InputError, match=said):
        spec_at(write(values, image=(1, 3, height, width), notes=notes), name)


@pytest.mark.parametrize(
    ("image", "described", "said"),
    [
        ((1, 3, 64, 64), (96, 96), "not 96x96; leave --input out"),
        ((4, 3, 64, 64), Described(), "its batch is fixed at 4"),
        ((1, 1, 64, 64), Described(), r"expected one image \(N, 3, H, W\)"),
        ((1, 3), Described(), r"expected one image \(N, 3, H, W\)"),
        ((1, 3, 64, 64), Described(GATE), "gives 1 keypoint, but gate names 2"),
        ((1, 3, 64, 64), Described(classes=("a",)), "is no detector; leave --classes out"),
    ],
)
def test_what_does_not_fit_is_one_line(write: Write, image: Any, described: Any, said: str) -> None:
    path = write({"simcc_x": peaks([1], 128), "simcc_y": peaks([1], 128)}, image=image)
    own, wh = (described, None) if isinstance(described, Described) else (NOTHING, described)
    with pytest.raises(EdgeposeError, match=said) as raised:
        spec_at(path, "rtmpose-t", own, wh)
    assert "\n" not in str(raised.value)


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(b"no graph")
    with pytest.raises(EdgeposeError, match="ONNX Runtime cannot load it"):
        spec_at(path, "rtmpose-t")


def test_the_command_reads_foreign_files_in_a_process_of_its_own(
    write: Write, tmp_path: Path
) -> None:
    path = write({"simcc_x": peaks([1], 128), "simcc_y": peaks([1], 128)}, notes={"task": "pose"})
    here = read_like(path, "rtmpose-t", (64, 64))
    assert read_apart(path, "rtmpose-t", (64, 64)) == here
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(path.read_bytes()[:200])
    with pytest.raises(EdgeposeError, match=r"broken\.onnx: ONNX Runtime cannot load it") as raised:
        read_apart(broken, "rtmpose-t", None)
    assert "\n" not in str(raised.value)


def test_an_import_needs_no_torch(write: Write, tmp_path: Path) -> None:
    path = write({"simcc_x": peaks([1], 128), "simcc_y": peaks([1], 128)}, image=(1, 3, 64, 64))
    (tmp_path / "torch.py").write_text("raise ImportError('there is no torch on a board')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from edge.cli import main; main()"
    arguments = ["import", str(path), "--like", "rtmpose-t", "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "wrote" in done.stderr
    assert (tmp_path / "out" / "rtmpose-t-1keypoints-64x64.onnxruntime-fp32").is_dir()
