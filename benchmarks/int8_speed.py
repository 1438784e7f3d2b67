"""Speed and weight size of the int8 artifacts of int8_table.py, beside their parents: one thread, an idle machine.

    python benchmarks/int8_speed.py docs/measured OUT

Every artifact runs in its own process; float, int8 and (on OpenVINO) float in bf16 take turns. The gate judged these
same files. `valid`: whether every process had a core to itself. `weights`: bytes of all constants in the engine's file
relative to the expected bytes, which are one for each weight of an int8 layer and two for every other number of the
parent (four on ONNX Runtime). Writes int8_speed.json.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from progress import machine_words

from edge.bench.measure import Case, Plan, bench
from quantize.int8.registry import quantizer
from runtimes.artifact import Artifact
from runtimes.base import RunOptions

PLAN = Plan(rounds=12, time_s=4.0)


def speeds(parent: Artifact, made: Artifact) -> dict[str, Any]:
    """Return the median milliseconds of a parent in float, int8 and (OpenVINO) bf16, and whether they are valid."""
    one = RunOptions(threads=1)
    cases = [Case(parent, one), Case(made, one)]
    if parent.manifest.runtime == "openvino":
        cases.append(Case(parent, replace(one, precision="bf16")))
    rows = bench(cases, PLAN).rows
    return {
        "parent_ms": rows[0].typical_ms,
        "int8_ms": rows[1].typical_ms,
        "bf16_ms": rows[2].typical_ms if len(rows) > 2 else None,
        "valid": all(row.valid for row in rows),
    }


def weight_share(parent: Artifact, made: Artifact) -> float:
    """Return the bytes of an int8 artifact's constants relative to the expected bytes."""
    runtime = parent.manifest.runtime
    kept = {layer.layer for layer in made.manifest.kept}
    layers = quantizer(runtime).layers(parent)
    narrow = sum(layer.weights for layer in layers if layer.name not in kept)
    item_bytes = 2 if parent.manifest.precision == "fp16" else 4
    wide = constant_bytes(parent) // item_bytes - narrow
    return constant_bytes(made) / (narrow + wide * (4 if runtime == "onnxruntime" else 2))


def constant_bytes(artifact: Artifact) -> int:
    """Return the bytes of all constants in the engine's file."""
    runtime = artifact.manifest.runtime
    if runtime == "onnxruntime":
        import onnx

        graph = onnx.load(str(artifact.file(".onnx"))).graph
        return sum(len(tensor_bytes(tensor)) for tensor in graph.initializer)
    if runtime == "tflite":
        from ai_edge_quantizer.utils import tfl_flatbuffer_utils

        model = tfl_flatbuffer_utils.read_model(str(artifact.file(".tflite")))
        return sum(len(buffer.data) for buffer in model.buffers if buffer.data is not None)
    return artifact.file(".bin").stat().st_size


def tensor_bytes(tensor: Any) -> bytes:
    """Return the values of an ONNX tensor as bytes, however they are stored."""
    from onnx import numpy_helper

    values: bytes = numpy_helper.to_array(tensor).tobytes()
    return values


def main() -> None:
    """Measure every pair in int8.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("measured", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    table = msgspec.json.decode((args.measured / "int8.json").read_bytes())
    found: dict[str, Any] = {}
    for row in table["rows"]:
        # a rejected artifact is removed once one of the same name has passed
        if row["artifact"] and (args.out / row["artifact"]).is_dir():
            pair = (Artifact.open(args.out / row[name]) for name in ("parent", "artifact"))
            parent, made = pair
            found[row["artifact"]] = {**speeds(parent, made), "weights": weight_share(parent, made)}
            print(row["artifact"], found[row["artifact"]], flush=True)
    data = {"speeds": found, "on": machine_words()}
    path = args.measured / "int8_speed.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(data), indent=1) + b"\n")


if __name__ == "__main__":
    main()
