"""bench, tune and compare as they are typed: exit codes, what goes where, and nothing left behind."""

import json
import signal
import time
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from edge.bench.record import BenchRow, read_run
from edge.evaluation.summary import EvalResult
from runtimes.base import RunOptions

QUICK = ("--rounds", 2, "--time", 0.002)


@pytest.fixture(scope="module")
def plain(small_artifact, tmp_path_factory) -> Path:
    return small_artifact(tmp_path_factory.mktemp("art") / "small.onnxruntime-fp32").root


@pytest.fixture(scope="module")
def half(small_artifact, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("art")
    return small_artifact(folder / "small.onnxruntime-fp16", precision="fp16").root


@pytest.fixture(scope="module")
def run_json(edgepose, plain, half, tmp_path_factory) -> Path:
    """What a bench of two artifacts left."""
    path = tmp_path_factory.mktemp("run") / "run.json"
    done = edgepose("bench", plain, half, "--threads", "1", *QUICK, "--out", path)
    assert done.code == 0, done.err
    return path


def slower(path: Path, to: Path, factor: float) -> Path:
    """Write a run whose p90 are `factor` times those of another."""
    run = read_run(path)
    rows = [msgspec.structs.replace(row, p90_ms=row.p90_ms * factor) for row in run.rows]
    to.write_bytes(msgspec.json.encode(msgspec.structs.replace(run, rows=tuple(rows))))
    return to


def test_bench_gives_rows_as_json_a_file_and_a_page(edgepose, plain, half, tmp_path) -> None:
    out, html = tmp_path / "run.json", tmp_path / "report.html"
    done = edgepose(
        *("bench", plain, half, "--threads", "1,2", *QUICK),
        *("--out", out, "--html", html, "--json"),
    )
    assert done.code == 0, done.err
    rows = msgspec.json.decode(done.out, type=list[BenchRow])
    assert [(row.artifact, row.threads) for row in rows] == [
        (plain.name, 1),
        (plain.name, 2),
        (half.name, 1),
        (half.name, 2),
    ]
    assert tuple(rows) == read_run(out).rows
    assert plain.name in html.read_text()
    assert done.talk[-3:] == [
        f"wrote {out}",
        f"wrote {html}",
        f"next: edgepose compare {out} OTHER.json",
    ]


def test_bench_prints_a_table_with_what_is_in_effect(edgepose, plain) -> None:
    done = edgepose("bench", plain, "--precision", "bf16", "--threads", "1", *QUICK)
    assert done.code == 0
    header, line = done.out.splitlines()
    assert header.split()[:3] == ["artifact", "arithmetic", "threads"]
    assert "f32 (asked bf16)" in line  # ONNX Runtime has no bf16 on a CPU
    assert header.endswith("engine")
    assert line.endswith("CPUExecutionProvider")
    assert done.talk[-1] == f"next: edgepose tune {plain}"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "ARTIFACTS"),
        (["gone"], "gone: no artifact there"),
        (["PLAIN", "PLAIN"], "named twice"),
        (["PLAIN", "--threads", "0"], "--threads wants whole numbers from 1"),
        (["PLAIN", "--threads", "2,257"], "--threads wants whole numbers from 1 to 256"),
        (["PLAIN", "--threads", "1,two"], "--threads wants whole numbers from 1"),
        (["PLAIN", "--threads", ""], "--threads wants whole numbers from 1"),
        (["PLAIN", "--precision", "f64"], "f64"),
        (["PLAIN", "--rounds", "0"], "--rounds"),
        (["PLAIN", "--time", "0"], "--time"),
        (["PLAIN", "--tier", "rapid", "--time", "3"], "--tier rapid sets the length"),
        (["PLAIN", "--iterations", "3", "--time", "3"], "--iterations sets the length"),
        (["PLAIN", "--iterations", "3", "--tier", "quick"], "leave one out"),
        (["PLAIN", "--tier", "sustained", "--rounds", "3"], "leave out --rounds"),
        (["PLAIN", "--minutes", "3"], "add that"),
        (["PLAIN", "--tier", "slow"], "slow"),
        (["PLAIN", "--accelerator", "npu"], "npu"),
        (["PLAIN", "--accelerator", "npu"], "pip install onnxruntime-qnn"),
        (["PLAIN", "--engine-option", "provider"], "--engine-option wants NAME=VALUE"),
        (["PLAIN", "--engine-option", "a=1", "--engine-option", "a=2"], "each name once"),
        (["PLAIN", "--engine-option", "provider=cuda"], "use --accelerator gpu"),
        (["PLAIN", "--engine-option", "winograd=0"], "onnxruntime has no option winograd"),
        (["PLAIN", "--engine-option", "spinning=7"], "option spinning is 0 or 1, not 7"),
        (
            ["PLAIN", "--engine-option", "provider.foo=1"],
            "option provider.foo: the provider cpu takes none",
        ),
        (
            ["PLAIN", "--engine-option", "spinning=0", "--layers"],
            "not with --engine-option spinning",
        ),
        (["PLAIN", "--engine-option", "a=1", "--remote", "ssh:b"], "leave it out with --remote"),
        (["PLAIN", "--out", "."], "is a directory"),
        (["PLAIN", "--out", "taken"], "taken exists; add --force"),
        (["PLAIN", "--out", "no/where.json"], "is no directory"),
        (["PLAIN", "--out", "x", "--html", "x"], "same target"),
        (["taken"], "no artifact there"),
    ],
)
def test_bench_refuses_wrong_use_in_one_line(
    edgepose, plain, tmp_path, monkeypatch, args, said
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("taken").write_text("mine")
    done = edgepose("bench", *(plain if arg == "PLAIN" else arg for arg in args))
    assert done.code == 2
    assert said in done.message
    assert Path("taken").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_bench_runs_as_often_as_asked(edgepose, plain) -> None:
    done = edgepose("bench", plain, "--threads", "1", "--iterations", "64", "--json")
    assert done.code == 0, done.err
    (row,) = done.json
    assert row["runs"] == 64
    assert row["min_ms"] <= row["p10_ms"] <= row["p50_ms"] <= row["p90_estimate_ms"]
    assert row["first_ms"] > 0
    assert "measured: 64 runs a row in 10 rounds, after a warm-up of 10 runs or more" in done.err


@pytest.mark.slow
def test_bench_of_a_sustained_load(edgepose, plain, tmp_path) -> None:
    out = tmp_path / "run.json"
    arguments = ("--threads", "1", "--tier", "sustained", "--minutes", 0.002, "--out", out)
    done = edgepose("bench", plain, *arguments)
    assert done.code == 0, done.err
    assert {"burst", "steady"} <= set(done.out.split())
    run = read_run(out)
    assert (run.tier, run.rounds, run.window_s) == ("sustained", 1, 0.12)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((40, 30, 3), 80 * number, np.uint8))
    return folder


def test_bench_of_a_pipeline_has_every_stage(edgepose, plain, pictures, tmp_path) -> None:
    """Seven frames of three pictures, each one person: the whole frame."""
    out, html = tmp_path / "run.json", tmp_path / "report.html"
    done = edgepose(
        *("bench", "--pipeline", pictures, "--pose", plain, "--threads", "1", "--warmup", 1),
        *("--iterations", 7, "--out", out, "--html", html, "--json"),
    )
    assert done.code == 0, done.err
    (row,) = done.json
    assert (row["runs"], row["detector_calls"], row["people"]) == (7, 0, 1.0)
    assert (row["source"], row["pose"], row["skip"]) == (str(pictures), plain.name, "1")
    stages = {each["stage"]: each for each in row["stages"]}
    assert list(stages) == ["load", "detect", "transform", "pose", "post"]
    assert [each["runs"] for each in stages.values()] == [7, 0, 7, 7, 7]
    assert sum(each["mean_ms"] for each in stages.values()) == pytest.approx(row["mean_ms"])
    assert row["fps"] > 0
    run = read_run(out)
    assert (run.rows, run.iterations) == ((), 7)
    assert html.read_text().count("<svg") == 2
    assert "measured: 7 runs a row, after" in done.err
    table = edgepose("compare", out)
    assert plain.name in table.out
    assert edgepose("compare", out, "--json").json[0]["run"] == "run"


def test_pipelines_are_compared_too(edgepose, plain, pictures, tmp_path) -> None:
    out, other = tmp_path / "run.json", tmp_path / "other.json"
    arguments = ("--pose", plain, "--iterations", 2, "--warmup", 1, "--out", out)
    assert edgepose("bench", "--pipeline", pictures, *arguments).code == 0
    run = read_run(out)
    (row,) = run.pipelines
    slow = msgspec.structs.replace(row, p90_ms=row.p90_ms * 1.2)
    other.write_bytes(msgspec.json.encode(msgspec.structs.replace(run, pipelines=(slow,))))
    done = edgepose("compare", out, other, "--fail-on", "p90:+10%")
    assert done.code == 3
    assert f"worse: {plain.name}" in done.err
    assert edgepose("compare", out, other, "--fail-on", "p90:+30%").code == 0


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["PLAIN", "--pipeline", "PICTURES"], "either ARTIFACTS, or --pipeline"),
        (["PLAIN", "--pose", "PLAIN"], "add --pipeline SOURCE"),
        (["PLAIN", "--skip", "5"], "add --pipeline SOURCE"),
        (
            ["--pipeline", "PICTURES", "--pose", "PLAIN", "--threads", "1,2"],
            "one number of --threads",
        ),
        (["--pipeline", "PICTURES", "--pose", "PLAIN", "--skip", "0"], "--skip wants"),
        (
            ["--pipeline", "PICTURES", "--pose", "PLAIN", "--tier", "sustained"],
            "leave out --pipeline",
        ),
        (["--pipeline", "gone.mp4", "--pose", "PLAIN"], "gone.mp4"),
        (
            ["--pipeline", "PICTURES", "--pose", "PLAIN", "--detector", "PLAIN"],
            "pipeline's detector",
        ),
    ],
)
def test_bench_of_a_pipeline_refuses_wrong_use(edgepose, plain, pictures, args, said) -> None:
    known = {"PLAIN": plain, "PICTURES": pictures}
    done = edgepose("bench", *(known.get(arg, arg) for arg in args))
    assert done.code == 2
    assert said in done.message


@pytest.mark.parametrize("verb", ["bench", "tune"])
def test_a_missing_engine_is_named_before_anything_else(process, plain, tmp_path, verb) -> None:
    done = process(verb, plain, hidden=("onnxruntime",), cwd=tmp_path)
    assert done.code == 4
    assert "run: pip install 'edgepose[onnxruntime]'" in done.message


def children(pid: int) -> list[int]:
    return [
        int(child)
        for path in Path(f"/proc/{pid}/task").glob("*/children")
        for child in path.read_text().split()
    ]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_ctrl_c_ends_the_workers_too(start, plain, tmp_path) -> None:
    out = tmp_path / "run.json"
    bench = start("bench", plain, "--threads", "1,2", "--time", 600, "--out", out)
    try:
        workers: list[int] = []
        limit = time.monotonic() + 300
        while len(workers) < 2 and time.monotonic() < limit and bench.poll() is None:
            time.sleep(0.05)
            workers = children(bench.pid)
        assert len(workers) == 2
        bench.send_signal(signal.SIGINT)
        _, err = bench.communicate(timeout=300)
    finally:
        bench.kill()
    assert bench.returncode == 130
    assert "Traceback" not in err
    # One that was just being started ends when it sees its closed stdin.
    limit = time.monotonic() + 60
    while any(map(alive, workers)) and time.monotonic() < limit:
        time.sleep(0.05)
    assert not any(map(alive, workers))
    assert list(tmp_path.iterdir()) == []


def test_tune_keeps_its_choice_beside_the_files(edgepose, small_artifact, tmp_path) -> None:
    import edge

    root = small_artifact(tmp_path / "small.onnxruntime-fp32").root
    done = edgepose("tune", root, "--threads", "1", *QUICK, "--under-load", "--json")
    assert done.code == 0, done.err
    found = done.json
    assert found["file"] == str(root / "tuned.json")
    assert (found["tuned"]["threads"], found["tuned"]["precision"]) == (1, "f32")
    assert found["chosen"] == found["rows"][0]
    assert found["refused"] == []
    assert len(found["rows"]) == 1  # f16 and bf16 come out as f32, and are no rows
    assert edge.load_tuned(root) == RunOptions(threads=1)
    assert done.talk[-2] == f"wrote {root / 'tuned.json'}"
    assert done.talk[-1].startswith(f"next: edgepose verify {root} --threads 1 --precision f32")
    assert edgepose("verify", root).code == 0
    assert "tried: threads 1; arithmetic f32; accelerator cpu; not supported here: f16" in done.err


@pytest.mark.slow
def test_tuned_options_are_used_where_asked_for(edgepose, small_artifact, tmp_path) -> None:
    import edge

    root = small_artifact(tmp_path / "small.onnxruntime-fp32").root
    for verb in (["bench", root, *QUICK], ["run", "synth", "--pose", root]):
        done = edgepose(*verb, "--tuned")
        assert done.code == 2
        assert f"run `edgepose tune {root}` first" in done.message
    with pytest.raises(edge.InputError, match="edgepose tune"):
        edge.load(root, tuned=True)
    assert edgepose("tune", root, "--threads", "2", *QUICK, "--under-load").code == 0
    done = edgepose("bench", root, "--tuned", *QUICK, "--json")
    assert done.code == 0, done.err
    assert [row["asked_threads"] for row in done.json] == [2]
    with edge.load(root, tuned=True) as model:
        assert model.session.effective.threads == 2
    for asked in ({"threads": 1}, {"precision": "bf16"}):
        with pytest.raises(edge.InputError, match="leave those out"):
            edge.load(root, tuned=True, **asked)
    assert edgepose("bench", root, "--tuned", "--threads", "1", *QUICK).code == 2


def test_tune_refuses_what_drifts_and_says_why(edgepose, small_artifact, tmp_path) -> None:
    bad = small_artifact(tmp_path / "small.onnxruntime-int8", swapped=True, precision="int8").root
    done = edgepose("tune", bad, "--threads", "1", *QUICK, "--under-load")
    assert done.code == 3
    assert "drifts from the reference" in done.err
    assert not (bad / "tuned.json").exists()


def test_tune_takes_one_model_at_a_time(edgepose, plain, small_artifact, tmp_path) -> None:
    other = small_artifact(tmp_path / "other", model="other").root
    done = edgepose("tune", plain, other)
    assert done.code == 2
    assert "one model at a time" in done.message


def test_compare_puts_speed_and_accuracy_side_by_side(edgepose, run_json, plain, tmp_path) -> None:
    figures = dict.fromkeys(
        ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL"), 0.5
    )
    result = EvalResult(artifact=plain.name, iou_type="keypoints", images=3, people=4, **figures)
    (tmp_path / "eval.json").write_bytes(msgspec.json.encode(result))
    html = tmp_path / "report.html"
    done = edgepose("compare", run_json, tmp_path / "eval.json", "--html", html, "--json")
    assert done.code == 0
    first, second = done.json
    assert (first["artifact"], first["ap"], first["px_p95"]) == (plain.name, 0.5, 0.01)
    assert second["ap"] is None
    assert second["speedup"] > 0
    assert "<svg" in html.read_text()
    assert done.talk[-2:] == [f"wrote {html}", f"next: open {html}"]
    table = edgepose("compare", run_json)
    assert len(table.out.splitlines()) == 3


@pytest.mark.parametrize(("factor", "code"), [(1.0, 0), (1.05, 0), (1.2, 3), (0.5, 0)])
def test_compare_fails_on_what_became_worse(edgepose, run_json, tmp_path, factor, code) -> None:
    other = slower(run_json, tmp_path / "other.json", factor)
    done = edgepose("compare", run_json, other, "--fail-on", "p90:+10%")
    assert done.code == code
    assert ("worse: small.onnxruntime-fp32" in done.err) is (code == 3)
    assert "+20.0%" in done.out or factor != 1.2


def test_compare_fails_where_a_row_is_gone(edgepose, run_json, half, tmp_path) -> None:
    other, run = tmp_path / "other.json", read_run(run_json)
    rows = tuple(row for row in run.rows if row.artifact != half.name)
    other.write_bytes(msgspec.json.encode(msgspec.structs.replace(run, rows=rows)))
    done = edgepose("compare", run_json, other, "--fail-on", "p50:+10%")
    assert done.code == 3
    assert f"not judged: {half.name} " in done.err
    assert "worse" not in done.err
    assert edgepose("compare", other, run_json, "--fail-on", "p50:+10%").code == 0


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "FILES"),
        (["gone.json"], "gone.json: cannot be read"),
        (["RUN", "RUN"], "named twice"),
        (["RUN", "--fail-on", "p90:+10%"], "needs two runs"),
        (["RUN", "OTHER", "--fail-on", "p90"], "--fail-on wants FIGURE:+N%"),
        (["RUN", "OTHER", "--fail-on", "p90:+10%"], "no row in common"),
        (["noise.json"], "noise.json: neither a RUN.json"),
        (["RUN", "--html", "noise.json"], "noise.json exists; add --force"),
    ],
)
def test_compare_refuses_wrong_use(edgepose, run_json, tmp_path, monkeypatch, args, said) -> None:
    monkeypatch.chdir(tmp_path)
    Path("noise.json").write_text(json.dumps({"a": 1}))
    run = read_run(run_json)
    rows = [msgspec.structs.replace(row, artifact="another") for row in run.rows]
    other = msgspec.structs.replace(run, rows=tuple(rows))
    Path("other.json").write_bytes(msgspec.json.encode(other))
    known = {"RUN": run_json, "OTHER": "other.json"}
    done = edgepose("compare", *(known.get(arg, arg) for arg in args))
    assert done.code == 2
    assert said in done.message
    assert {path.name for path in tmp_path.iterdir()} == {"noise.json", "other.json"}


def test_bench_times_layers_beside_the_rows(edgepose, plain, tmp_path) -> None:
    out, html = tmp_path / "run.json", tmp_path / "report.html"
    done = edgepose(
        *("bench", plain, "--layers", "--threads", "1", *QUICK, "--out", out, "--html", html)
    )
    assert done.code == 0, done.err
    (row,) = read_run(out).rows
    # the graph that was written: a cast, a transpose, a convolution; ONNX Runtime may fuse, or reorder
    assert sum("Conv" in each.kind for each in row.layers) == 1
    slowest = max(row.layers, key=lambda each: each.ms).name
    assert slowest in done.out
    assert slowest in html.read_text()
    assert f"Slowest layers of {plain.name}" in html.read_text()


def test_layers_are_of_the_cpu(edgepose, plain) -> None:
    done = edgepose("bench", plain, "--layers", "--accelerator", "gpu")
    assert (done.code, done.out) == (2, "")
    assert "onnxruntime tells the time of layers on the CPU alone" in done.message
    assert "not with --accelerator gpu: leave out --layers, or that option" in done.message


def test_layers_are_of_this_machine(edgepose, plain) -> None:
    done = edgepose("bench", plain, "--layers", "--remote", "ssh:board")
    assert (done.code, done.out) == (2, "")
    assert "leave it out with --remote" in done.message
