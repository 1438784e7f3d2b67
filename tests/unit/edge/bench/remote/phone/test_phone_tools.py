"""Arguments and output of the tools: texts of their documentation, their sources and public logs."""

import pytest

from edge.bench.remote.phone.benchmark_model import BENCHMARK_MODEL
from edge.bench.remote.phone.benchncnn import BENCHNCNN
from edge.bench.remote.phone.tool import Ask
from runtimes.errors import EngineError

ASK = Ask(model="0/model.param", wh=(192, 256), threads=4, runs=32)
# ncnn's benchmark/README.md, AMD Ryzen Embedded V1605B; the name of a model of param= is its path (benchncnn.cpp)
NCNN = """\
loop_count = 32
num_threads = 4
powersave = 2
gpu_device = -1
cooling_down = 0
       0/model.param  min =    9.19  max =   14.82  avg =   11.15
"""
OWN_LIST = """\
fopen squeezenet.param failed
loop_count = 4
          squeezenet  min =   22.13  max =   24.07  avg =   22.88
     squeezenet_int8  min =   58.54  max =   62.21  avg =   59.55
"""
# public logs on GitHub: of android_aarch64_benchmark_model (figures), and of an x86 run (the peak); benchmark_model.cc
TFLITE = """\
INFO: STARTING!
INFO: Log parameter values verbosely: [0]
INFO: Num threads: [2]
INFO: #threads used for CPU inference: [2]
INFO: Initialized session in 119.515ms.
INFO: Running benchmark for at least 5 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
INFO: count=9 first=87112 curr=51629 min=51629 max=87112 avg=58147.4 std=11478 p5=51629 median=51962 p95=87112

INFO: Running benchmark for at least 1000 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
INFO: count=1000 first=52162 curr=49785 min=49088 max=686105 avg=63743.2 std=60716 p5=49620 median=51891 p95=68628

INFO: Inference timings in us: Init: 119515, First inference: 87112, Warmup (avg): 58147.4, Inference (avg): 63743.2
INFO: Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE to the ...
INFO: Memory footprint delta from the start of the tool (MB): init=55.4961 overall=55.4961
INFO: Overall peak memory footprint (MB) via periodic monitoring: 93.2383
"""
# public logs on GitHub, of a slow board (figures) and of TensorFlow 2.4 on a phone (memory): no median, no INFO
OLDER = """\
count=1 curr=3512391

count=50 first=2990275 curr=2913402 min=2727568 max=3189954 avg=2.95034e+06 std=109798

Inference timings in us: Init: 17187, First inference: 3512391, Warmup (avg): 3.51239e+06, Inference (avg): 2.95034e+06
Peak memory footprint (MB): init=4.92969 overall=138.809
"""


def test_benchncnn_is_asked_for_big_cores_without_gpu_and_pause() -> None:
    asked = BENCHNCNN.command(ASK)
    assert asked == ["32", "4", "2", "-1", "0", "param=0/model.param", "shape=[192,256,3]"]
    everywhere = Ask(model="m", wh=(1, 1), threads=8, runs=1, little=True)
    assert BENCHNCNN.command(everywhere)[:3] == ["1", "8", "0"]


def test_benchncnn_prints_mean_and_minimum() -> None:
    found = BENCHNCNN.parse(NCNN, ASK)
    assert (found.mean_ms, found.min_ms, found.runs, found.threads) == (11.15, 9.19, 32, 4)
    assert (found.p50_ms, found.load_ms, found.first_ms, found.peak_bytes) == (None,) * 4
    assert found.warmup_runs == 8  # g_warmup_loop_count


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (OWN_LIST, "older than its param="),
        ("", "printed no times"),
        ("input tensor shape empty!\n", "printed no times"),
        ("0/model.param  min =    0.00  max =    0.01  avg =    0.00", "0.00 ms"),
    ],
)
def test_benchncnn_without_times_of_the_model_is_an_error(text, said) -> None:
    with pytest.raises(EngineError, match=said):
        BENCHNCNN.parse(text, ASK)


def test_benchmark_model_is_asked_for_runs_and_no_time() -> None:
    flags = BENCHMARK_MODEL.command(Ask(model="1/m.tflite", wh=(192, 256), threads=2, runs=50))
    for flag in ("--graph=1/m.tflite", "--num_threads=2", "--num_runs=50", "--min_secs=0"):
        assert flag in flags
    assert not [flag for flag in flags if "fp16" in flag or "memory" in flag]
    more = BENCHMARK_MODEL.command(
        Ask(model="m", wh=(1, 1), threads=1, runs=1, half=True, memory=True)
    )
    assert {"--xnnpack_force_fp16=true", "--report_peak_memory_footprint=true"} <= set(more)


def test_benchmark_model_prints_microseconds() -> None:
    found = BENCHMARK_MODEL.parse(TFLITE, ASK)
    assert (found.runs, found.warmup_runs, found.threads) == (1000, 9, 2)
    assert found.mean_ms == pytest.approx(63.7432)
    assert (found.min_ms, found.p50_ms) == (49.088, 51.891)
    assert (found.load_ms, found.first_ms) == (119.515, 87.112)
    assert found.warmup_ms == pytest.approx(9 * 58.1474)
    assert found.peak_bytes == int(93.2383 * 2**20)


def test_an_older_benchmark_model_prints_no_median_and_large_times_in_six_digits() -> None:
    found = BENCHMARK_MODEL.parse(OLDER, ASK)
    assert (found.runs, found.warmup_runs) == (50, 1)
    assert (found.mean_ms, found.min_ms) == (2950.34, 2727.568)
    assert found.warmup_ms == pytest.approx(3512.391)
    assert (found.p50_ms, found.peak_bytes, found.threads) == (None, None, None)


@pytest.mark.parametrize("text", ["", "count=1 curr=5\n", "Failed to load model m.tflite\n"])
def test_benchmark_model_without_times_is_an_error(text) -> None:
    with pytest.raises(EngineError, match="printed no times"):
        BENCHMARK_MODEL.parse(text, ASK)


def test_arithmetic_is_what_the_tool_and_the_cpu_compute_in() -> None:
    new, old = ("asimd", "asimdhp"), ("asimd",)
    # benchncnn has no choice; XNNPACK computes in f16 where it is told to
    assert [BENCHNCNN.arithmetic("f32", each) for each in (new, old)] == ["f16", "f32"]
    assert [BENCHMARK_MODEL.arithmetic("f32", each) for each in (new, old)] == ["f32", "f32"]
    assert [BENCHMARK_MODEL.arithmetic("f16", each) for each in (new, old)] == ["f16", "f32"]
