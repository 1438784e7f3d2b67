"""Kill a process at each of its file operations in turn, and check after each kill that nothing was lost.

Usage: python kill_points.py artifact|two-steps|file FOLDER. Prints the number of points. An audit hook counts the
operations (open, mkdir, rename, unlink, rmdir, a call of the C library): SIGKILL comes before the n-th.
"""

import os
import signal
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

from runtimes.artifact import Artifact
from runtimes.codec_spec import HeatmapCodec
from runtimes.errors import ArtifactError
from runtimes.files import atomic_file, publish, seal
from runtimes.replace import replace_in_two_steps
from runtimes.spec import CropSpec, ImageSpec, Lineage, Manifest, TensorSpec
from runtimes.staging import clean, staging

OPERATIONS = ("open", "os.", "shutil.", "tempfile.", "ctypes.")
OLD, NEW = b"the old weights", b"new weights"
MANIFEST = Manifest(
    model="tiny",
    task="pose-topdown",
    runtime="onnxruntime",
    precision="fp32",
    inputs=(TensorSpec(name="image"),),
    outputs=(TensorSpec(name="heatmap"),),
    image=ImageSpec(wh=(6, 8)),
    crop=CropSpec(kind="affine"),
    codec=HeatmapCodec(),
    lineage=Lineage(weights="random"),
)


def write_artifact(target: Path, content: bytes) -> None:
    with staging(target.parent) as staged:
        (staged / "model.onnx").write_bytes(content)
        publish(seal(staged, MANIFEST), target, force=True)


def write_artifact_in_two_steps(target: Path, content: bytes) -> None:
    with staging(target.parent) as staged:
        (staged / "model.onnx").write_bytes(content)
        seal(staged, MANIFEST)
        if target.exists():
            replace_in_two_steps(staged, target)
        else:
            staged.rename(target)


def read_artifact(target: Path) -> bytes:
    return Artifact.open(target).file(".onnx").read_bytes()


def write_file(target: Path, content: bytes) -> None:
    with atomic_file(target) as stream:
        stream.write(content)


KINDS: dict[str, tuple[Callable[[Path, bytes], None], Callable[[Path], bytes]]] = {
    "artifact": (write_artifact, read_artifact),
    "two-steps": (write_artifact_in_two_steps, read_artifact),
    "file": (write_file, Path.read_bytes),
}


def killed_at(point: int, work: Callable[[], None]) -> bool:
    """Do the work in a child that is killed before its operation `point`; False where it ended before that."""
    pid = os.fork()
    if pid == 0:
        done = 0

        def note(event: str, _args: object) -> None:
            nonlocal done
            if event.startswith(OPERATIONS):
                done += 1
                if done == point:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(note)
        work()
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def refusal(path: Path) -> str:
    """Return why a directory does not open as an artifact, "" where it does."""
    try:
        Artifact.open(path)
    except ArtifactError as error:
        return str(error)
    return ""


def main(kind: str, folder: Path) -> None:
    write, read = KINDS[kind]
    target = folder / "target"
    seen = set()
    for point in count(1):
        write(target, OLD)
        killed = killed_at(point, lambda: write(target, NEW))
        for left in folder.glob(".edgepose-*"):
            assert "unfinished" in refusal(left / "draft")
        content = read(target)
        assert content in {OLD, NEW}, (point, content)
        seen.add(content)
        for left in folder.glob(".edgepose-*"):
            os.utime(left, (0, 0))  # one without a lock goes when it is old
        clean(folder)
        assert [each.name for each in folder.iterdir()] == ["target"], point
        assert read(target) == content
        if not killed:
            break
    assert seen == {OLD, NEW}
    sys.stdout.write(f"{point}\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
