"""Real foreign files through the adapters, against the same engines fed by numpy's own preprocessing."""

import json
import shutil
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from runtimes.artifact import Artifact
from runtimes.base import RunOptions
from runtimes.codec_spec import HeatmapCodec, YxsCodec
from runtimes.files import seal
from runtimes.registry import installed_engine, open_session
from runtimes.spec import (
    CropSpec,
    ImageSpec,
    Lineage,
    Manifest,
    Runtime,
    TensorSpec,
)

TINYPOSE = ImageSpec(wh=(192, 256), mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
RTMDET = ImageSpec(
    wh=(320, 320), order="BGR", mean=(103.53, 116.28, 123.675), std=(57.375, 57.12, 58.395)
)


def wrap(
    root: Path,
    files: dict[Path, str],
    runtime: Runtime,
    image: ImageSpec,
    source: TensorSpec,
    outputs: tuple[TensorSpec, ...],
) -> Artifact:
    """Copy foreign files under our names and describe them."""
    if installed_engine(runtime) is None:
        pytest.skip(f"{runtime} is not installed")
    root.mkdir()
    for path, name in files.items():
        shutil.copyfile(path, root / name)
    manifest = Manifest(
        model="foreign",
        task="pose-topdown",
        runtime=runtime,
        precision="fp32",
        inputs=(source,),
        outputs=outputs,
        image=image,
        crop=CropSpec(kind="stretch"),
        codec=HeatmapCodec() if runtime != "tflite" else YxsCodec(),
        lineage=Lineage(weights="foreign"),
    )
    seal(root, manifest)
    return Artifact.open(root)


def normalised(batch: np.ndarray, image: ImageSpec) -> np.ndarray:
    """Do by plain numpy what the manifest says: float32 NCHW."""
    ordered = batch[..., ::-1] if image.order == "RGB" else batch
    real = (ordered.astype(np.float64) - image.mean) / image.std
    return np.ascontiguousarray(real.transpose(0, 3, 1, 2), np.float32)


def person_crops(real: Path, count: int, wh: tuple[int, int]) -> np.ndarray:
    """The largest annotated people of coco-mini, stretched to `wh`: uint8 BGR (count, H, W, 3)."""
    folder = real / "coco-mini"
    coco = json.loads((folder / "person_keypoints.json").read_text())
    names = {image["id"]: image["file_name"] for image in coco["images"]}
    people = sorted(coco["annotations"], key=lambda person: -person["area"])[:count]
    crops = []
    for person in people:
        x, y, width, height = (int(value) for value in person["bbox"])
        frame = cv2.imread(str(folder / "images" / names[person["image_id"]]))
        crops.append(cv2.resize(frame[y : y + height, x : x + width], wh))
    return np.stack(crops)


def heatmap(name: str) -> tuple[TensorSpec, ...]:
    return (TensorSpec(name="heatmap", engine_name=name, shape=(-1, 17, 64, 48)),)


def pixels(name: str, wh: tuple[int, int], dtype: str = "float32") -> TensorSpec:
    shape, layout = (-1, 3, wh[1], wh[0]), "NCHW"
    if dtype == "uint8":
        shape, layout = (-1, wh[1], wh[0], 3), "NHWC"
    return TensorSpec(name="image", engine_name=name, dtype=dtype, shape=shape, layout=layout)


def tinypose_openvino(real: Path, root: Path) -> Artifact:
    folder = real / "models" / "tinypose-256x192"
    files = {folder / "model.xml": "model.xml", folder / "model.bin": "model.bin"}
    source = pixels("image", TINYPOSE.wh)
    return wrap(root, files, "openvino", TINYPOSE, source, heatmap("conv2d_441.tmp_1"))


def tinypose_ncnn(real: Path, root: Path) -> Artifact:
    folder = real / "models" / "tinypose-256x192"
    files = {
        folder / "tinypose_256x192.param": "model.param",
        folder / "tinypose_256x192.bin": "model.bin",
    }
    source = pixels("image", TINYPOSE.wh)
    return wrap(root, files, "ncnn", TINYPOSE, source, heatmap("save_infer_model/scale_0.tmp_1"))


def test_tinypose_sees_the_same_people_in_openvino_and_ncnn(real, tmp_path) -> None:
    """The files hold two trainings of one network (their weights do not correlate), so only what they see can agree."""
    crops = person_crops(real, 8, TINYPOSE.wh)
    maps = []
    for build in (tinypose_openvino, tinypose_ncnn):
        session = open_session(build(real, tmp_path / build.__name__))
        assert session.effective.precision == "f32"
        maps.append(session.run({"image": crops})["heatmap"].reshape(8 * 17, 64 * 48))
        session.close()
    left, right = maps
    sure = left.max(axis=1) > 0.3
    assert sure.sum() > 40
    peaks = [np.stack(np.divmod(values.argmax(axis=1)[sure], 48)) for values in maps]
    assert np.median(np.hypot(*(peaks[0] - peaks[1]))) <= 2  # of 64 x 48 bins
    # 0.88 with the channels in order, 0.68 with red and blue swapped on one side
    assert np.corrcoef(left.ravel(), right.ravel())[0, 1] > 0.8


def test_tinypose_is_what_ncnn_computes_from_numpy(real, tmp_path) -> None:
    artifact = tinypose_ncnn(real, tmp_path / "tinypose")
    crops = person_crops(real, 3, TINYPOSE.wh)
    ncnn = pytest.importorskip("ncnn")
    net = ncnn.Net()
    net.opt.use_fp16_arithmetic = net.opt.use_fp16_storage = net.opt.use_fp16_packed = False
    assert net.load_param(str(artifact.file(".param"))) == 0
    assert net.load_model(str(artifact.file(".bin"))) == 0
    wanted = []
    for row in normalised(crops, TINYPOSE):
        extractor = net.create_extractor()
        extractor.input("image", ncnn.Mat(row).clone())
        wanted.append(np.array(extractor.extract("save_infer_model/scale_0.tmp_1")[1]))
    session = open_session(artifact)
    got = session.run({"image": crops})["heatmap"]
    session.close()
    np.testing.assert_allclose(got, np.stack(wanted), rtol=0, atol=1e-4)


def test_tinypose_is_what_openvino_computes_from_numpy(real, tmp_path) -> None:
    artifact = tinypose_openvino(real, tmp_path / "tinypose")
    crops = person_crops(real, 2, TINYPOSE.wh)
    openvino = pytest.importorskip("openvino")
    config = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.compile_model(str(artifact.file(".xml")), "CPU", config)
    port = compiled.output("conv2d_441.tmp_1")
    wanted = [compiled([row[None]])[port].copy() for row in normalised(crops, TINYPOSE)]
    session = open_session(artifact, RunOptions(threads=2))
    got = session.run({"image": crops})["heatmap"]
    session.close()
    np.testing.assert_allclose(got, np.concatenate(wanted), rtol=0, atol=1e-4)


def test_movenet_takes_rgb_bytes(real, tmp_path) -> None:
    path = real / "models" / "movenet-lightning" / "movenet_single_pose_lightning_ptq.tflite"
    image = ImageSpec(wh=(192, 192))
    outputs = (TensorSpec(name="yxs", engine_name="output_0", shape=(-1, 1, 17, 3)),)
    source = pixels("input", image.wh, "uint8")
    artifact = wrap(tmp_path / "movenet", {path: "m.tflite"}, "tflite", image, source, outputs)
    crops = person_crops(real, 2, image.wh)
    session = open_session(artifact, RunOptions(threads=2))
    got = session.run({"image": crops})["yxs"]
    session.close()
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(
        str(path), num_threads=1
    )
    interpreter.allocate_tensors()
    for crop, values in zip(crops, got, strict=True):
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], crop[None, ..., ::-1])
        interpreter.invoke()
        wanted = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
        np.testing.assert_array_equal(values, wanted)
        assert values[0, :, 2].max() > 0.4  # a person was seen


def test_rtmdet_heads_are_what_onnxruntime_computes_from_numpy(real, tmp_path) -> None:
    path = real / "models" / "rtmdet-nano-person" / "raw-heads-320.onnx"
    names = {"level8": ("1211", 40), "level16": ("1213", 20), "level32": ("1215", 10)}
    outputs = tuple(
        TensorSpec(name=name, engine_name=engine, shape=(-1, size, size, 5))
        for name, (engine, size) in reversed(names.items())
    )
    source = pixels("images", RTMDET.wh)
    artifact = wrap(tmp_path / "det", {path: "m.onnx"}, "onnxruntime", RTMDET, source, outputs)
    frames = person_crops(real, 3, RTMDET.wh)
    session = open_session(artifact)
    got = session.run({"image": frames})
    session.close()
    ort = pytest.importorskip("onnxruntime")
    engine = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rows = [engine.run(None, {"images": row[None]}) for row in normalised(frames, RTMDET)]
    for index, name in enumerate(names):
        wanted = np.concatenate([row[index] for row in rows])
        np.testing.assert_allclose(got[name], wanted, rtol=1e-4, atol=1e-3)


def test_rtmdet_with_nms_counts_its_detections(real, tmp_path) -> None:
    path = real / "models" / "rtmdet-nano-person" / "end2end.onnx"
    outputs = (
        TensorSpec(name="dets", shape=(-1, -1, 5)),
        TensorSpec(name="labels", dtype="int64", shape=(-1, -1)),
    )
    # the file declares a free batch, but its NMS fails on two
    source = msgspec.structs.replace(pixels("input", RTMDET.wh), shape=(1, 3, 320, 320))
    artifact = wrap(tmp_path / "det", {path: "m.onnx"}, "onnxruntime", RTMDET, source, outputs)
    frames = person_crops(real, 3, RTMDET.wh)
    session = open_session(artifact)
    got = session.run({"image": frames})
    singles = [session.run({"image": frames[index : index + 1]}) for index in range(3)]
    session.close()
    assert got["labels"].dtype == np.int64
    assert got["count"].tolist() == [single["dets"].shape[1] for single in singles]
    best = got["dets"][:, 0]  # the crop is one person: one box over most of it
    assert (best[:, 4] > 0.5).all()
    sides = best[:, 2:4] - best[:, :2]
    assert (sides.prod(axis=1) > 0.5 * 320 * 320).all()
