"""The contract of every runtime: one test body, run over each installed engine."""

import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

import msgspec
import numpy as np
import pytest

from runtimes.artifact import Artifact
from runtimes.base import Accelerator, Arithmetic, RunOptions, Session, TimesEngine
from runtimes.errors import EngineError, InputError
from runtimes.files import seal
from runtimes.registry import ENGINES, engine_version, open_session
from runtimes.spec import Manifest
from runtimes.threads import allowed_cores

EXTRAS = {
    "ncnn": {"winograd": 0},
    "openvino": {"max_batch": 3, "pinning": 0, "core_type": "ANY_CORE"},
    "tflite": {},
    "onnxruntime": {"spinning": 0},
}


def copy_with(artifact: Artifact, root: Path, **changes: object) -> Artifact:
    """Copy the artifact with a changed manifest, sealed anew."""
    shutil.copytree(artifact.root, root)
    manifest: Manifest = msgspec.structs.replace(artifact.manifest, **changes)
    return seal(root, manifest)


def same(got: dict[str, np.ndarray], want: dict[str, np.ndarray], limit: float) -> None:
    for name, value in want.items():
        np.testing.assert_allclose(got[name], value, rtol=0, atol=limit, err_msg=name)


def test_every_runtime_is_in_the_contract(covered_runtimes: set[str]) -> None:
    assert covered_runtimes == set(ENGINES)


@pytest.fixture
def session(tiny: Artifact):
    opened = open_session(tiny)
    yield opened
    opened.close()


def test_outputs_are_what_numpy_computes(session, net, photos) -> None:
    assert isinstance(session, Session)
    for count in (1, 3):
        outputs = session.run({"image": photos[:count]})
        assert list(outputs) == ["features", "scores"]
        assert outputs["features"].shape == (count, 4, 4, 3)
        assert outputs["scores"].shape == (count, 5)
        assert {value.dtype for value in outputs.values()} == {np.dtype(np.float32)}
        same(outputs, net(photos[:count]), 1e-4)


def test_a_batch_is_its_images_one_by_one(session, photos) -> None:
    together = session.run({"image": photos})
    for index in range(3):
        alone = session.run({"image": photos[index : index + 1]})
        same({name: value[index : index + 1] for name, value in together.items()}, alone, 1e-5)


@pytest.mark.parametrize("requests", [1, 2, 3])
def test_parallel_requests_give_what_a_batch_gives(tiny, net, photos, requests) -> None:
    """Of more images than requests, as many, and fewer; for several callers at once."""
    session = open_session(tiny, RunOptions(threads=2, requests=requests))
    batches = [np.concatenate([photos, photos])[:count] for count in (1, 2, 3, 5)]
    wanted = [net(batch) for batch in batches]

    def ask(number: int) -> None:
        same(session.run({"image": batches[number % 4]}), wanted[number % 4], 1e-4)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(ask, range(12)))
    assert session.effective.threads == 2
    for feeds in ({}, {"image": photos[:0]}, {"image": photos.astype(np.float32)}):
        with pytest.raises(InputError):
            session.run(feeds)
    session.close()
    session.close()
    with pytest.raises(EngineError, match="closed"):
        session.run({"image": photos})


def test_strided_feeds_are_read_as_they_look(session, net) -> None:
    wide = np.random.default_rng(4).integers(0, 256, (4, 16, 12, 3), dtype=np.uint8)
    for view in (wide[::2, ::2, ::2], wide[:2, 7::-1, :6], wide[:1, :8, 5::-1, ::-1]):
        assert not view.flags.c_contiguous
        same(session.run({"image": view}), net(view), 1e-4)


def test_read_only_images_are_taken(session, net, photos) -> None:
    frozen = photos[:1].copy()
    frozen.flags.writeable = False
    same(session.run({"image": frozen}), net(photos[:1]), 1e-4)


def test_the_engines_own_time_grows_with_each_call(session, photos) -> None:
    """It is part of the call: less than all of it, and never counted twice."""
    assert isinstance(session, TimesEngine)
    for _ in range(3):
        before, begin = session.engine_ns, time.perf_counter_ns()
        session.run({"image": photos[:1]})
        assert 0 < session.engine_ns - before <= time.perf_counter_ns() - begin


def test_results_belong_to_the_caller(session, photos) -> None:
    feed = photos[:1].copy()
    first = session.run({"image": feed})
    kept = {name: value.copy() for name, value in first.items()}
    session.run({"image": photos[1:2]})
    same(first, kept, 0)
    for name in first:
        first[name] += 1  # writable, and no engine's buffer
    same(session.run({"image": feed}), kept, 0)
    np.testing.assert_array_equal(feed, photos[:1])


def test_results_outlive_the_session(tiny, net, photos) -> None:
    session = open_session(tiny)
    outputs = session.run({"image": photos})
    session.close()
    same(outputs, net(photos), 1e-4)


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_as_asked(tiny, net, photos, threads) -> None:
    if threads > allowed_cores():
        pytest.skip(f"{threads} cores are not allowed here")
    session = open_session(tiny, RunOptions(threads=threads))
    assert session.effective.threads == threads
    same(session.run({"image": photos}), net(photos), 1e-4)
    session.close()


def test_defaults_are_f32_on_the_allowed_cores(tiny, monkeypatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)  # ncnn goes by it
    session = open_session(tiny)
    assert session.effective.threads == min(4, allowed_cores())
    assert session.effective.precision == "f32"
    assert session.effective.accelerator == "cpu"
    session.close()


ENGINE_NAMES = {
    "ncnn": ("ncnn", ""),
    "openvino": ("OpenVINO", "on CPU"),
    "tflite": ("ai-edge-litert", "XNNPACK"),
    "onnxruntime": ("ONNX Runtime", "CPUExecutionProvider"),
}


def test_the_engine_is_named_with_its_version_and_backend(tiny, session) -> None:
    first, last = ENGINE_NAMES[tiny.manifest.runtime]
    version = engine_version(tiny.manifest.runtime)
    assert session.effective.engine == " ".join(filter(None, (first, version, last)))


@pytest.mark.parametrize("accelerator", get_args(Accelerator))
@pytest.mark.parametrize("precision", get_args(Arithmetic))
def test_every_option_becomes_effective_truthfully_or_is_refused(
    tiny, net, photos, precision, accelerator
) -> None:
    """What an engine says it computes in shows in the error: f32 errs by 1e-6, f16 by 1e-3, bf16 by 1e-2."""
    try:
        session = open_session(tiny, RunOptions(precision=precision, accelerator=accelerator))
    except InputError as error:
        assert "--accelerator cpu" in str(error)  # noqa: PT017 - either outcome is right, by machine
        assert accelerator != "cpu"
        return
    effective = session.effective
    assert effective.accelerator == accelerator
    outputs = session.run({"image": photos})
    error = max(np.abs(outputs[name] - value).max() for name, value in net(photos).items())
    bounds = {"f32": (0, 1e-4), "f16": (1e-5, 2e-2), "bf16": (1e-4, 1e-1)}
    low, high = bounds[effective.precision]
    assert low <= error <= high
    assert precision != "f32" or effective.precision == "f32"
    session.close()


def test_wrong_feeds_are_refused(session, photos) -> None:
    for feeds in (
        {},
        {"picture": photos},
        {"image": photos, "more": photos},
        {"image": photos.astype(np.float32)},
        {"image": photos[0]},
        {"image": photos.transpose(0, 2, 1, 3)},
        {"image": photos.transpose(0, 3, 1, 2)},
        {"image": photos[:0]},
    ):
        with pytest.raises(InputError):
            session.run(feeds)


def test_a_closed_session_says_so(tiny, photos) -> None:
    session = open_session(tiny)
    session.run({"image": photos})
    session.close()
    session.close()
    with pytest.raises(EngineError, match="closed"):
        session.run({"image": photos})


def test_a_corrupt_file_is_an_engine_error(tiny, tmp_path) -> None:
    for record in tiny.manifest.files:
        root = tmp_path / f"without-{record.path}"
        shutil.copytree(tiny.root, root)
        path = root / record.path
        path.write_bytes(path.read_bytes()[: record.bytes // 2])
        with pytest.raises(EngineError) as caught:
            open_session(seal(root, tiny.manifest))
        assert str(root) in str(caught.value)
        assert "export it again" in str(caught.value)


def test_a_name_the_file_lacks_is_an_engine_error(tiny, tmp_path) -> None:
    features, scores = tiny.manifest.outputs
    stranger = msgspec.structs.replace(scores, engine_name="nothing")
    broken = copy_with(tiny, tmp_path / "broken", outputs=(features, stranger))
    with pytest.raises(EngineError, match=f"nothing.*{features.engine_name}"):
        open_session(broken)


def test_a_shape_the_file_lacks_is_an_engine_error(tiny, tmp_path, photos) -> None:
    features, scores = tiny.manifest.outputs
    turned = msgspec.structs.replace(features, shape=(-1, 4, 3, 4))
    broken = copy_with(tiny, tmp_path / "broken", outputs=(turned, scores))
    with pytest.raises(EngineError, match="features"):
        open_session(broken).run({"image": photos})


def test_a_dtype_the_file_lacks_is_an_engine_error(tiny, tmp_path) -> None:
    if tiny.manifest.runtime == "ncnn":
        pytest.skip("ncnn's tensors carry no dtype")
    features, scores = tiny.manifest.outputs
    labels = msgspec.structs.replace(scores, dtype="int64")
    broken = copy_with(tiny, tmp_path / "broken", outputs=(features, labels))
    with pytest.raises(EngineError, match=r"float32.*int64"):
        open_session(broken)


# NAME=VALUE that the runtime would ignore, or take for another, on the CPU; what the message says
REFUSED_EXTRAS = {
    "ncnn": [("winograd", 2, "0 or 1"), ("winograd", -1, "0 or 1"), ("winograd", 1.0, "0 or 1")],
    "openvino": [
        ("pinning", 7, "0 or 1"),
        ("max_batch", 0, "from 1 to 256"),
        ("max_batch", 10**9, "from 1 to 256"),
        ("core_type", "PCORE", "one of ANY_CORE, PCORE_ONLY, ECORE_ONLY"),
        ("cache_dir", "/dev/null", "cannot write into /dev/null"),
        ("cache_dir", "/dev/null/x", "cannot write into /dev/null/x"),
    ],
    "tflite": [
        ("delegate.backend_type", "htp", "name its library too"),
        ("delegate", "libx.so", "add --accelerator gpu or npu"),
    ],
    "onnxruntime": [
        ("spinning", 7, "0 or 1"),
        ("spinning", "yes", "0 or 1"),
        ("provider.foo", 1, "the provider cpu takes none"),
        ("provider.htp_arch", 75, "the provider cpu takes none"),
    ],
}


def test_no_extra_option_is_ignored_in_silence(tiny) -> None:
    for name, value, said in REFUSED_EXTRAS[tiny.manifest.runtime]:
        with pytest.raises(InputError, match=f"option {re.escape(name)}.*{said}") as caught:
            open_session(tiny, RunOptions(extra={name: value}))
        assert "\n" not in str(caught.value)


def test_cores_that_this_cpu_lacks_are_refused(tiny) -> None:
    if tiny.manifest.runtime != "openvino":
        pytest.skip("of OpenVINO")
    try:
        session = open_session(tiny, RunOptions(extra={"core_type": "ECORE_ONLY"}))
    except InputError as error:
        assert "this CPU has no cores for ECORE_ONLY" in str(error)  # noqa: PT017 - by machine
        return
    core = session._session._request.get_compiled_model()
    assert "ECORE_ONLY" in str(core.get_property("SCHEDULING_CORE_TYPE"))


def test_extra_options(tiny, net, photos) -> None:
    known = EXTRAS[tiny.manifest.runtime]
    session = open_session(tiny, RunOptions(extra=known))
    same(session.run({"image": photos}), net(photos), 1e-4)
    session.close()
    with pytest.raises(InputError) as caught:
        open_session(tiny, RunOptions(extra={"turbo": 1}))
    assert all(name in str(caught.value) for name in ("turbo", *known))
    for name in known:
        with pytest.raises(InputError, match=name):
            open_session(tiny, RunOptions(extra={name: "much"}))


def test_a_missing_engine_is_an_instruction(tiny) -> None:
    runtime = tiny.manifest.runtime
    code = f"""
import sys
for name in {ENGINES[runtime].packages!r}: sys.modules[name] = None
from runtimes import Artifact, RunOptions, open_session
from runtimes.errors import MissingDependencyError
from importlib import import_module
artifact = Artifact.open({str(tiny.root)!r})
for opened in (open_session, import_module({ENGINES[runtime].adapter!r}).open_session):
    try:
        opened(artifact, RunOptions())
    except MissingDependencyError as error:
        assert "pip install 'edgepose[{runtime}]'" in str(error), error
    else:
        raise SystemExit("opened without its engine")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_threads_get_their_own_answers(session, net, photos) -> None:
    feeds = [photos[index : index + 1] for index in range(3)] + [photos[:2]]
    wanted = [net(feed) for feed in feeds]

    def ask(number: int) -> None:
        for _ in range(50):
            same(session.run({"image": feeds[number % 4]}), wanted[number % 4], 1e-4)

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(ask, number) for number in range(8)]:
            done.result()


FORKED = """
import os, sys
import numpy as np
from runtimes import Artifact, RunOptions, open_session
from runtimes.errors import EngineError
artifact = Artifact.open(sys.argv[1])
session = open_session(artifact, RunOptions(threads=2))
width, height = artifact.manifest.image.wh
feed = {"image": np.zeros((2, height, width, 3), np.uint8)}
session.run(feed)

def child(number):
    try:
        session.run(feed)
    except EngineError as error:
        if "spawn" not in str(error):
            return 50
    else:
        return 51
    if number == 1:
        session.close()
    if number == 2:
        try:
            again = open_session(artifact)
        except EngineError as error:
            return number if "spawn" in str(error) else 52
        again.run(feed)
    return number

for number in range(3):
    forked = os.fork()
    if forked == 0:
        sys.exit(child(number))
    status = os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1])
    if status != number:
        sys.exit(f"child {number} ended with {status}")
session.run(feed)
session.close()
"""


def test_forked_children_are_refused_and_exit_and_the_parent_runs_on(tiny) -> None:
    """Children: one that runs and exits, one that closes, one that opens the artifact again."""
    command = [sys.executable, "-W", "ignore", "-c", FORKED, str(tiny.root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


def test_an_engine_first_loaded_in_the_children_runs_there(tiny) -> None:
    code = """
import os, sys
import numpy as np
from runtimes import Artifact, open_session
artifact = Artifact.open(sys.argv[1])
width, height = artifact.manifest.image.wh
forked = os.fork()
session = open_session(artifact)
session.run({"image": np.zeros((1, height, width, 3), np.uint8)})
if forked:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1]))
"""
    command = [sys.executable, "-W", "ignore", "-c", code, str(tiny.root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
