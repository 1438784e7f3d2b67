"""Import of files that others converted: whatever is in them, it ends in an artifact or in one clear error."""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from export.import_model import import_model
from export.import_spec import ImportSpec
from runtimes.artifact import Artifact
from runtimes.codec_spec import HeatmapCodec
from runtimes.errors import ArtifactError, EngineError, InputError
from runtimes.files import seal
from runtimes.registry import open_session
from runtimes.spec import KeypointsSpec, Runtime

FILES = Path(__file__).resolve().parents[1] / "data" / "tiny_net"
SUFFIXES: dict[Runtime, tuple[str, ...]] = {
    "ncnn": (".param", ".bin"),
    "openvino": (".xml", ".bin"),
    "tflite": (".tflite",),
    "onnxruntime": (".onnx",),
}
DEAR = {"openvino", "tflite"}  # engines that take seconds to start


def as_spec(artifact: Artifact) -> ImportSpec:
    """Return the tiny net's features as heatmaps of four keypoints."""
    manifest = artifact.manifest
    return ImportSpec(
        model="tiny",
        task="pose-topdown",
        inputs=manifest.inputs,
        outputs=manifest.outputs[:1],
        image=manifest.image,
        crop=manifest.crop,
        codec=HeatmapCodec(),
        keypoints=KeypointsSpec(name="four", names=tuple("abcd")),
        runtime=manifest.runtime,
    )


def copied(artifact: Artifact, folder: Path) -> list[Path]:
    folder.mkdir()
    return [
        Path(shutil.copy(artifact.root / record.path, folder))
        for record in artifact.manifest.files
        if record.path.endswith(SUFFIXES[artifact.manifest.runtime])
    ]


def spoil(path: Path, random_: random.Random) -> None:
    """Change a token of a text, or bytes of a binary file, or cut it."""
    if path.suffix in {".param", ".xml"}:
        tokens = path.read_text().split(" ")
        place = random_.randrange(len(tokens))
        tokens[place] = random_.choice(["0", "-1", "99999999", "x", "", random_.choice(tokens)])
        path.write_text(" ".join(tokens))
        return
    data = bytearray(path.read_bytes())
    for _ in range(random_.choice([1, 8])):
        data[random_.randrange(len(data))] = random_.randrange(256)
    path.write_bytes(data[: random_.choice([len(data), random_.randrange(len(data))])])


@pytest.mark.parametrize(
    "runtime",
    [pytest.param(each, marks=[pytest.mark.slow] * (each in DEAR)) for each in SUFFIXES],
)
def test_damaged_files_end_in_an_artifact_or_in_one_error(tiny_of, tmp_path, runtime) -> None:
    tiny, random_ = tiny_of(runtime), random.Random(4)  # noqa: S311 a seeded fuzzer
    spec = as_spec(tiny)
    for attempt in range(2):
        files = copied(tiny, tmp_path / str(attempt))
        spoil(random_.choice(files), random_)
        with suppress(InputError, EngineError):  # another exception is a traceback
            made = import_model(files, spec, tmp_path / "out", force=True).artifact
            open_session(Artifact.open(made.root)).close()
        assert all(path.name.startswith("tiny-") for path in (tmp_path / "out").glob("*"))


def test_an_engine_that_crashes_ends_its_own_process_alone(tiny_of, tmp_path) -> None:
    tiny = tiny_of("onnxruntime")

    def kill() -> None:
        while not done.is_set():
            for process in Path("/proc").glob("[0-9]*"):
                with_parent = _parent(process)
                command = _read(process / "cmdline")
                if with_parent == os.getpid() and "export.first_run" in command:
                    os.kill(int(process.name), signal.SIGSEGV)
                    return
            time.sleep(0.01)

    done = threading.Event()
    thread = threading.Thread(target=kill)
    thread.start()
    try:
        with pytest.raises(EngineError, match="ended by SIGSEGV"):
            import_model(copied(tiny, tmp_path / "in"), as_spec(tiny), tmp_path / "out")
    finally:
        done.set()
        thread.join()
    assert list((tmp_path / "out").iterdir()) == []


def _read(path: Path) -> str:
    try:
        return path.read_text().replace("\0", " ")
    except OSError:  # it ended
        return ""


def _parent(process: Path) -> int:
    fields = _read(process / "stat").rpartition(")")[2].split()
    return int(fields[1]) if fields else 0


# An average pool of 90 over 8x6 pixels: ncnn returns a Mat of negative size.
POOL = "7767517\n3 3\nInput in0 0 1 in0\nPooling p 1 1 in0 m 0=0 1=90 2=1 5=1\nSwish s 1 1 m out1\n"
RUN_AND_CLOSE = """
import sys
import numpy as np
from runtimes.artifact import Artifact
from runtimes.errors import EngineError
from runtimes.registry import open_session
session = open_session(Artifact.open(sys.argv[1]))
try:
    try:
        session.run({"image": np.zeros((1, 8, 6, 3), np.uint8)})
    finally:
        session.close()
except EngineError as error:
    print(error)
"""


def test_ncnn_frees_an_extractor_that_failed_before_its_net(tiny_of, tmp_path) -> None:
    tiny = tiny_of("ncnn")
    (tmp_path / "model.param").write_text(POOL)
    (tmp_path / "model.bin").write_bytes(b"")
    outputs = tiny.manifest.outputs[:1]
    artifact = seal(tmp_path, msgspec.structs.replace(tiny.manifest, outputs=outputs))
    command = [sys.executable, "-c", RUN_AND_CLOSE, str(artifact.root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "negative size" in done.stdout


def external(folder: Path, location: str = "weights.data") -> Path:
    """Write the tiny net with its weights in another file."""
    onnx = pytest.importorskip("onnx")
    folder.mkdir()
    model = onnx.load(FILES / "plain.onnx")
    onnx.save(
        model,
        folder / "net.onnx",
        save_as_external_data=True,
        location=location,
        size_threshold=0,
    )
    return folder / "net.onnx"


def test_external_data_of_onnx_is_imported_and_verified(tiny_of, tmp_path) -> None:
    spec = as_spec(tiny_of("onnxruntime"))
    graph = external(tmp_path / "in")
    made = import_model([graph], spec, tmp_path / "out").artifact
    listed = {record.path for record in made.manifest.files}
    assert listed == {"net.onnx", "weights.data", "reference.npz"}
    data = made.root / "weights.data"
    data.write_bytes(data.read_bytes()[:-1] + b"\0")
    with pytest.raises(ArtifactError, match=r"weights\.data"):
        Artifact.open(made.root)


def test_external_data_that_is_missing_or_elsewhere(tiny_of, tmp_path) -> None:
    spec = as_spec(tiny_of("onnxruntime"))
    graph = external(tmp_path / "in")
    (tmp_path / "in" / "weights.data").rename(tmp_path / "weights.data")
    with pytest.raises(InputError, match=r"weights\.data: no such file"):
        import_model([graph], spec, tmp_path / "out")
    data = graph.read_bytes()
    # a name of the same length, in another directory
    graph.write_bytes(data.replace(b"weights.data", b"../ights.dat"))
    with pytest.raises(InputError, match="outside its directory"):
        import_model([graph], spec, tmp_path / "out")


def test_external_data_that_the_manifest_does_not_list_is_not_loaded(tiny_of, tmp_path) -> None:
    tiny = tiny_of("onnxruntime")
    graph = external(tmp_path / "in", "w8")  # a name that no engine's files have
    root = tmp_path / "tiny"
    root.mkdir()
    shutil.copy(graph, root / "model.onnx")
    sealed = seal(root, tiny.manifest)
    shutil.copy(graph.with_name("w8"), root)
    assert Artifact.open(root) == sealed
    with pytest.raises(ArtifactError, match=r"'w8', which artifact\.json does not list"):
        open_session(Artifact.open(root))
