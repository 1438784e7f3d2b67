"""Layer times from a trace as ONNX Runtime writes it, and their medians."""

from runtimes.layer_times.layer_time import LayerTime, median_times
from runtimes.layer_times.onnxruntime_times import times_of_trace


def event(name: str, us: int, cat: str = "Node") -> dict[str, object]:
    what = {"op_name": "Conv", "provider": "CPUExecutionProvider"}
    return {"cat": cat, "name": name, "dur": us, "ts": 0, "ph": "X", "args": what}


def test_each_layer_has_its_times_of_all_runs_but_the_first() -> None:
    run = [
        [event("b_kernel_time", us), event("b_fence_before", 7), event("a_kernel_time", 2 * us)]
        for us in (9000, 1000, 3000, 2000)
    ]
    session = [event("model_run", 99, "Session"), {"name": "x"}]
    found = times_of_trace([*session, *(each for events in run for each in events)])
    assert found == {
        ("b", "Conv", "CPUExecutionProvider"): [1.0, 3.0, 2.0],
        ("a", "Conv", "CPUExecutionProvider"): [2.0, 6.0, 4.0],
    }


def test_layers_stay_in_order_with_their_median_and_those_that_take_no_time_are_left_out() -> None:
    runs = {("b", "Conv", "jit"): [1.0, 3.0, 2.0], ("in", "Input", ""): [0.0, 0.0, 0.0]}
    assert median_times({**runs, ("a", "Add", ""): [4.0, 4.0, 5.0]}) == (
        LayerTime(name="b", kind="Conv", kernel="jit", ms=2.0),
        LayerTime(name="a", kind="Add", ms=4.0),
    )
