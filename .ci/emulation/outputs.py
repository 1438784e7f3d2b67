"""Outputs of artifacts on the machine that runs this: x86 and the emulated board both do; it needs no torch.

Usage: outputs.py save DRAWN ARITHMETIC FOLDER ARTIFACT...   outputs, boxes or poses, as FOLDER/NAME.ARITHMETIC.npz
       outputs.py half ARTIFACT                              JSON: in f16, values that are not finite, error, seconds
       outputs.py attention DRAWN                            values that are not finite, with the export's masks or not
"""

import json
import sys
import time
from pathlib import Path
from typing import Any, cast

import numpy as np

from edge.codecs import decode_boxes
from edge.model import Model, load
from edge.parity.boxes import strong_boxes
from edge.parity.raw_error import raw_error
from edge.parity.reference import load_reference
from edge.parity.verify import run_batches
from runtimes.artifact import REFERENCE, Artifact
from runtimes.base import Arithmetic
from runtimes.spec import ImageSpec

IMAGES = 2
# What the ViTs of inputs.py take.
VIT_IMAGE = ImageSpec(wh=(192, 256), mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))


def save(drawn: Path, arithmetic: Arithmetic, folder: Path, artifacts: list[Path]) -> None:
    """Run each artifact with one thread and save what it gives; none where the engine computes otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in artifacts:
        with load(path, threads=1, precision=arithmetic) as model:
            if model.session.effective.precision != arithmetic:
                print(f"{path.name}: {model.session.effective.engine} computes in f32 here")
                continue
            np.savez(folder / f"{path.name}.{arithmetic}.npz", **outputs_of(model, path, drawn))


def outputs_of(model: Model, path: Path, drawn: Path) -> dict[str, Any]:
    """Return the outputs of the reference's first images; a detector's boxes in them, poses in the frame's boxes.

    A detector is not given the frame: OpenCV resizes it otherwise on ARM, by one grey level in places.
    """
    images = load_reference(path / REFERENCE).images[:IMAGES]
    outputs = run_batches(model.session, model.spec.inputs[0].name, images)
    found: dict[str, Any] = {f"output {name}": array for name, array in outputs.items()}
    if model.spec.is_detector:
        decoded = strong_boxes(decode_boxes(outputs, model.spec))
        found["boxes px"] = np.concatenate(
            [np.empty((0, 4)), *(each.boxes for each in decoded.values())]
        )
    elif model.spec.takes_boxes:
        with np.load(drawn / "frame.npz") as frame:
            found["keypoints px"] = model.poses(frame["frame"], frame["boxes"]).xy
    return found


def half(path: Path) -> int:
    """Run the first image of the reference in f16 and print what became of it; returns 1 unless all is finite."""
    reference = load_reference(Artifact.open(path).root / REFERENCE)
    with load(path, threads=1, precision="f16") as model:
        begin = time.perf_counter()
        outputs = run_batches(model.session, model.spec.inputs[0].name, reference.images[:1])
        seconds = time.perf_counter() - begin
        broken = sum(int(np.count_nonzero(~np.isfinite(each))) for each in outputs.values())
        values = sum(each.size for each in outputs.values())
        error = raw_error(reference, outputs) if broken == 0 else None
        arithmetic = model.session.effective.precision
    record = {"arithmetic": arithmetic, "values": values, "not_finite": broken}
    print(json.dumps(record | {"raw_error": error, "inference_s": round(seconds, 1)}))
    return int(broken > 0 or arithmetic != "f16")


def check_attention(drawn: Path) -> int:
    """Run the ViTs in f16 arithmetic; returns 1 unless each is finite with masks, and is not without."""
    failed, records = False, []
    for vit in sorted(drawn.glob("vit-*")):
        masked, bare = (count_broken(vit, name) for name in ("model.ncnn.param", "bare.param"))
        records.append({"network": vit.name, "with_masks": masked, "without": bare})
        failed |= masked > 0 or bare == 0
    print(json.dumps(records))
    return int(failed)


def count_broken(folder: Path, param: str) -> int:
    """Return how many of the ViT's outputs are not finite in f16 arithmetic."""
    import ncnn

    from runtimes.adapters.ncnn_adapter import image_mat

    net = ncnn.Net()
    net.opt.num_threads = 1
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = True
    net.load_param(str(folder / param))
    net.load_model(str(folder / "model.ncnn.bin"))
    extractor = net.create_extractor()
    extractor.input("in0", image_mat(ncnn, np.load(folder / "image.npy"), VIT_IMAGE))
    values = np.array(extractor.extract("out0")[1])
    extractor.clear()
    net.clear()
    return int(np.count_nonzero(~np.isfinite(values)))


def main() -> int:
    """Run the named step; returns the exit code."""
    match sys.argv[1:]:
        case ["save", drawn, arithmetic, folder, *artifacts]:
            save(
                Path(drawn),
                cast("Arithmetic", arithmetic),
                Path(folder),
                list(map(Path, artifacts)),
            )
        case ["half", artifact]:
            return half(Path(artifact))
        case ["attention", drawn]:
            return check_attention(Path(drawn))
        case _:
            raise SystemExit(__doc__)
    return 0


if __name__ == "__main__":
    sys.exit(main())
