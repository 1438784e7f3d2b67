"""Charts: where dots, bars, hills and names lie, as the SVG says it."""

import math
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.bench.report.charts.axis import CHAR, LINE, TICKS, WIDTH, fitted, ticks
from edge.bench.report.charts.bars import Bar, bars
from edge.bench.report.charts.curve import Curve, curves
from edge.bench.report.charts.ridges import Ridge, ridges
from edge.bench.report.charts.scatter import HEIGHT, Point, scatter

NUMBERS = st.floats(0.001, 1e6)
POINTS = st.lists(
    st.builds(
        Point,
        x=NUMBERS,
        y=st.floats(0, 1),
        weight=st.floats(0, 1e9),
        group=st.integers(0, 7),
        name=st.text("abc-", min_size=1, max_size=20),
        title=st.just("t"),
    ),
    min_size=1,
    max_size=15,
)


def read(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 our own text


def names_of(svg: str) -> list[tuple[float, float, float, float]]:
    """Boxes of the names, by the width a letter is taken for."""
    boxes = []
    for each in read(svg).iter("text"):
        if each.get("class") == "name":
            width = CHAR * len(each.text or "")
            x, y = float(each.get("x")), float(each.get("y")) + 3
            left = x - width if each.get("text-anchor") == "end" else x
            boxes.append((left, y - LINE, left + width, y))
    return boxes


@settings(deadline=None)
@given(POINTS)
def test_every_point_is_drawn_inside_the_frame_and_names_never_overlap(points) -> None:
    svg = scatter(points, "x", "y")
    circles = list(read(svg).iter("circle"))
    assert len(circles) == len(points)
    for each in circles:
        assert 0 <= float(each.get("cx")) <= WIDTH
        assert 0 <= float(each.get("cy")) <= HEIGHT
        assert float(each.get("r")) > 0
    boxes = names_of(svg)
    for number, one in enumerate(boxes):
        assert one[0] >= 0
        assert one[2] <= WIDTH
        for other in boxes[:number]:
            apart = (one[2] - other[0], other[2] - one[0], one[3] - other[1], other[3] - one[1])
            assert min(apart) <= 0.2  # a tenth of a pixel is what is written


def test_right_is_slower_and_up_is_more() -> None:
    points = [Point(1, 0.5, 1, 0, "a", "a"), Point(3, 0.7, 1, 1, "b", "b")]
    by_title = {
        each.find("title").text: (float(each.get("cx")), float(each.get("cy")))
        for each in read(scatter(points, "x", "y")).iter("circle")
    }
    assert by_title["a"][0] < by_title["b"][0]
    assert by_title["a"][1] > by_title["b"][1]  # SVG counts downward


def test_area_is_in_proportion_to_weight() -> None:
    points = [Point(1, 1, 100.0, 0, "a", "a"), Point(2, 1, 50.0, 0, "b", "b")]
    radii = [float(each.get("r")) for each in read(scatter(points, "x", "y")).iter("circle")]
    assert radii[0] ** 2 / radii[1] ** 2 == pytest.approx(2, rel=0.02)


def test_text_is_escaped() -> None:
    svg = scatter([Point(1, 1, 1, 0, "<a>", "&<b>")], "<x>", '"y"')
    root = read(svg)
    assert "<a>" in [each.text for each in root.iter("text")]
    assert root.get("aria-label") == '"y" over <x>'


def test_nothing_is_nothing() -> None:
    assert scatter([], "x", "y") == ""


@settings(deadline=None)
@given(st.floats(-1e6, 1e6), st.floats(1e-4, 1e6))
def test_ticks_are_round_few_and_inside(low, span) -> None:
    found = [float(text) for text in ticks(low, low + span)]
    slack = 1e-6 * max(abs(low), span)
    assert 2 <= len(found) <= TICKS + 1
    assert all(low - slack <= value <= low + span + slack for value in found)
    step = found[1] - found[0]
    digit = step / 10 ** math.floor(math.log10(step) + 1e-6)
    assert min(abs(digit - round_one) for round_one in (1, 2, 5, 10)) < 1e-2


def test_ticks_are_written_alike() -> None:
    assert ticks(0.689, 0.701) == ["0.690", "0.692", "0.694", "0.696", "0.698", "0.700"]
    assert ticks(0, 40) == ["0", "5", "10", "15", "20", "25", "30", "35", "40"]


def test_bars_begin_at_zero_and_their_steps_are_in_proportion() -> None:
    rows = [Bar((2.0, 3.0, 6.0), 0, "a", "2", "t"), Bar((4.0, 4.0, 4.0), 1, "b", "4", "t")]
    boxes = [
        (float(each.get("x")), float(each.get("width")))
        for each in read(bars(rows, "ms")).iter("rect")
    ]
    (start, p50), (second, p90), (third, p99), (other, whole), *_ = boxes
    assert start == other  # both at zero
    assert (second, third) == pytest.approx((start + p50, second + p90), abs=0.11)
    assert (p90 / p50, p99 / p50, whole / p50) == pytest.approx((0.5, 1.5, 2.0), rel=0.01)
    assert third + p99 <= WIDTH


def test_a_histogram_is_as_high_as_its_counts() -> None:
    row = Ridge((4, 0, 2, 1), 1.0, 0.5, (("p50", 1.75),), 0, "a")
    root = read(ridges([row]))
    (hill,) = [each.get("d") for each in root.iter("path") if "hill" in each.get("class")]
    floor = float(hill.split()[1].split("V")[0])
    tops = [floor - float(part.split("h")[0]) for part in hill.split("V")[1:4]]
    assert tops == pytest.approx([30, 0, 15])
    assert "1 beyond" in [each.text for each in root.iter("text")]
    (mark,) = [float(each.get("x1")) for each in root.iter("line")]
    left = float(hill[1:].split()[0])
    width = float(hill.split("h")[1].split("V")[0])
    assert (mark - left) / (3 * width) == pytest.approx(0.5, abs=0.01)


def test_a_curve_needs_two_windows_and_rises_with_the_time() -> None:
    assert curves([Curve((1.0,), 0.5, 0, "a")]) == ""
    root = read(curves([Curve((1.0, 2.0, 2.0), 0.5, 0, "a"), Curve((2.0, 1.0, 1.5), 0.5, 1, "b")]))
    first, _ = [each.get("d") for each in root.iter("path") if "line" in each.get("class")]
    places = [tuple(map(float, each.split())) for each in first[1:].split("L")]
    assert places[0][0] < places[1][0] < places[2][0]
    assert places[0][1] > places[1][1] == places[2][1]  # SVG counts downward
    assert [each.text for each in root.iter("text") if each.get("class") == "name"] == ["a", "b"]


def test_long_names_keep_their_end() -> None:
    assert fitted("abc", 3 * CHAR) == "abc"
    assert fitted("abcdef", 4 * CHAR) == "…def"


@pytest.mark.parametrize("draw", [lambda: bars([], "x"), lambda: ridges([]), lambda: curves([])])
def test_no_rows_are_no_chart(draw) -> None:
    assert draw() == ""


def test_names_in_bars_and_hills_are_escaped() -> None:
    shown = bars([Bar((1.0,), 0, "<b>", "<i>", "&")], "<x>") + ridges(
        [Ridge((1, 1), 0.0, 1.0, (("<m>", 0.5),), 0, "<b>")]
    )
    assert not {"<b>", "<i>", "<m>", "<x>"} & {shown[at : at + 3] for at in range(len(shown))}
