"""Several sources through one engine: each has its own files and people, one that fails stops no other."""

import io
import json
import signal
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path

import cv2
import numpy as np
import pytest
from scripted import detector_spec, pose_spec

from edge.cli.outputs import Outputs
from edge.cli.running.many import check_many, run_many
from edge.cli.running.names import NamedSource
from edge.cli.running.plan import plan_run
from edge.cli.running.report import report_sources
from edge.cli.running.setup import Setup, SourceReport, check_spares
from edge.cli.running.shard import Shard
from edge.cli.running.single import run_one
from edge.cli.running.together import run_together
from edge.cli.tally import emit_figures, say_tables
from edge.media.source import Losses
from edge.model import Model
from edge.pipeline import Pipeline
from runtimes.base import Outputs as Tensors
from runtimes.errors import InputError, OutputError, SourceError, TargetExistsError
from runtimes.fake import FakeSession

POSE = pose_spec(16)
DETECTOR = detector_spec((64, 48), score=0.3)
RING = np.linspace(0, 2 * np.pi, 17, endpoint=False)


def pose_of(feeds: Tensors) -> Tensors:
    """A ring of keypoints in each crop."""
    ring = np.stack([0.5 + 0.4 * np.sin(RING), 0.5 + 0.4 * np.cos(RING), np.ones(17)], axis=1)
    return {"yxs": np.tile(ring.astype(np.float32), (len(feeds["image"]), 1, 1, 1))}


def box_of(feeds: Tensors) -> Tensors:
    """One person whose place follows from the brightness of the frame: results of two frames differ."""
    left = float(feeds["image"].mean()) / 8
    dets = np.array([[[left, 4, left + 16, 40, 0.9]]], np.float32)
    return {"dets": dets, "labels": np.zeros((1, 1), np.int64)}


def setup_of(outputs: Outputs, *, force: bool = False) -> Setup:
    models = (Model(POSE, FakeSession(pose_of)), Model(DETECTOR, FakeSession(box_of)))
    return Setup(Pipeline(*models, skip=2), outputs, force, 0.3, "", emit_figures)


def film(path: Path, brightness: Sequence[int]) -> str:
    path.parent.mkdir(exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for value in brightness:
        writer.write(np.full((48, 64, 3), value, np.uint8))
    writer.release()
    return str(path)


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Four clips of different lengths, and a file that is none."""
    for number in range(4):
        film(tmp_path / "clips" / f"c{number}.avi", range(20 * number, 20 * number + 3 + number))
    (tmp_path / "clips/bad.avi").write_bytes(bytes(100))
    return tmp_path / "clips"


def outputs_in(folder: Path) -> Outputs:
    return Outputs(out=folder, coco=folder, openpose=folder / "op", csv=folder, jsonl=folder)


def contents(folder: Path) -> dict[str, bytes]:
    """Bytes of all files, those of videos aside: their encoder writes no time, but is not ours."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def run(
    sources: Sequence[str | Path],
    outputs: Outputs,
    shard: Shard | None = None,
    *,
    force: bool = False,
) -> int:
    plan = plan_run([str(each) for each in sources], shard)
    check_many(plan, outputs, show=False, force=force)
    return run_many(setup_of(outputs, force=force), plan)


def test_shards_together_write_what_one_process_writes(clips: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="1 of 5 sources failed: bad; their lines above say why"):
        run([clips], outputs_in(tmp_path / "whole"))
    for index in (3, 1, 2):
        with suppress(SourceError):
            run([clips], outputs_in(tmp_path / "shared"), Shard(index, 3))
    whole = contents(tmp_path / "whole")
    assert whole == contents(tmp_path / "shared")
    assert {f"c{n}{s}" for n in range(4) for s in (".mp4", ".json", ".jsonl", ".csv")} <= set(whole)
    lines = (tmp_path / "whole/c2.jsonl").read_text().splitlines()
    assert [json.loads(line)["frame"] for line in lines] == list(range(5))


def test_several_at_once_write_what_each_writes_alone(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Detection on every second frame: people of one source must not be followed in another."""
    with pytest.raises(SourceError):
        run([clips], outputs_in(tmp_path / "alone"))
    sources = [clips / "bad.avi", *(clips / f"c{number}.avi" for number in (2, 0, 3, 1))]
    capsys.readouterr()
    with pytest.raises(SourceError, match="1 of 5 sources failed: bad"):
        run(sources, outputs_in(tmp_path / "together"))
    assert contents(tmp_path / "together") == contents(tmp_path / "alone")
    figures = json.loads(capsys.readouterr().out)
    assert figures["frames"] == 3 + 4 + 5 + 6
    rows = [(row["name"], row["status"], row["frames"]) for row in figures["sources"]]
    assert rows == [
        ("bad", "failed", 0),
        *(("c2", "done", 5), ("c0", "done", 3), ("c3", "done", 6), ("c1", "done", 4)),
    ]
    assert str(clips / "bad.avi") in figures["sources"][0]["error"]


def test_json_lines_of_several_sources_share_a_file(clips: Path, tmp_path: Path) -> None:
    outputs = Outputs(None, None, None, None, tmp_path / "all.jsonl")
    assert run([clips / "c0.avi", clips / "c1.avi"], outputs) == 0
    lines = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    frames = {
        source: [line["frame"] for line in lines if line["source"] == source]
        for source in {line["source"] for line in lines}
    }
    assert frames == {
        str(clips / "c0.avi"): [0, 1, 2],
        str(clips / "c1.avi"): [0, 1, 2, 3],
    }
    with pytest.raises(TargetExistsError, match=r"all\.jsonl exists"):
        run([clips / "c0.avi", clips / "c1.avi"], outputs)


def test_several_sources_are_served_apart_beside_lines_on_stdout(
    clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each has its frames and its end in the preview; stdout has JSON lines and nothing else."""
    pytest.importorskip("uvicorn")
    from edge.media.preview import Preview

    sources = [str(clips / "c0.avi"), str(clips / "c3.avi")]
    outputs = Outputs(None, None, None, None, Path("-"))
    plan = plan_run(sources, None)
    check_many(plan, outputs, show=False, force=False)
    with Preview("0") as preview:
        setup = replace(setup_of(outputs), preview=preview, emit=say_tables)
        assert run_many(setup, plan) == 0
        with closing(HTTPConnection("127.0.0.1", preview.address.port, timeout=60)) as viewer:
            viewer.request("GET", "/api/state")
            state = json.load(viewer.getresponse())
    shown = {each["source"]: (each["frames"], each["ended"]) for each in state["sources"]}
    assert shown == {sources[0]: (3, True), sources[1]: (6, True)}
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sorted((line["source"], line["frame"]) for line in lines) == [
        *((sources[0], frame) for frame in range(3)),
        *((sources[1], frame) for frame in range(6)),
    ]


def test_what_is_finished_is_not_run_again(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = outputs_in(tmp_path / "out")
    (clips / "bad.avi").unlink()
    run([clips], out)
    whole = contents(tmp_path / "out")
    (tmp_path / "out/c1.csv").unlink()
    (tmp_path / "out/c3.mp4").unlink()
    (tmp_path / "out/c2.json").write_text("mine")
    (tmp_path / "out/c1.jsonl.part").write_text("of a killed process")
    capsys.readouterr()
    assert run([clips], out) == 0
    figures = json.loads(capsys.readouterr().out)
    statuses = {row["name"]: row["status"] for row in figures["sources"]}
    assert statuses == {"c0": "skipped", "c1": "done", "c2": "skipped", "c3": "done"}
    assert figures["frames"] == 4 + 6
    again = contents(tmp_path / "out")
    assert again.pop("c2.json") == b"mine"
    assert again.pop("c1.jsonl.part") == b"of a killed process"
    assert again == {name: data for name, data in whole.items() if name != "c2.json"}
    assert run([clips], out, force=True) == 0
    assert (tmp_path / "out/c2.json").read_bytes() == whole["c2.json"]


def test_a_full_disk_ends_a_batch_and_keeps_what_is_finished(clips: Path, tmp_path: Path) -> None:
    out = Outputs(None, None, None, None, tmp_path / "out")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/c1.jsonl.part").symlink_to("/dev/full")
    (clips / "bad.avi").unlink()
    with pytest.raises(OutputError, match="No space left"):
        run([clips], out)
    assert [path.name for path in (tmp_path / "out").glob("*.jsonl")] == ["c0.jsonl"]
    (tmp_path / "out/c1.jsonl.part").unlink()
    assert run([clips], out) == 0
    assert len(list((tmp_path / "out").glob("*.jsonl"))) == 4


@pytest.fixture
def heeded() -> Iterator[None]:
    """Ctrl-C interrupts, even where the shell that started the tests ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded")
def test_ctrl_c_keeps_finished_files_and_no_half_ones(clips: Path, tmp_path: Path) -> None:
    """The signal comes in the third frame of the second file, in its second detection."""
    frames = []

    def box_and_signal(feeds: Tensors) -> Tensors:
        frames.append(None)
        if len(frames) == 2 + 2:
            signal.raise_signal(signal.SIGINT)
        return box_of(feeds)

    (clips / "bad.avi").unlink()
    out = outputs_in(tmp_path / "out")
    setup = setup_of(out)
    models = (setup.pipeline.pose, Model(DETECTOR, FakeSession(box_and_signal)))
    setup = Setup(Pipeline(*models, skip=2), out, False, 0.3, "", emit_figures)
    assert run_many(setup, plan_run([str(clips)], None)) == 130
    kept = {path.name for path in (tmp_path / "out").iterdir()}
    assert kept == {"c0.mp4", "c0.json", "c0.csv", "c0.jsonl", "op", "c1.jsonl.part"}
    assert [path.name for path in (tmp_path / "out/op").iterdir()] == ["c0"]
    assert run([clips], out) == 0
    whole = outputs_in(tmp_path / "whole")
    run([clips], whole)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.usefixtures("heeded")
def test_ctrl_c_says_which_sources_were_interrupted(clips: Path, capsys) -> None:
    """The signal comes in the 40th detection of both: c0 has three frames, and queues hold few."""
    frames = []

    def box_and_signal(feeds: Tensors) -> Tensors:
        frames.append(None)
        if len(frames) == 40:
            signal.raise_signal(signal.SIGINT)
        return box_of(feeds)

    setup = setup_of(Outputs(None, None, None, None, None))
    models = (setup.pipeline.pose, Model(DETECTOR, FakeSession(box_and_signal)))
    setup = replace(setup, pipeline=Pipeline(*models))
    long = film(clips / "long.avi", range(100))
    assert run_many(setup, plan_run([str(clips / "c0.avi"), long], None)) == 130
    rows = json.loads(capsys.readouterr().out)["sources"]
    assert {row["name"]: row["status"] for row in rows} == {"c0": "done", "long": "interrupted"}


def test_times_that_streams_were_lost_are_summed(capsys) -> None:
    named = [NamedSource(each, each, each) for each in "ab"]
    reports = [SourceReport(each, "done", losses=Losses(reconnects=2)) for each in named]
    report_sources(setup_of(Outputs(None, None, None, None, None)), reports)
    assert json.loads(capsys.readouterr().out)["reconnects"] == 4


def test_a_source_is_never_replaced_by_its_own_results(tmp_path: Path) -> None:
    own = Path(film(tmp_path / "own.avi", [1, 2]))
    (tmp_path / "link.jsonl").symlink_to(own)
    (tmp_path / "hard.jsonl").hardlink_to(own)
    for lines in ("own.avi", "link.jsonl", "hard.jsonl"):
        with pytest.raises(InputError, match="would be replaced"):
            check_spares(Outputs(None, None, None, None, tmp_path / lines), str(own))
    for folder in (tmp_path, tmp_path.parent):
        with pytest.raises(InputError, match="would be replaced"):
            check_spares(Outputs(None, None, folder, None, None), str(own))
    beside = Outputs(tmp_path / "own.mp4", None, tmp_path / "own", None, Path("-"))
    check_spares(beside, str(own))
    check_spares(Outputs(None, None, None, None, Path("-")), "-")


def test_an_output_is_not_written_into_the_directory_of_another(tmp_path: Path) -> None:
    """The directory is put in place as a whole, over what was written into it meanwhile."""
    inside = tmp_path / "op/table.csv"
    for outputs in (
        Outputs(None, None, tmp_path / "op", inside, None),
        Outputs(tmp_path / "op", inside, None, None, None),
        Outputs(tmp_path / "op", None, inside.parent / "deep", None, None),
    ):
        with pytest.raises(InputError, match="lies in"):
            outputs.check(force=True)
    Outputs(tmp_path / "op", None, tmp_path / "op2", tmp_path / "op.csv", Path("-")).check(
        force=True
    )


def test_a_missing_or_readonly_directory_is_refused_before_work(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="create the folder first"):
        Outputs(tmp_path / "no/o.mp4", None, None, None, None).check_parents()
    Outputs(tmp_path / "o.mp4", None, None, None, Path("/dev/null")).check_parents()
    with pytest.raises(InputError, match="name a target in another folder"):
        Outputs(None, Path("/proc/o.json"), None, None, None).check_parents()


def test_what_came_before_a_pipe_broke_off_is_kept(tmp_path: Path, monkeypatch) -> None:
    frame = b"FRAME\n" + bytes(64 * 48 * 3 // 2)
    data = b"YUV4MPEG2 W64 H48 F10:1 C420\n" + 3 * frame + b"damage\n" + frame
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    outputs = Outputs(tmp_path / "o.avi", tmp_path / "o.json", None, None, None)
    with pytest.raises(SourceError, match="does not begin with FRAME"):
        run_one(setup_of(outputs), "-", show=False)
    assert {row["frame"] for row in json.loads((tmp_path / "o.json").read_text())} == {0, 1, 2}
    assert cv2.VideoCapture(str(tmp_path / "o.avi")).get(cv2.CAP_PROP_FRAME_COUNT) == 3


def test_none_that_can_be_opened_is_an_error(tmp_path: Path) -> None:
    outputs = Outputs(None, tmp_path / "out", None, None, None)
    plan = plan_run([str(tmp_path / "a.mp4"), str(tmp_path / "b.mp4")], None)
    with pytest.raises(SourceError, match=r"no such file or directory: .*a\.mp4"):
        run_together(setup_of(outputs), plan.sources)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        (Outputs(Path("o.mp4"), None, None, None, None), "--out o.mp4 is one file"),
        (Outputs(None, Path("o.json"), None, None, None), "--save-json o.json is one file"),
        (Outputs(None, None, None, Path("o.csv"), None), "--save-csv o.csv is one file"),
        (Outputs(None, None, Path("file"), None, None), "--save-openpose file is one file"),
        (Outputs(Path("d"), None, Path("d"), None, None), None),
        (Outputs(Path("clips"), None, None, None, None), "would be replaced by its result"),
        (Outputs(None, None, None, None, Path("clips/a.mp4")), "would be replaced|is one file"),
    ],
)
def test_files_for_several_sources_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outputs: Outputs, said: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    sources = [film(Path("clips") / f"{name}.mp4", [1]) for name in "ab"]
    for asked in (sources, ["clips"]):
        plan = plan_run(asked, None)
        if said is None:
            check_many(plan, outputs, show=False, force=False)
            continue
        with pytest.raises(InputError, match=said):
            check_many(plan, outputs, show=False, force=False)
    assert {path.name for path in tmp_path.iterdir()} == {"file", "clips"}


@pytest.mark.parametrize("lines", [Path("-"), Path("o.jsonl"), None])
def test_a_batch_needs_a_directory(tmp_path: Path, lines: Path | None) -> None:
    film(tmp_path / "a.avi", [1])
    plan = plan_run([str(tmp_path)], None)
    with pytest.raises(InputError, match=r"name a directory|add --save-jsonl DIR"):
        check_many(plan, Outputs(None, None, None, None, lines), show=False, force=False)


def test_a_window_shows_one_source(tmp_path: Path) -> None:
    plan = plan_run(["a.mp4", "b.mp4"], None)
    outputs = Outputs(None, None, None, None, None)
    with pytest.raises(InputError, match="--show shows one source"):
        check_many(plan, outputs, show=True, force=False)
