"""Detection from photographs to average precision on every runtime, against mmdet and published figures."""

from pathlib import Path

import numpy as np
import pytest

from edge.evaluation.box_sources import listed_boxes
from edge.evaluation.dataset import Dataset, load_dataset
from edge.evaluation.detections import load_detections
from edge.evaluation.predict import predict
from edge.evaluation.result_file import encode_results
from edge.evaluation.score import score
from edge.image import read_image
from edge.model import Model, load
from edge.types import Detections
from export.engine_files import engine_files
from export.import_model import import_model
from export.import_spec import like_spec
from export.torch_session import TorchSession
from runtimes.registry import ENGINES, installed_engine

SOURCES = {"real:rtmdet-nano": "rtmdet-nano-real-hw", "oracle:rtmdet-nano": "rtmdet-nano"}
# As in test_export_raw, which shares these exports.
QUICK = ("ncnn",)
GATE = 8  # drawn pictures
PRECISIONS = {"fp32": (0.05, 1e-4), "fp16": (0.5, 1e-3)}  # px, score


def assert_same_boxes(
    found: Detections, boxes: np.ndarray, scores: np.ndarray, px: float, score: float
) -> None:
    """Every reference box has its own found box, and nothing else was found; ties may change places."""
    assert len(found) == len(boxes)
    distance = np.abs(found.boxes[None] - boxes[:, None]).max(axis=2)
    partner = distance.argmin(axis=1)
    assert len(set(partner.tolist())) == len(boxes)
    assert distance.min(axis=1).max() <= px
    assert np.abs(found.scores[partner] - scores).max() <= score


def check_photographs(
    model: Model, reference: np.lib.npyio.NpzFile, real: Path, px: float, score: float
) -> None:
    for index, name in enumerate(reference["images"]):
        frame = read_image(real / "mmpose-coco" / Path(str(name)).name)
        boxes, scores = reference[f"det{index}_boxes"], reference[f"det{index}_scores"]
        found = model.detect(frame)
        assert set(found.labels.tolist()) == {0}
        assert_same_boxes(found, boxes, scores, px, score)


@pytest.mark.parametrize("source", SOURCES)
def test_boxes_of_pytorch(oracles, real: Path, loaded_model, source: str) -> None:
    loaded = loaded_model(source)
    model = Model(loaded.spec, TorchSession(loaded.module, loaded.spec))
    check_photographs(model, np.load(oracles(f"{SOURCES[source]}.npz")), real, 0.01, 1e-5)


@pytest.mark.parametrize(
    "runtime",
    [pytest.param(each, marks=[pytest.mark.slow] * (each not in QUICK)) for each in ENGINES],
)
def test_boxes_of_artifacts(oracles, real: Path, exported, runtime: str) -> None:
    """Of trained weights alone: half precision moves boxes of random ones, whose outputs test_export_raw compares."""
    source = "real:rtmdet-nano"
    reference = np.load(oracles(f"{SOURCES[source]}.npz"))
    for precision, (px, score_limit) in PRECISIONS.items():
        made = exported(source, runtime, GATE)[precision]
        assert made.passed, made
        with load(made.path) as model:
            check_photographs(model, reference, real, px, score_limit)


@pytest.fixture(scope="module")
def boxed(real: Path) -> Dataset:
    pytest.importorskip("faster_coco_eval")
    return load_dataset(real / "coco-mini" / "instances.json")


@pytest.fixture(scope="module")
def posed(real: Path) -> Dataset:
    pytest.importorskip("faster_coco_eval")
    return load_dataset(real / "coco-mini" / "person_keypoints.json")


@pytest.fixture(scope="module")
def pytorch_ap(boxed: Dataset, loaded_model) -> float:
    loaded = loaded_model("real:rtmdet-nano")
    model = Model(loaded.spec, TorchSession(loaded.module, loaded.spec))
    found = score(model, boxed, predict(model, boxed)).AP
    assert found is not None
    return found


@pytest.mark.slow
def test_the_detectors_precision_is_what_others_measured(pytorch_ap: float) -> None:
    assert pytorch_ap == pytest.approx(0.3554, abs=0.001)  # an independent numpy pipeline


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ENGINES)
def test_conversion_costs_no_precision(
    boxed: Dataset, exported, pytorch_ap: float, runtime: str
) -> None:
    for precision, made in exported("real:rtmdet-nano", runtime, GATE).items():
        with load(made.path) as model:
            found = score(model, boxed, predict(model, boxed)).AP
        assert found == pytest.approx(pytorch_ap, abs=0.005), precision


FOREIGN = {
    # name, file: the keypoint AP it must reach with ground-truth boxes
    ("tinypose-256x192", "model.xml"): 0.536,
    ("tinypose-256x192", "tinypose_256x192.param"): 0.526,
    # one person a picture is what it was trained for; here others stand in the crop of half of them
    ("movenet-lightning", "movenet_single_pose_lightning_ptq.tflite"): 0.24,
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "file"), FOREIGN)
def test_imported_models_find_people(
    real: Path, posed: Dataset, tmp_path: Path, name: str, file: str
) -> None:
    paths = [real / "models" / name / file]
    runtime, _ = engine_files(paths)
    if installed_engine(runtime) is None:
        pytest.skip(f"{runtime} is not installed")
    imported = import_model(paths, like_spec(name, runtime), tmp_path)
    assert imported.parity.passed is None
    with load(imported.artifact.root) as model:
        summary = score(model, posed, predict(model, posed))
    assert (summary.people, summary.images) == (86, 80)
    found = summary.AP
    assert found is not None
    assert found >= FOREIGN[name, file]


@pytest.mark.slow
def test_in_simple_baselines_boxes_the_ap_is_that_of_the_result_file(
    real: Path, tmp_path: Path
) -> None:
    """118 boxes of AP_H_56 on four photographs; pycocotools 2.0.11 and xtcocotools 1.14.3 gave .79353."""
    if installed_engine("openvino") is None:
        pytest.skip("openvino is not installed")
    faster_coco_eval = pytest.importorskip("faster_coco_eval")
    dataset = load_dataset(real / "mmpose-coco" / "test_coco.json", real / "mmpose-coco")
    (found,) = load_detections(real / "mmpose-coco" / "test_coco_det_AP_H_56.json", [dataset.truth])
    assert sum(map(len, found.values())) == 118
    paths = [real / "models" / "tinypose-256x192" / "model.xml"]
    imported = import_model(paths, like_spec("tinypose-256x192", "openvino"), tmp_path)
    with load(imported.artifact.root) as model:
        results = predict(model, dataset, boxes=listed_boxes(found))
        summary = score(model, dataset, results)
    assert pytest.approx(0.7935, abs=0.005) == summary.AP
    (tmp_path / "results.json").write_bytes(encode_results(results))
    quiet = {"print_function": lambda *_: None}
    truth = faster_coco_eval.COCO(str(real / "mmpose-coco" / "test_coco.json"), **quiet)
    judge = faster_coco_eval.COCOeval_faster(
        truth, truth.loadRes(str(tmp_path / "results.json")), "keypoints", **quiet
    )
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    assert list(summary.figures().values()) == pytest.approx(judge.stats[:10].tolist(), abs=5e-5)


@pytest.mark.slow
def test_an_imported_graph_with_nms_finds_what_its_weights_find(
    real: Path, boxed: Dataset, tmp_path: Path, pytorch_ap: float
) -> None:
    pytest.importorskip("onnxruntime")
    paths = [real / "models" / "rtmdet-nano-person" / "end2end.onnx"]
    imported = import_model(paths, like_spec("rtmdet-nano", "onnxruntime"), tmp_path)
    with load(imported.artifact.root) as model:
        found = score(model, boxed, predict(model, boxed)).AP
    assert found == pytest.approx(pytorch_ap, abs=0.005)
