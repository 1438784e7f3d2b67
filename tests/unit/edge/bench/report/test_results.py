"""The side-by-side table: what is put beside what, and the page, whatever names the files hold."""

import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from edge.bench.figures import figures
from edge.bench.record import BenchRow, BenchRun, read_run
from edge.bench.report.columns import PAGE, score_tables
from edge.bench.report.html import page
from edge.bench.report.results import LabelledResult, read_results, report_rows
from edge.evaluation.summary import FIGURES, EvalResult, ProtocolResult
from runtimes.errors import InputError

NASTY = "<script>alert('x')</script>&\"-fp32"


RUN = read_run(Path(__file__).parents[4] / "data/run.json")


def row(artifact: str, precision: str = "fp32", p50_ms: float = 2.0, **fields: object) -> BenchRow:
    times = {"p50_ms": p50_ms, "p90_ms": p50_ms * 1.5, "round_p50_ms": (p50_ms,)}
    kind = {"artifact": artifact, "precision": precision, "runtime": "ncnn"}
    return msgspec.structs.replace(RUN.rows[0], **kind, **times, **fields)


def run(*rows: BenchRow) -> BenchRun:
    machine = msgspec.structs.replace(RUN.machine, cpu_model="<b>CPU</b>")
    return msgspec.structs.replace(RUN, rows=rows, machine=machine)


def result(artifact: str, ap: float | None, images: int = 80) -> EvalResult:
    figures = dict.fromkeys(FIGURES, ap)
    return EvalResult(artifact=artifact, iou_type="keypoints", images=images, people=86, **figures)


def test_accuracy_stands_beside_the_time_of_the_same_artifact() -> None:
    results = [
        LabelledResult("r", run(row("m.ncnn-fp16", "fp16"), row("m.ncnn-fp32"))),
        LabelledResult("e", result("m.ncnn-fp16", 0.70)),
        LabelledResult("e", result("m.ncnn-fp32", 0.72)),
        LabelledResult("e", result("torch", 0.73)),
    ]
    half, full, torch = report_rows(results)
    assert (half.ap, full.ap, torch.ap) == (0.70, 0.72, 0.73)
    # against the fp32 artifact, which is not the first
    assert half.ap_drop == pytest.approx(0.02)
    assert full.ap_drop is None
    assert (torch.bench, torch.run) == (None, "e")
    assert torch.to_dict()["p50_ms"] is None


def test_ap_of_other_pictures_is_no_drop() -> None:
    results = [
        LabelledResult("a", result("m.ncnn-fp32", 0.72, images=80)),
        LabelledResult("b", result("m.ncnn-fp16", 0.30, images=5000)),
        LabelledResult("b", result("m.ncnn-int8", 0.29, images=5000)),
    ]
    rows = {each.artifact: each.ap_drop for each in report_rows(results)}
    assert rows["m.ncnn-fp16"] is None
    assert rows["m.ncnn-int8"] == pytest.approx(0.01)


def test_an_artifact_evaluated_twice_keeps_both() -> None:
    results = [
        LabelledResult("r", run(row("m"))),
        LabelledResult("before", result("m", 0.7)),
        LabelledResult("after", result("m", 0.6)),
    ]
    assert [(each.run, each.ap) for each in report_rows(results)] == [("r", 0.7), ("after", 0.6)]


def test_figures_of_other_protocols_have_tables_of_their_own(tmp_path) -> None:
    """What `eval --json` prints of depth and PCKh, one file with both artifacts and one alone."""
    depth = [
        ProtocolResult(artifact=name, protocol="depth", figures={"RMSE": rmse, "d1": d1}, images=7)
        for name, rmse, d1 in (("a.ncnn-fp32", 0.25, 0.75), ("a.ncnn-fp16", 0.5, None))
    ]
    pckh = ProtocolResult(
        artifact=NASTY, protocol="pckh", figures={"PCKh": 0.125}, images=3, people=4
    )
    for name, content in (("d", depth), ("p", pckh)):
        (tmp_path / f"{name}.json").write_bytes(msgspec.json.encode(content))
    results = [each for name in "dp" for each in read_results(tmp_path / f"{name}.json", name)]
    results.append(LabelledResult("e", result("m", 0.5)))
    rows = report_rows(results)
    assert [row.artifact for row in rows] == ["m", "a.ncnn-fp32", "a.ncnn-fp16", NASTY]
    assert [row.ap for row in rows] == [0.5, None, None, None]
    assert rows[1].to_dict()["figures"] == {"RMSE": 0.25, "d1": 0.75}
    assert (rows[0].to_dict()["protocol"], rows[0].to_dict()["figures"]) == (None, None)
    assert score_tables(rows) == [
        (
            "depth",
            ["run", "artifact", "images", "RMSE", "d1"],
            [
                ["d", "a.ncnn-fp32", "7", "0.2500", "0.7500"],
                ["d", "a.ncnn-fp16", "7", "0.5000", "-"],
            ],
        ),
        ("pckh", ["run", "artifact", "images", "PCKh"], [["p", NASTY, "3", "0.1250"]]),
    ]
    html = page(results)
    assert "0.7500" in html
    assert "<script>" not in html


def test_what_the_gate_recorded_is_taken_where_nothing_was_evaluated() -> None:
    gated = row("m", px_p95=0.04, ap=0.5, ap_on="val", passed=True)
    (found,) = report_rows([LabelledResult("r", run(gated))])
    assert (found.bench, found.ap, found.ap_on) == (gated, 0.5, "val")
    flat = found.to_dict()
    assert (flat["px_p95"], flat["ap"], flat["ap_on"], flat["passed"]) == (0.04, 0.5, "val", True)


def test_changes_are_against_the_same_row_of_the_first_run() -> None:
    before = run(row("m", p50_ms=2.0), row("n", p50_ms=1.0))
    after = run(row("m", p50_ms=3.0), row("m", p50_ms=9.0, threads=2))
    rows = report_rows([LabelledResult("a", before), LabelledResult("b", after)])
    assert [each.p50_change for each in rows] == [None, None, 0.5, None]
    assert rows[2].p90_change == pytest.approx(0.5)


def test_both_kinds_of_file_are_read(tmp_path) -> None:
    (tmp_path / "run.json").write_bytes(msgspec.json.encode(run(row("m"))))
    (tmp_path / "one.json").write_bytes(msgspec.json.encode(result("m", None)))
    (tmp_path / "two.json").write_bytes(msgspec.json.encode([result("m", 0.1), result("n", 0.2)]))
    assert read_results(tmp_path / "run.json", "r") == [LabelledResult("r", run(row("m")))]
    assert read_results(tmp_path / "one.json", "e") == [LabelledResult("e", result("m", None))]
    assert [each.label for each in read_results(tmp_path / "two.json", "e")] == ["e", "e"]


def test_files_of_earlier_versions_are_read() -> None:
    """run.json and eval.json are as edgepose wrote them before whole bodies were broken down."""
    data = Path(__file__).parents[4] / "data"
    results = [
        each for name in ("run", "eval") for each in read_results(data / f"{name}.json", name)
    ]
    (found,) = report_rows(results)
    assert (found.run, found.artifact, found.ap) == ("run", "small.onnxruntime-fp32", 0.5)
    assert found.bench == RUN.rows[0]
    assert found.bench.p50_ms == 2.0


@pytest.mark.parametrize(
    "text", ["", "{", "3", "{}", "[3]", '{"kind": "bench", "rows": []}', "\xff"]
)
def test_another_file_is_refused(tmp_path, text) -> None:
    (tmp_path / "x.json").write_text(text, "latin-1")
    with pytest.raises(InputError, match=r"x\.json"):
        read_results(tmp_path / "x.json", "x")


class Page(HTMLParser):
    """Collects the tags of a page and checks that each is closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        self.words.append(data)


def test_the_page_is_whole_and_takes_nothing_from_elsewhere() -> None:
    results = [
        LabelledResult("r", run(row("m.ncnn-fp32"), row("m.ncnn-fp16", "fp16"))),
        LabelledResult("e", result("m.ncnn-fp32", 0.7)),
        LabelledResult("e", result("m.ncnn-fp16", 0.69)),
    ]
    text = page(results)
    read = Page(text)
    assert read.open == []
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in read.tags}
    assert not re.search(r"https?://|@import|url\(", text)
    assert "prefers-color-scheme: dark" in text
    heads = [tag for tag, _ in read.tags if tag == "th"]
    cells = [tag for tag, _ in read.tags if tag == "td"]
    # nothing is known of px p95, there is no second run to compare with, and the run is of the first format
    unknown = {"px p95", "p90 change", "speedup", "RSS MB", "engine", "placement"}
    unknown |= {"floor ms", "over floor", "floor by"}
    unknown |= {
        "burst ms",
        "p10 ms",
        "p90 est ms",
        "steady",
        "first ms",
        "engine ms",
        "note",
        "others",
    }
    shown = len(PAGE) - len(unknown)
    assert (len(heads), len(cells)) == (shown, 2 * shown)
    assert not unknown & set(read.words)
    assert set(PAGE) - unknown <= set(read.words)
    assert [tag for tag, _ in read.tags].count("circle") == 2


def test_a_row_without_percentiles_is_drawn_by_its_mean() -> None:
    bare = msgspec.structs.replace(
        row("m.ncnn-fp32", px_p95=0.2),
        **dict.fromkeys(("p50_ms", "p90_ms", "p99_ms", "cpu_wall", "load_ms", "histogram")),
        mean_ms=7.25,
        note="weights are zero",
    )
    text = page([LabelledResult("r", run(bare)), LabelledResult("p", run(row("m.ncnn-fp32")))])
    assert "mean 7.25 ms (no percentiles)" in text
    assert "m.ncnn-fp32: mean 7.25 ms, 0.2" in text  # its point beside an accuracy
    assert "weights are zero" in Page(text).words


def test_a_row_that_others_slowed_says_why_it_is_not_valid() -> None:
    slowed = row("m.ncnn-fp32", cpu_wall=0.96, others=1.02, cpus=2, valid=False)
    words = Page(page([LabelledResult("r", run(slowed, row("m.ncnn-fp16", "fp16")))])).words
    assert {"others", "1.02", "NO", "other processes used 1.0 of 2 cores"} <= set(words)


def test_names_are_text_and_never_markup() -> None:
    results = [
        LabelledResult(NASTY, run(row(NASTY), row("plain"))),
        LabelledResult("e", result(NASTY, 0.7)),
    ]
    text = page(results)
    read = Page(text)
    assert "script" not in {tag for tag, _ in read.tags}
    assert "b" not in {tag for tag, _ in read.tags}  # the CPU's name
    assert read.words.count(NASTY) >= 2  # its cell, and the run's
    assert any("<b>CPU</b>" in words for words in read.words)


def headings(text: str) -> list[str]:
    return re.findall(r"<h2>([^<]*)</h2>", text)


def test_without_any_accuracy_the_picture_is_of_latency() -> None:
    text = page([LabelledResult("r", run(row("m"), row("n", p50_ms=3.0)))])
    assert headings(text) == ["Latency", "Table", "r"]
    assert text.count("<svg") == 1
    assert text.count('class="bar') == 6


def test_what_is_known_of_a_run_is_drawn() -> None:
    shown = figures([1_000_000, 2_000_000, 2_500_000]).histogram
    full = row("m", histogram=shown, px_p95=0.1)
    warm = msgspec.structs.replace(full, round_p50_ms=(1.0, 1.5, 1.5))
    text = page(
        [LabelledResult("r", msgspec.structs.replace(run(warm), tier="sustained", window_s=30))]
    )
    drawn = ["Accuracy and latency", "Latency", "Distribution", "Sustained load"]
    assert headings(text) == [*drawn, "Table", "r"]
    assert text.count("<svg") == 4
    # rounds of another tier are no curve over time
    plain = page([LabelledResult("r", run(warm))])
    assert headings(plain) == [*drawn[:3], "Table", "r"]


def test_figures_without_times_have_a_picture_too() -> None:
    judged = page([LabelledResult("e", result("m", 0.5)), LabelledResult("e", result("n", 0.6))])
    assert judged.count('class="bar') == 2
    pckh = ProtocolResult(
        artifact="m", protocol="pckh", figures={"PCKh": 0.125}, images=3, people=4
    )
    assert page([LabelledResult("p", pckh)]).count('class="bar') == 1


def test_other_figures_of_a_timed_row_have_their_table() -> None:
    scored = ProtocolResult(artifact="m", protocol="pckh", figures={"PCKh@0.5": 0.9}, images=7)
    rows = report_rows([LabelledResult("r", run(row("m", scored=scored)))])
    assert [bool(each.bench) for each in rows] == [True, False]
    (table,) = score_tables(rows)
    assert table == (
        "pckh",
        ["run", "artifact", "images", "PCKh@0.5"],
        [["r", "m", "7", "0.9000"]],
    )
