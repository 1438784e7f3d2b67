"""The scatter: where dots and names lie, as the SVG says it."""

import math
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.bench.scatter import CHAR, HEIGHT, LINE, TICKS, WIDTH, Point, scatter, ticks

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
