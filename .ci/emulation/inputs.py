"""Inputs for the emulated board, made on this machine (with torch).

Usage: inputs.py drawn FOLDER                  a drawn frame with its boxes, and ViTs whose attention overflows half
       inputs.py networks ORACLES FOLDER       each network of the reference data as fp32 artifacts for engines with f16
"""

import runpy
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from edge.synth import draw_scene
from export import Target, export_model, load_checkpoint, to_ncnn
from export.checkpoint import with_input
from export.converter import ConversionSource
from export.inputs import drawn_inputs
from export.ncnn.param_file import without_masks
from export.torch_session import normalise
from quantize.distill.student import new_student, student_spec, student_variant

SCENE, FRAME_WH, PEOPLE = 3, (640, 480), 3
VIT_WH, VIT_WIDTH = (192, 256), 48
# The largest sums of query times key: the first overflows float16 (65504) in arithmetic, the scores of the other, which
# are a quarter of it, in storage; positive, as softmax makes zero of what overflows below.
SUMS = (70_000, 400_000)
# Engines that compute in float16 on ARM; the others take f32 on a CPU whatever is asked for.
HALF = ("ncnn", "openvino")
PICTURES = 1  # that the gate of a network runs: one emulated inference takes minutes


@dataclass(frozen=True, slots=True)
class Choice:
    """How a network of the reference data is loaded, where its checkpoint alone does not say so."""

    task: str | None = None
    heads: int | None = None
    wh: tuple[int, int] | None = None


CHOICES = {
    "vitae-vitpose++-s-moe-d3": Choice(task="wholebody"),
    "sapiens-mini-17": Choice(heads=6, wh=(192, 256)),
    "openpose-coco18": Choice(wh=(248, 184)),
    "lightweight-openpose": Choice(wh=(424, 256)),
}


def write_drawn(folder: Path) -> None:
    """Write a drawn frame with boxes, and the files of ViTs, each in a folder of its own."""
    scene = draw_scene(SCENE, FRAME_WH, PEOPLE)
    boxes = np.stack([person.box for person in scene.people]).astype(np.float32)
    np.savez(folder / "frame.npz", frame=scene.image, boxes=boxes)
    cv2.imwrite(str(folder / "frame.png"), scene.image)
    for largest in SUMS:
        vit = folder / f"vit-{largest}"
        vit.mkdir()
        write_vit(vit, largest)


def write_vit(folder: Path, largest: float) -> None:
    """Convert a ViT with loud queries and keys to ncnn, as `edgepose export` does, and once more without masks."""
    variant = student_variant(f"vitpose-{VIT_WIDTH}x2x3-simple", VIT_WH)
    network, spec = new_student(variant, 0).eval(), student_spec(variant, "vit")
    images = drawn_inputs(spec, 1).images
    attention = network.backbone.layers[0].attn
    sums: list[float] = []

    def measure(_module: object, _inputs: object, output: torch.Tensor) -> None:
        query, key, _ = (attention._by_head(part) for part in output.chunk(3, dim=-1))  # noqa: SLF001 - a check of ours
        sums.append(float((query @ key.transpose(-1, -2)).max()))

    hook = attention.qkv.register_forward_hook(measure)
    with torch.no_grad():
        network(normalise(torch.from_numpy(images), spec.image))
        hook.remove()
        gain = (largest / sums[0]) ** 0.5
        attention.qkv.weight[: 2 * VIT_WIDTH] *= gain
        attention.qkv.bias[: 2 * VIT_WIDTH] *= gain
    converted = to_ncnn.convert(ConversionSource(network, spec, folder, images), "fp32", folder)
    last = converted.kept[-1]
    print(f"{folder.name}: {len(converted.kept)} layers, {last.precision}; {last.reason}")
    text = (folder / "model.ncnn.param").read_text()
    (folder / "bare.param").write_text(without_masks(text))
    np.save(folder / "image.npy", images[0])


def write_networks(oracles: Path, folder: Path) -> None:
    """Export the networks that ORACLES has weights of; those whose reference is of another input size, smaller."""
    regen = runpy.run_path(str(oracles / "regen.py"))["regen"]
    for weights in sorted(oracles.glob("*.regen.npz")):
        name = weights.name.removesuffix(".regen.npz")
        print(name, flush=True)
        export_network(name, regen(name, str(oracles)), oracles, folder)


def export_network(name: str, state: dict[str, np.ndarray], oracles: Path, folder: Path) -> None:
    """Write one network's checkpoint and export it; what the gate refuses is left out, and said."""
    chosen = CHOICES.get(name, Choice())
    source = folder / "checkpoints" / name
    source.mkdir(parents=True)
    checkpoint = source / f"{name}.pth"
    tensors = {key: torch.from_numpy(np.array(value)) for key, value in state.items()}
    torch.save({"meta": {}, "state_dict": tensors}, checkpoint)
    config = oracles / f"{name}.config.json"
    if config.is_file():
        shutil.copyfile(config, source / "config.json")
    loaded = load_checkpoint(checkpoint, task=chosen.task, heads=chosen.heads)
    if chosen.wh:
        loaded = with_input(loaded, chosen.wh)
    targets = [Target(runtime, "fp32") for runtime in HALF]
    inputs = drawn_inputs(loaded.spec, PICTURES)
    for made in export_model(loaded, targets, folder / "artifacts" / name, inputs=inputs):
        print(f"  {made.path.name}: {'exported' if made.passed else 'REFUSED'}")
    shutil.rmtree(source)


def main() -> None:
    """Run the named step."""
    match sys.argv[1:]:
        case ["drawn", folder]:
            write_drawn(Path(folder))
        case ["networks", oracles, folder]:
            write_networks(Path(oracles), Path(folder))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
