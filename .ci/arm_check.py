"""Outputs of artifacts on two machines, compared; both run this file, and the emulated board has no torch.

Usage: arm_check.py inputs FOLDER                 a drawn frame with its boxes, and ViTs whose attention overflows half
       arm_check.py outputs FOLDER NPZ ARTIFACT..  outputs, boxes on the reference's first images; poses on the frame
       arm_check.py compare NPZ NPZ                largest differences; exit 1 where one is over its limit
       arm_check.py attention FOLDER               values that are not finite, with the masks of the export and without
"""

import sys
from pathlib import Path

import numpy as np

FRAME = "frame.npz"
BARE = "bare.param"
IMAGES = 2
# of outputs, relative to the largest or 1; pixels of the frame
OUTPUT_LIMIT, PIXEL_LIMIT = 2e-4, 0.05
WH = (192, 256)
# the largest sums of query times key: the first overflows float16 (65504) in arithmetic, the scores of the other, which
# are a quarter of it, in storage; positive, as softmax makes zero of what overflows below
SUMS = (70_000, 400_000)


def write_inputs(folder: Path) -> None:
    """Write a drawn frame with boxes, and the files of ViTs, each in a folder of its own."""
    from edge.synth import draw_scene

    scene = draw_scene(3, (640, 480), 3)
    boxes = np.stack([person.box for person in scene.people]).astype(np.float32)
    np.savez(folder / FRAME, frame=scene.image, boxes=boxes)
    for largest in SUMS:
        vit = folder / f"vit-{largest}"
        vit.mkdir()
        write_vit(vit, largest)


def write_vit(folder: Path, largest: float) -> None:
    """Convert a ViT with loud queries and keys to ncnn, as `edgepose export` does, and once more without masks."""
    import torch

    from export import to_ncnn
    from export.converter import ConversionSource
    from export.inputs import drawn_inputs
    from export.ncnn.param_file import without_masks
    from export.torch_session import normalise
    from quantize.distill.student import new_student, student_spec, student_variant

    variant = student_variant("vitpose-48x2x3-simple", WH)
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
        attention.qkv.weight[: 2 * 48] *= gain
        attention.qkv.bias[: 2 * 48] *= gain
    converted = to_ncnn.convert(ConversionSource(network, spec, folder, images), "fp32", folder)
    last = converted.kept[-1]
    print(f"{folder.name}: {len(converted.kept)} layers, {last.precision}; {last.reason}")
    text = (folder / "model.ncnn.param").read_text()
    (folder / BARE).write_text(without_masks(text))
    np.save(folder / "image.npy", images[0])


def save_outputs(folder: Path, target: Path, artifacts: list[Path]) -> None:
    """Run each artifact in f32 arithmetic with one thread, and save what it gives by the name of the artifact."""
    from edge.codecs import decode_boxes
    from edge.model import load
    from edge.parity.boxes import strong_boxes
    from edge.parity.reference import load_reference
    from edge.parity.verify import run_batches
    from runtimes.artifact import REFERENCE

    drawn = np.load(folder / FRAME)
    found = {}
    for path in artifacts:
        images = load_reference(path / REFERENCE).images[:IMAGES]
        with load(path, threads=1) as model:
            outputs = run_batches(model.session, model.spec.inputs[0].name, images)
            found |= {f"{path.name} output {name}": array for name, array in outputs.items()}
            if model.spec.is_detector:
                # of the reference's images: OpenCV resizes a frame otherwise on ARM, by one grey level in places
                decoded = strong_boxes(decode_boxes(outputs, model.spec))
                found[f"{path.name} boxes px"] = np.concatenate(
                    [np.empty((0, 4)), *(each.boxes for each in decoded.values())]
                )
            elif model.spec.takes_boxes:
                found[f"{path.name} keypoints px"] = model.poses(drawn["frame"], drawn["boxes"]).xy
    np.savez(target, **found)


def compare(one: Path, other: Path) -> int:
    """Print the largest difference of each array; returns 1 where one is over its limit, or of another shape."""
    ours, theirs = np.load(one), np.load(other)
    failed = sorted(set(ours) ^ set(theirs))
    for name in sorted(set(ours) & set(theirs)):
        mine, its = ours[name].astype(np.float64), theirs[name].astype(np.float64)
        pixels = name.endswith(" px")
        limit = PIXEL_LIMIT if pixels else OUTPUT_LIMIT
        if mine.shape != its.shape:
            print(f"{name}: {mine.shape} and {its.shape}")
            failed.append(name)
            continue
        scale = 1.0 if pixels else max(1.0, float(np.abs(mine).max(initial=0)))
        error = float(np.abs(mine - its).max(initial=0)) / scale
        print(f"{name}: {error:.2g} (limit {limit})")
        if not error <= limit:
            failed.append(name)
    if failed:
        print(f"over the limit: {', '.join(failed)}")
    return int(bool(failed))


def check_attention(folder: Path) -> int:
    """Run the ViTs in f16 arithmetic; returns 1 unless each is finite with masks, and is not without."""
    failed = False
    for vit in sorted(folder.glob("vit-*")):
        masked, bare = (count_broken(vit, name) for name in ("model.ncnn.param", BARE))
        print(f"{vit.name} in f16: with masks {masked}, without {bare} values are not finite")
        failed |= masked > 0 or bare == 0
    return int(failed)


def count_broken(folder: Path, param: str) -> int:
    """Return how many of the ViT's outputs are not finite in f16 arithmetic."""
    import ncnn

    from runtimes.adapters.ncnn_adapter import image_mat
    from runtimes.spec import ImageSpec

    image = np.load(folder / "image.npy")
    spec = ImageSpec(wh=WH, mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
    net = ncnn.Net()
    net.opt.num_threads = 1
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = True
    net.load_param(str(folder / param))
    net.load_model(str(folder / "model.ncnn.bin"))
    extractor = net.create_extractor()
    extractor.input("in0", image_mat(ncnn, image, spec))
    values = np.array(extractor.extract("out0")[1])
    extractor.clear()
    net.clear()
    return int(np.count_nonzero(~np.isfinite(values)))


def main() -> int:
    """Run the named step; returns the exit code."""
    step, *paths = sys.argv[1], *map(Path, sys.argv[2:])
    match step:
        case "inputs":
            write_inputs(paths[0])
        case "outputs":
            save_outputs(paths[0], paths[1], paths[2:])
        case "compare":
            return compare(*paths)
        case "attention":
            return check_attention(paths[0])
        case _:
            raise SystemExit(__doc__)
    return 0


if __name__ == "__main__":
    sys.exit(main())
