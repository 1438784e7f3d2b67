"""The OpenPose networks: accepted layouts, refusals, and BODY_25 against Caffe's own description of it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edge.catalog.lookup import CATALOG, spec_of
from edge.catalog.specs_openpose import openpose_spec, openpose_tf_spec
from export.checkpoint import LoadedModel, load_checkpoint, with_input
from export.models import openpose, openpose_body25, openpose_coco18, openpose_light
from export.random_weights import random_model
from export.recognise import recognise
from export.registry import variant_of
from runtimes.errors import CheckpointError, InputError

State = dict[str, torch.Tensor]
BODY25 = Path(__file__).parents[2] / "data" / "body25_caffe.npz"
NETS = {
    "openpose-coco18": openpose_coco18.OpenPose,
    "openpose-body25": openpose_body25.Body25,
    "openpose-light": openpose_light.PoseMobileNet,
}
# As CMU's prototxt names BODY_25's layers, which is how ports to PyTorch save them.
CAFFE = ("conv1_1.weight", "prelu4_2.weight", "Mconv1_stage0_L2_0.bias", "Mprelu5_stage3_L2_2.weight",
         "Mconv7_stage1_L1.bias")  # fmt: skip


@pytest.fixture(scope="module")
def light() -> LoadedModel:
    return random_model("openpose-light")


def state_of(name: str) -> State:
    with torch.device("meta"):
        return NETS[name]().state_dict()


def flat(state: State) -> State:
    """The tensors under the last two parts of their names."""
    return {".".join(key.split(".")[-2:]): value for key, value in state.items()}


@pytest.mark.parametrize("name", ["openpose-coco18", "openpose-body25"])
@pytest.mark.parametrize("prefix", ["", "model0.", "models.stage.0."])
def test_whatever_stands_before_the_layers_names(name: str, prefix: str) -> None:
    wanted = state_of(name)
    variant, state = recognise(
        Path("file"), {prefix + key: value for key, value in flat(wanted).items()}
    )
    assert variant == variant_of(CATALOG[name])
    assert {key: value.shape for key, value in state.items()} == {
        key: value.shape for key, value in wanted.items()
    }


def test_body25_has_caffes_layers() -> None:
    state = flat(state_of("openpose-body25"))
    assert set(CAFFE) <= set(state)
    # 12 of the trunk and its 3 PReLUs; in each of six stages 17 convolutions with a bias, all but the last with a PReLU
    assert len(state) == 2 * 12 + 3 + 6 * (2 * 17 + 16)
    shapes = {
        "Mconv1_stage0_L2_0.weight": (96, 128, 3, 3),
        "Mconv1_stage1_L2_0.weight": (128, 128 + 52, 3, 3),
        "Mconv2_stage3_L2_0.weight": (128, 3 * 128, 3, 3),
        "Mconv6_stage0_L1.weight": (256, 3 * 96, 1, 1),
        "Mconv1_stage1_L1_0.weight": (128, 128 + 26 + 52, 3, 3),
        "Mconv7_stage3_L2.weight": (52, 512, 1, 1),
        "Mconv7_stage1_L1.weight": (26, 512, 1, 1),
    }
    assert {key: tuple(state[key].shape) for key in shapes} == shapes


def test_body25_concatenates_as_caffe_does() -> None:
    # a stage reads features, then (the last one) heatmaps, then fields; a block gives its three steps in order
    net = openpose_body25.Body25().eval()
    seen: dict[str, torch.Tensor] = {}

    def note(name: str) -> None:
        net.get_submodule(name).register_forward_hook(
            lambda _module, inputs, output: seen.update({f"{name} in": inputs[0], name: output})
        )

    for name in ("features", "fields.2", "fields.3", "heatmaps.0", "heatmaps.1"):
        note(name)
    block = net.fields[0].block1
    with torch.no_grad():
        heatmap, paf = net(torch.randn(1, 3, 32, 48))
        x = torch.randn(1, 128, 4, 6)
        first = block.Mprelu1_stage0_L2_0(block.Mconv1_stage0_L2_0(x))
        assert torch.equal(block(x)[:, :96], first)

    features, fields = seen["features"], seen["fields.3"]
    assert torch.equal(seen["fields.3 in"], torch.cat([features, seen["fields.2"]], dim=1))
    assert torch.equal(seen["heatmaps.0 in"], torch.cat([features, fields], dim=1))
    joined = torch.cat([features, seen["heatmaps.0"], fields], dim=1)
    assert torch.equal(seen["heatmaps.1 in"], joined)
    assert torch.equal(heatmap, seen["heatmaps.1"])
    assert torch.equal(paf, fields)
    assert (heatmap.shape, paf.shape) == ((1, 26, 4, 6), (1, 52, 4, 6))


def body25_weights() -> State:
    """Weights drawn layer after layer, in the order of Caffe's names: kernels at He's gain, the rest in +-.25."""
    random = np.random.default_rng(25)
    state = flat(state_of("openpose-body25"))
    drawn = {}
    for layer in sorted({key.rpartition(".")[0] for key in state}):
        for part in ("weight", "bias"):
            if (key := f"{layer}.{part}") in state:
                shape = tuple(state[key].shape)
                scale = (24 / np.prod(shape[1:])) ** 0.5 if len(shape) == 4 else 0.5
                values = random.random(shape, np.float32) - np.float32(0.5)
                values *= np.float32(scale)
                drawn[key] = torch.from_numpy(values)
    return drawn


def test_body25_equals_caffes_description_of_it(tmp_path: Path) -> None:
    """OpenCV 4.10 ran CMU's models/pose/body_25/pose_deploy.prototxt with the weights above, as a caffemodel."""
    torch.save(body25_weights(), tmp_path / "body25.pth")
    loaded = load_checkpoint(tmp_path / "body25.pth")
    image = np.random.default_rng(1).uniform(-0.5, 0.5, (1, 3, 48, 64)).astype(np.float32)
    with torch.no_grad():
        heatmap, paf = loaded.module(torch.from_numpy(image))
    with np.load(BODY25) as file:
        wanted = file["output"]  # net_output: heatmaps, then fields
    got = torch.cat([heatmap, paf], dim=1).numpy()
    assert np.abs(wanted).max() > 1
    assert np.abs(got - wanted).max() <= 1e-4


def test_refining_stages_that_are_not_run_may_be_in_the_file(
    tmp_path: Path, light: LoadedModel
) -> None:
    state = light.module.state_dict()
    trained = state | {
        key.replace("stages.0.", f"stages.{stage}."): value + 1
        for key, value in state.items()
        if key.startswith("refinement_stages.0.")
        for stage in (1, 2)
    }
    torch.save({"state_dict": trained, "iter": 370000}, tmp_path / "model.pth")
    loaded = load_checkpoint(tmp_path / "model.pth")
    assert loaded.spec.model == "openpose-light"
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        for got, wanted in zip(loaded.module(image), light.module(image), strict=True):
            assert torch.equal(got, wanted)


def test_a_file_that_lacks_a_layer_says_which(tmp_path: Path, light: LoadedModel) -> None:
    gone = "refinement_stages.0.trunk.4.initial.0.weight"
    state = {key: value for key, value in light.module.state_dict().items() if key != gone}
    torch.save(state, tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match=rf"1 tensor is missing \(first: {gone}\)"):
        load_checkpoint(tmp_path / "model.pth")


def test_the_hand_net_of_the_same_authors_is_not_taken_for_the_body() -> None:
    hand = {f"conv{row}_1.weight": torch.zeros(1) for row in (1, 2, 3)} | {
        "conv6_2_CPM.weight": torch.zeros(22, 512, 1, 1),
        "Mconv7_stage6.weight": torch.zeros(22, 128, 1, 1),
    }
    assert openpose.canonical(hand, None) is None
    assert openpose.recognise(hand) is None


@pytest.mark.parametrize("name", NETS)
def test_licences_follow_the_network(name: str) -> None:
    entry = CATALOG[name]
    assert entry.commercial_use is (name == "openpose-light")
    if not entry.commercial_use:
        assert entry.licence_covers == "model"
        assert "non-commercial" in entry.licence


@pytest.mark.parametrize("name", NETS)
def test_specs_have_the_references_preprocessing(name: str) -> None:
    spec = spec_of(CATALOG[name])
    # pixels / 256 - 0.5 and (pixels - 128) / 256 are one; so are padding by 128 before it and by 0 after
    assert (spec.image.order, spec.image.mean, spec.image.std) == ("BGR", (128,) * 3, (256,) * 3)
    assert (spec.crop.kind, spec.crop.pad_value) == ("letterbox", 128)
    assert spec.task == "pose-bottomup"


def test_the_imported_net_scales_to_one_on_each_side_of_zero() -> None:
    spec = openpose_tf_spec()
    assert (spec.image.order, spec.image.mean, spec.image.std) == (
        "BGR", (127.5,) * 3, (127.5,) * 3,
    )  # fmt: skip
    assert [tensor.shape for tensor in spec.outputs] == [(-1, 57, 46, 54)]


def test_other_inputs_are_multiples_of_the_stride(light: LoadedModel) -> None:
    small = with_input(light, (96, 64))
    with torch.no_grad():
        outputs = small.module(torch.zeros(1, 3, 64, 96))
    assert [tuple(out.shape[1:]) for out in outputs] == [t.shape[1:] for t in small.spec.outputs]
    with pytest.raises(CheckpointError, match="multiples of 8, not 100x64"):
        with_input(light, (100, 64))
    with pytest.raises(InputError, match="multiples of 8, not 100x64"):
        openpose_spec("any", (100, 64), "openpose18")


@pytest.mark.parametrize("name", NETS)
def test_random_weights_carry_the_signal_to_the_end(name: str) -> None:
    made = random_model(name)
    with torch.no_grad():
        one, two = (made.module(torch.randn(1, 3, 64, 64) * 0.3) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        assert float(a.std()) > 0.005
        assert float((a - b).abs().max()) > 1e-3  # the picture, not the biases
    assert isinstance(made.module, nn.Module)
    assert made.lineage.commercial_use is (None if name == "openpose-light" else False)
