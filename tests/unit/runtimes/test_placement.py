"""Nodes by backend, and what is said where a backend took none or not all."""

from pathlib import Path

import pytest

from runtimes.errors import EdgeposeWarning, EngineError
from runtimes.placement import Placement, placed, require_taken

NODES = [("CPU", "Cast"), ("CUDA", "Conv"), ("CUDA", "Conv"), ("CPU", "Cast"), ("CPU", "NMS")]


def test_the_backend_asked_for_comes_first() -> None:
    found = placed("CUDA", NODES)
    assert found == Placement((("CUDA", 2), ("CPU", 3)), (("Cast", 2), ("NMS", 1)))
    assert (found.backend, found.taken, found.total) == ("CUDA", 2, 5)
    assert str(found) == "CUDA 2, CPU 3"


def test_a_backend_that_took_nothing_counts_as_none() -> None:
    found = placed("QNN", NODES)
    assert found.nodes == (("QNN", 0), ("CPU", 3), ("CUDA", 2))
    with pytest.raises(
        EngineError, match=r"a/b: QNN takes none of its 5 nodes \(Cast 2, Conv 2, NMS 1\); mend"
    ):
        require_taken(Path("a/b"), found, "mend it")


def test_no_graph_at_all_is_none_taken() -> None:
    with pytest.raises(EngineError, match="none of its 0 nodes"):
        require_taken(Path("a"), placed("GPU", []), "mend it")


def test_a_part_elsewhere_is_a_warning_and_all_is_silent(recwarn: pytest.WarningsRecorder) -> None:
    require_taken(Path("a"), placed("CPU", [("CPU", "Conv")]), "mend it")
    assert not recwarn
    many = [("CPU", f"Kind{index}") for index in range(9)]
    said = r"b: CUDA takes 2 of 14 nodes; 12 run on CPU \(Cast 2, NMS 1, Kind0 1, .*, \.\.\.\)"
    with pytest.warns(EdgeposeWarning, match=said):
        require_taken(Path("a/b"), placed("CUDA", [*NODES, *many]), "mend it")
