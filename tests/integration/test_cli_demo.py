"""The demo: on every runtime the shipped detector finds the drawn people, and what is random says so."""

import json

import pytest

from export.bundled import bundled_for


def test_it_overwrites_nothing(edgepose, tmp_path) -> None:
    (tmp_path / "summary.json").write_text("[]")
    done = edgepose("demo", "--out", tmp_path)
    assert done.code == 2
    assert "summary.json" in done.message
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]


@pytest.mark.slow
def test_it_finds_the_drawn_people_on_every_runtime(edgepose, tmp_path) -> None:
    for module in ("torch", "onnxruntime", "openvino", "ncnn", "ai_edge_litert", "litert_torch"):
        pytest.importorskip(module)
    done = edgepose("demo", "--out", tmp_path)
    assert done.code == 0, done.err
    rows = json.loads((tmp_path / "summary.json").read_text())
    assert [row["runtime"] for row in rows[1:]] == ["onnxruntime", "openvino", "ncnn", "tflite"]
    assert rows[0]["runtime"] == "pytorch"
    for row in rows[1:]:
        assert row["detector"].startswith("passed: ")
        assert "boxes matched" in row["detector"]  # judged by what it finds: it is trained
        assert row["pose"].startswith("passed: ")
        assert row["found"] >= 0.9 * row["drawn"] > 0
        assert "decidable" in row["pose"]  # in pixels: the pose model is trained as well
        assert row["found"] + row["missed"] == row["drawn"] == rows[0]["drawn"]
        assert row["found"] + row["false_positives"] == row["poses"]
        assert row["false_positives"] <= 0.1 * row["drawn"]  # nobody counts twice
        assert row["error_px"] < 10  # of people about 200 px tall
        assert row["drift_p95_px"] < 0.5
    assert {"annotated.mp4", "clip.mp4", "poses.json"} <= {path.name for path in tmp_path.iterdir()}
    trained = bundled_for("pose-topdown") is not None
    assert ("RANDOM WEIGHTS" in done.err) is not trained
    fastest = min(rows[1:], key=lambda row: row["frame_p50_ms"])["runtime"]
    assert f"annotated.mp4 and poses.json are of {fastest}, the fastest here" in done.err
    assert done.talk[-1].startswith("now your own video: edgepose get rtmpose-s rtmdet-nano")
    assert "rtmdet-nano-drawn: trained on drawn people" in done.err
