"""Properties of the networks that converters rely on."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from edge.catalog.lookup import CATALOG, CatalogEntry
from export.models.rtmdet_sizes import PUBLISHED
from export.models.rtmpose import ScaleNorm
from export.random_weights import random_model
from export.registry import FAMILIES, load_family, variant_of
from runtimes.errors import CheckpointError, InputError

OURS = {name: entry for name, entry in CATALOG.items() if entry.family in FAMILIES}
SMALL = ["rtmpose-t", "rtmdet-nano", "rtmdet-tiny"]


@pytest.mark.parametrize("entry", OURS.values(), ids=OURS)
def test_catalogue_figures_and_shapes_are_those_of_the_network(entry: CatalogEntry) -> None:
    variant = variant_of(entry)
    family = load_family(entry.family)
    width, height = entry.input_wh
    with torch.device("meta"):
        network = family.build(variant).eval()
        image = torch.zeros(1, 3, height, width)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        outputs = network(image)

    spec = family.spec(variant, entry.name)
    assert [tuple(out.shape[1:]) for out in outputs] == [t.shape[1:] for t in spec.outputs]
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(
        entry.params_m, abs=0.005
    )
    assert counter.get_total_flops() / 2e9 == pytest.approx(entry.gmacs, abs=0.005)


@pytest.mark.parametrize("name", SMALL)
def test_random_weights_follow_from_the_seed_and_detect_nothing(name: str) -> None:
    first = random_model(name)
    torch.manual_seed(5)
    untouched = torch.random.get_rng_state()
    again, other = random_model(name), random_model(name, seed=1)
    assert torch.equal(torch.random.get_rng_state(), untouched)

    states = [model.module.state_dict() for model in (first, again, other)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert not all(torch.equal(states[0][key], states[2][key]) for key in states[0])
    assert first.lineage.weights == "random"
    width, height = first.spec.image.wh
    outputs = first.module(torch.randn(2, 3, height, width))
    for tensor, output in zip(first.spec.outputs, outputs, strict=True):
        assert 0.01 < float(output.std()) < 100
        if tensor.name.startswith("cls"):
            assert float(output.sigmoid().max()) < first.spec.thresholds.score


def test_random_weights_of_a_model_we_cannot_build() -> None:
    with pytest.raises(CheckpointError, match="--like movenet-lightning"):
        random_model("movenet-lightning")
    with pytest.raises(InputError, match="did you mean"):
        random_model("rtmpose-q")


@pytest.mark.parametrize("name", ["rtmpose-t", "rtmdet-nano"])
def test_networks_trace_and_export_with_any_batch(name: str) -> None:
    loaded = random_model(name)
    image = torch.randn(2, 3, *reversed(loaded.spec.image.wh))
    three = torch.randn(3, *image.shape[1:])
    batch = torch.export.Dim("batch", min=1, max=8)
    exported = torch.export.export(loaded.module, (image,), dynamic_shapes=({0: batch},)).module()
    with torch.no_grad():
        wanted = loaded.module(three)
        got = exported(three)
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_only_large_detectors_code_distances_as_exponents() -> None:
    # mmdet configs/rtmdet: exp_on_reg is True in l and inherited by m and x, False in tiny and s; nano as mmpose has it
    assert {name for name, size in PUBLISHED.items() if size.exponent} == {"m", "l", "x"}
    with torch.no_grad():
        for name, sign in (("rtmdet-m", 1), ("rtmdet-tiny", -1)):
            network = random_model(name).module
            for layer in network.bbox_head.rtm_reg:
                layer.bias.fill_(-3.0)
            distances = network(torch.randn(1, 3, 64, 64))[3:]
            assert all(bool((level * sign > 0).all()) for level in distances)


def test_scale_norm_gives_unit_root_mean_square_and_survives_zeros() -> None:
    tokens = torch.randn(2, 5, 48) * 7
    normed = ScaleNorm(48)(tokens)
    torch.testing.assert_close(normed.square().mean(-1), torch.ones(2, 5))
    assert torch.equal(ScaleNorm(48)(torch.zeros(1, 1, 48)), torch.zeros(1, 1, 48))
