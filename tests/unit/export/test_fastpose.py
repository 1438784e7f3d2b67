"""FastPose: facts that its tensors show or not, and related networks that are refused."""

from pathlib import Path

import pytest
import torch

from edge.catalog.lookup import CATALOG, spec_of
from edge.catalog.specs_fastpose import fastpose_spec
from edge.schema import numbered_schema
from export.models import fastpose
from export.models.fastpose import SIZES, ChannelGate
from export.recognise import recognise
from export.registry import Variant, variant_of
from runtimes.codec_spec import HeatmapCodec, IntegralCodec
from runtimes.errors import CheckpointError, InputError

NAMES = [name for name, entry in CATALOG.items() if entry.family == "fastpose"]
State = dict[str, torch.Tensor]


def state_of(size: str, schema: str = "coco17") -> State:
    with torch.device("meta"):
        return fastpose.build(Variant("fastpose", size, (192, 256), schema)).state_dict()


@pytest.mark.parametrize("schema", ["coco17", "body26", "coco133", "halpe136"])
@pytest.mark.parametrize("size", SIZES)
def test_depth_width_and_keypoints_come_from_the_tensors(size: str, schema: str) -> None:
    found, _ = recognise(Path("file"), state_of(size, schema))
    assert found == Variant("fastpose", size, (192, 256), schema)
    assert isinstance(fastpose.spec(found, "any").codec, HeatmapCodec)


@pytest.mark.parametrize(
    ("key", "relative"),
    [
        ("preact.layer2.0.conv2_offset.weight", r"FastPose \(DCN\)"),
        ("preact.layer3.1.conv2.conv_offset.weight", r"FastPose \(DCN\)"),
        ("preact.layer2.0.conv2.1.weight", r"FastPose \(DUC\)"),
        ("duc3.1.conv.weight", r"FastPose \(DUC\)"),
    ],
)
def test_relatives_are_refused_by_name(key: str, relative: str) -> None:
    state = state_of("res50") | {key: torch.zeros(1)}
    with pytest.raises(CheckpointError, match=f"{relative}.*not supported; known: fastpose-res50"):
        recognise(Path("file"), state)


def test_keypoints_of_no_known_set_are_numbered() -> None:
    # AlphaPose's first release predicts 33 channels
    state = state_of("res101")
    state["conv_out.weight"] = torch.zeros(33, 128, 3, 3, device="meta")
    found = fastpose.recognise(state)
    assert found is not None
    assert found.schema == numbered_schema(33)


def test_a_pruned_network_gets_the_nearest_size_and_what_differs() -> None:
    state = {key: value for key, value in state_of("res50").items() if ".layer3.5." not in key}
    with pytest.raises(CheckpointError, match=r"nearest is fastpose-res50, but \d+ tensors"):
        recognise(Path("file"), state)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_chooses_how_keypoints_are_found(name: str) -> None:
    entry = CATALOG[name]
    spec = fastpose.spec(variant_of(entry), name)
    assert spec == spec_of(entry)
    wanted = IntegralCodec if name.endswith("-integral") else HeatmapCodec
    assert isinstance(spec.codec, wanted)
    assert spec.codec.shift_flip
    assert not entry.commercial_use


def test_colours_keep_alphaposes_slip() -> None:
    # alphapose/utils/presets/simple_transform.py: img[0] -= .406, img[1] -= .457, img[2] -= .480, of an RGB image
    image = fastpose_spec("any", (192, 256), "coco17").image
    assert image.order == "RGB"
    assert [mean / 255 for mean in image.mean] == pytest.approx([0.406, 0.457, 0.480])
    assert image.std == (255.0, 255.0, 255.0)


def test_any_input_of_whole_strides() -> None:
    variant = fastpose.resize(Variant("fastpose", "res50", (192, 256), "coco17"), (256, 320))
    spec = fastpose.spec(variant, "any")
    with torch.device("meta"):
        (heatmap,) = fastpose.build(variant)(torch.zeros(2, 3, 320, 256))
    assert heatmap.shape == (2, *spec.outputs[0].shape[1:])
    with pytest.raises(CheckpointError, match="multiples of 32, not 200x256"):
        fastpose.resize(variant, (200, 256))
    with pytest.raises(InputError, match="multiples of 32, not 200x256"):
        fastpose_spec("any", (200, 256), "coco17")


def test_a_gate_scales_channels_by_what_their_mean_says() -> None:
    gate = ChannelGate(2)
    with torch.no_grad():
        for layer in (gate.fc[0], gate.fc[2]):
            layer.weight.copy_(torch.eye(2))
            layer.bias.zero_()
        x = torch.tensor([1.0, 3.0, -1.0, -3.0]).view(1, 2, 1, 2)
        got = gate(x)
    # means 2 and -2; the rectifier makes the second 0; sigmoid(2) and sigmoid(0)
    gates = torch.tensor([2.0, 0.0]).sigmoid().view(1, 2, 1, 1)
    torch.testing.assert_close(got, x * gates)
