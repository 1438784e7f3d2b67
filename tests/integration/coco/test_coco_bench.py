"""bench --annotations: the figures of the evaluator in the rows that were timed, in RUN.json and in the report."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("faster_coco_eval")

from edge.bench.record import read_run

QUICK = ("--iterations", 3, "--rounds", 1)


def test_rows_have_the_average_precision_of_the_evaluator(
    place: Path, edgepose: Callable[..., Any], expected: dict[str, Any], tmp_path: Path
) -> None:
    out, page = tmp_path / "run.json", tmp_path / "report.html"
    done = edgepose(
        *("bench", place / "pose", *QUICK, "--threads", "1,2"),
        *("--annotations", place / "control.json", "--images", place / "images"),
        *("--out", out, "--html", page),
    )
    assert done.code == 0, done.err
    rows = read_run(out).rows
    assert [row.threads for row in rows] == [1, 2]
    assert [row.ap for row in rows] == pytest.approx([expected["AP"]] * 2)
    assert rows[0].ap_on == "keypoints, 68 people on 35 images"
    header, *lines = done.out.splitlines()
    assert header.split()[3] == "AP"
    assert all(f"{expected['AP']:.4f}" in line for line in lines)
    text = page.read_text()
    assert "Accuracy and latency" in text
    assert "AP (higher is better)" in text


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--images", "images"), "goes with --annotations"),
        (("--annotations", "gone.json"), "gone.json"),
        (("--annotations", "images"), "is a directory"),
        (("--annotations", "control.json", "--remote", "ssh:board"), "leave it out with --remote"),
    ],
)
def test_wrong_use_is_refused_before_anything_is_measured(
    place: Path,
    edgepose: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    more: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(place)
    done = edgepose("bench", "pose", *QUICK, *more)
    assert (done.code, done.out) == (2, "")
    assert said in done.message


def without_people(truth: dict[str, Any]) -> None:
    truth["annotations"] = []


def without_keypoints(truth: dict[str, Any]) -> None:
    for each in truth["annotations"]:
        each["num_keypoints"], each["keypoints"] = 0, [0] * 6


def in_crowds(truth: dict[str, Any]) -> None:
    for each in truth["annotations"]:
        each["iscrowd"] = 1


@pytest.mark.parametrize("empty", [without_people, without_keypoints, in_crowds])
def test_a_set_that_defines_no_figure_is_refused_before_anything_is_measured(
    place: Path,
    edgepose: Callable[..., Any],
    control: Callable[[], Any],
    tmp_path: Path,
    empty: Callable[[Any], None],
) -> None:
    truth, file = control(), tmp_path / "truth.json"
    empty(truth)
    file.write_text(json.dumps(truth))
    out = tmp_path / "run.json"
    done = edgepose(
        *("bench", place / "pose", *QUICK, "--threads", "1", "--out", out),
        *("--annotations", file, "--images", place / "images"),
    )
    assert (done.code, done.out) == (2, "")
    assert "no person with labelled keypoints" in done.message
    assert not out.exists()


def test_times_are_kept_where_a_picture_is_broken(
    place: Path, edgepose: Callable[..., Any], control: Callable[[], Any], tmp_path: Path
) -> None:
    folder, out = tmp_path / "images", tmp_path / "run.json"
    folder.mkdir()
    for picture in (place / "images").iterdir():
        (folder / picture.name).write_bytes(picture.read_bytes())
    (folder / "3.png").write_bytes(b"broken")
    done = edgepose(
        *("bench", place / "pose", *QUICK, "--threads", "1", "--out", out),
        *("--annotations", place / "control.json", "--images", folder),
    )
    assert done.code == 2
    assert "3.png is no image" in done.err
    (row,) = read_run(out).rows
    assert (row.runs, row.ap) == (3, None)


def test_artifacts_of_one_name_have_their_own_figures(
    place: Path,
    edgepose: Callable[..., Any],
    expected: dict[str, Any],
    small_artifact: Callable[..., Any],
    tmp_path: Path,
) -> None:
    other = small_artifact(tmp_path / "pose", swapped=True).root  # left for right: no keypoint fits
    done = edgepose(
        *("bench", place / "pose", other, *QUICK, "--threads", "1", "--json"),
        *("--annotations", place / "control.json", "--images", place / "images"),
    )
    first, second = (row["ap"] for row in done.json)
    assert first == pytest.approx(expected["AP"])
    assert second < first / 2
