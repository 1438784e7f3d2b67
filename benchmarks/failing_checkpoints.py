"""Checkpoints as people have them, for failing_inputs.py: other keypoint counts, prefixes, containers and classes."""

from pathlib import Path

import torch

from export.registry import Variant, load_family


def write_checkpoints(folder: Path) -> None:
    """Write untrained checkpoints with counts, names, prefixes and containers that are not the catalogue's."""
    torch.manual_seed(0)
    person = state("rtmpose", "t", (160, 160), "coco17")
    torch.save(
        {"state_dict": cut(person, "head.final_layer", 5)}, folder / "rtmpose_5_keypoints.pth"
    )
    vit = state("vitpose", "s", (192, 256), "body26")
    torch.save(
        {"state_dict": cut(vit, "head.final_layer", 25)}, folder / "vitpose_s_25_keypoints.pth"
    )
    gate = state("rtmpose", "t", (160, 160), "hand21")
    for name, tensors, count in (("horse", person, 17), ("gate", gate, 21)):
        file = {"meta": {"dataset_meta": dataset_meta(name, count)}, "state_dict": tensors}
        torch.save(file, folder / f"{name}_{count}.pth")
    for prefix in ("student", "architecture"):
        prefixed = {f"{prefix}.{name}": tensor for name, tensor in person.items()}
        torch.save({"state_dict": prefixed}, folder / f"prefix_{prefix}.pth")
    torch.save({"state_dict_ema": person}, folder / "under_state_dict_ema.pth")
    ball = Variant("rtmdet", "nano", (320, 320), classes=("player", "ball"))
    meta = {"dataset_meta": {"classes": ball.classes}}
    detector = load_family("rtmdet").build(ball).state_dict()
    torch.save({"meta": meta, "state_dict": detector}, folder / "rtmdet_player_ball.pth")
    write_end2end(folder / "end2end.onnx")


def state(
    family: str, size: str, input_wh: tuple[int, int], schema: str
) -> dict[str, torch.Tensor]:
    """Return the tensors of an untrained network."""
    network = load_family(family).build(Variant(family, size, input_wh, schema=schema))
    return dict(network.state_dict())


def cut(tensors: dict[str, torch.Tensor], layer: str, count: int) -> dict[str, torch.Tensor]:
    """Return the tensors with `count` keypoints in the last layer."""
    heads = {f"{layer}.weight", f"{layer}.bias"}
    return {k: v[:count].clone() if k in heads else v for k, v in tensors.items()}


def dataset_meta(name: str, count: int) -> dict[str, object]:
    """Return what mmpose stores of a data set."""
    return {
        "dataset_name": name,
        "num_keypoints": count,
        "keypoint_id2name": {index: f"{name}_{index}" for index in range(count)},
        "flip_indices": list(range(count)),
        "skeleton_links": [(0, 1)],
        "sigmas": [0.05] * count,
    }


def write_end2end(path: Path) -> None:
    """Write RTMPose-t as mmdeploy does: `input` to `simcc_x` and `simcc_y`, with a free batch."""
    variant = Variant("rtmpose", "t", (192, 256), schema="coco17")
    names = ["input", "simcc_x", "simcc_y"]
    torch.onnx.export(
        load_family("rtmpose").build(variant).eval(),
        (torch.zeros(1, 3, 256, 192),),
        path,
        input_names=names[:1],
        output_names=names[1:],
        dynamic_axes={name: {0: "batch"} for name in names},
        opset_version=17,
        dynamo=False,
    )
