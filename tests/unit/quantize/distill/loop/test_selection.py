"""Selection by validation: which row of the metrics log is the best, and how many have come since."""

import pytest

pytest.importorskip("torch")

from quantize.distill.loop.selection import best_row, read_rows, validations_since_best


def rows(*values: tuple[str, str]) -> list[dict[str, str]]:
    return [
        {"step": str(step), "ap": ap, "pck": pck, "px": "9"}
        for step, (ap, pck) in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ([], -1),
        ([("0.1", "0.9"), ("0.2", "0.5"), ("0.15", "0.99")], 1),
        ([("0.0", "0.4"), ("0.0", "0.6"), ("0.0", "0.5")], 1),
        ([("", "0.4"), ("0.0", "0.1")], 1),
        ([("0.3", "0.4"), ("0.3", "0.4")], 0),
    ],
    ids=["none", "AP decides", "then PCK", "undefined is lowest", "the first of equals"],
)
def test_the_best_row(values, best) -> None:
    assert best_row(rows(*values)) == best


def test_validations_since_the_best() -> None:
    assert validations_since_best([]) == 0
    assert validations_since_best(rows(("0.1", "0"))) == 0
    assert validations_since_best(rows(("0.3", "0"), ("0.2", "0"), ("0.3", "0"))) == 2


def test_boxes_are_ranked_by_ap_and_ap50() -> None:
    found = [{"step": "1", "ap": "0", "ap50": "0.2"}, {"step": "2", "ap": "0", "ap50": "0.3"}]
    assert best_row(found) == 1


def test_no_log_has_no_rows(tmp_path) -> None:
    assert read_rows(tmp_path / "marks.csv") == []
