"""Weights, inputs and outputs of the reference implementations that models_table.py compares with."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from edge.parity.raw_error import tensor_error
from export import LoadedModel, load_checkpoint


@dataclass(frozen=True)
class Oracle:
    """A reference implementation's weights and outputs, of one family.

    `renamed`: names of its output arrays where they differ from ours; `task` and `heads` are passed to the loader.
    `weights`: the checkpoint where it is trained; the weights of the others are generated.
    """

    family: str
    name: str
    task: str | None = None
    renamed: dict[str, str] = field(default_factory=dict)
    weights: str = ""
    heads: int | None = None


ORACLES = (
    Oracle("rtmpose", "rtmpose-t"),
    Oracle("rtmpose", "rtmpose-s"),
    Oracle(
        "rtmdet",
        "rtmdet-nano-real-hw",
        weights="real/models/rtmdet-nano-person/rtmdet_nano_person.pth",
    ),
    Oracle("rtmdet", "rtmdet-nano"),
    Oracle("vitpose", "vitpose-s"),
    Oracle("vitpose", "vitae-vitpose-s"),
    Oracle("vitpose", "hf-vitpose-s-d3"),
    *(
        Oracle("vitpose", "vitae-vitpose++-s-moe-d3", task, {"heatmap": f"heatmap_{task}"})
        for task in ("coco", "aic", "mpii", "ap10k", "apt36k", "wholebody")
    ),
    Oracle("sapiens", "sapiens-mini-17", heads=6),
    Oracle("fastpose", "fastpose-res50"),
    Oracle("openpose", "openpose-coco18"),
    Oracle(
        "openpose_light",
        "lightweight-openpose",
        None,
        {"heatmap": "stage1_heatmaps", "paf": "stage1_pafs"},
    ),
)


@dataclass(frozen=True)
class LoadedOracle:
    """An oracle's model, and its raw error against the reference."""

    oracle: Oracle
    loaded: LoadedModel
    error: float


def find_oracles(shared: Path, family: str, scratch: Path) -> Iterator[LoadedOracle]:
    """Load the family's oracles, and compare their outputs."""
    for oracle in ORACLES:
        if oracle.family == family:
            loaded = load_oracle(shared, oracle, scratch)
            yield LoadedOracle(oracle, loaded, oracle_error(shared / "oracles", oracle, loaded))


def load_oracle(shared: Path, oracle: Oracle, scratch: Path) -> LoadedModel:
    """Load the oracle's checkpoint; generated weights are written first, with their config.json where there is one."""
    if oracle.weights:
        return load_checkpoint(shared / oracle.weights)
    home = scratch / oracle.name
    path = home / "model.pth"
    folder = shared / "oracles"
    if not path.exists():
        home.mkdir()
        command = [sys.executable, "-B", folder / "regen.py", oracle.name, path]
        subprocess.run(command, check=True, capture_output=True)
        if (config := folder / f"{oracle.name}.config.json").exists():
            shutil.copy(config, home / "config.json")
    return load_checkpoint(path, task=oracle.task, heads=oracle.heads)


def oracle_error(folder: Path, oracle: Oracle, loaded: LoadedModel) -> float:
    """Return the raw error of the module against the reference, the worst output."""
    with np.load(folder / f"{oracle.name}.npz") as archive:
        reference = dict(archive)
    with torch.no_grad():
        outputs = loaded.module(torch.from_numpy(network_input(reference, loaded)))
    return max(
        tensor_error(reference[oracle.renamed.get(tensor.name, tensor.name)], output.numpy())
        for tensor, output in zip(loaded.spec.outputs, outputs, strict=True)
    )


def network_input(reference: dict[str, np.ndarray], loaded: LoadedModel) -> np.ndarray:
    """Return the reference's input; where only its crop is stored, that crop normalised."""
    if "input" in reference:
        return reference["input"]
    image = loaded.spec.image
    pixels = reference["crop_bgr_u8"][..., :: -1 if image.order == "RGB" else 1].astype(np.float32)
    normal = (pixels - np.float32(image.mean)) / np.float32(image.std)
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None])
