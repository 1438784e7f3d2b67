"""Masks that exports in floats get: attention whose sums overflow half, beside attention whose sums do not."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("pnnx")
ncnn = pytest.importorskip("ncnn")

from edge.catalog.specs_fastpose import fastpose_spec  # noqa: E402
from export import to_ncnn  # noqa: E402
from export.converter import ConversionSource  # noqa: E402
from export.models.vit_attention import Attention  # noqa: E402
from export.ncnn.blobs import FloatNet, visit_blobs  # noqa: E402
from export.ncnn.param_file import add_params, read_layers, without_masks  # noqa: E402

WIDTH, HEIGHT, DIM, HEADS = 32, 64, 16, 2
HALF_MAX = 65504
IMAGES = np.random.default_rng(4).integers(0, 256, (3, HEIGHT, WIDTH, 3), np.uint8)


class TwoAttentions(torch.nn.Module):
    """Patches, then two attentions over normalised tokens; queries and keys of the second are `gain` times as large."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.patches = torch.nn.Conv2d(3, DIM, 16, 16)
        self.norms = torch.nn.ModuleList(torch.nn.LayerNorm(DIM) for _ in range(2))
        self.attentions = torch.nn.ModuleList(Attention(DIM, HEADS) for _ in range(2))
        self.last = torch.nn.Conv2d(DIM, 17, 1)
        with torch.no_grad():
            self.attentions[1].qkv.weight[: 2 * DIM] *= gain

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = self.patches(image)
        height, width = x.shape[2:]
        tokens = x.flatten(2).transpose(1, 2)
        for norm, attention in zip(self.norms, self.attentions, strict=True):
            tokens = tokens + attention(norm(tokens))
        maps = tokens.transpose(1, 2).reshape(-1, DIM, height, width)
        return (self.last(maps),)

    def largest_sums(self, images: np.ndarray, spec) -> list[float]:
        """The largest sum over a head's channels of query times key, before the scale, of both attentions."""
        sums = []

        def keep(attention, inputs, output) -> None:
            query, key, _ = (attention._by_head(part) for part in output.chunk(3, dim=-1))
            sums.append(float((query @ key.transpose(-1, -2)).abs().max()))

        hooks = [
            each.qkv.register_forward_hook(lambda _m, i, o, each=each: keep(each, i, o))
            for each in self.attentions
        ]
        mean, std = (np.float32(values) for values in (spec.image.mean, spec.image.std))
        batch = torch.from_numpy((images[..., ::-1].astype(np.float32) - mean) / std)
        with torch.no_grad():
            self(batch.permute(0, 3, 1, 2))
        for hook in hooks:
            hook.remove()
        return sums


def masks_of(param) -> dict[str, int]:
    return {each.name: each.params[31] for each in read_layers(param) if 31 in each.params}


def outputs_of(net: FloatNet) -> np.ndarray:
    values = []
    visit_blobs(net, IMAGES, lambda read: values.append(read("out0")))
    return np.stack(values)


@pytest.mark.parametrize(("precision", "gain", "bits"), [("fp32", 170, 1), ("fp16", 300, 3)])
def test_attention_whose_sums_overflow_half_is_masked_and_no_layer_after_it(
    tmp_path, precision, gain, bits
) -> None:
    """A head has 8 channels: scores are a root of 8th of the sums, and stored in half as long as they fit."""
    torch.manual_seed(0)
    spec = fastpose_spec("two", (WIDTH, HEIGHT), "coco17")
    network = TwoAttentions(gain).eval()
    plain, scaled = network.largest_sums(IMAGES, spec)
    assert plain < 1000
    assert scaled > HALF_MAX
    assert (scaled / 8**0.5 > HALF_MAX) == (bits == 3)
    source = ConversionSource(network, spec, tmp_path, IMAGES)
    made = to_ncnn.convert(source, precision, tmp_path)
    param = tmp_path / "model.ncnn.param"
    layers = [each for each in read_layers(param) if each.kind != "Input"]
    _, attention = [index for index, each in enumerate(layers) if each.kind == "SDPA"]
    # arithmetic alone, as its blobs may be stored in half; or storage as well, in all layers before it too
    masked_layers = layers[attention : attention + 1] if bits == 1 else layers[: attention + 1]
    assert masks_of(param) == {each.name: bits for each in masked_layers}
    last = made.kept[-1]
    assert [each.layer for each in made.kept] == [each.name for each in masked_layers]
    assert last.precision == ("f32 arithmetic" if bits == 1 else "f32 arithmetic, storage")
    figure = scaled if bits == 1 else scaled / 8**0.5
    assert float(last.reason.rpartition(" ")[2]) == pytest.approx(figure, rel=1e-3)

    net = FloatNet(param, tmp_path / "model.ncnn.bin", "in0", spec.image)
    masked = outputs_of(net)
    param.write_text(without_masks(param.read_text()))
    assert masks_of(param) == {}
    np.testing.assert_array_equal(masked, outputs_of(net))


def test_masks_come_off_as_they_went_on() -> None:
    text = "7767517\n2 2\nInput in0 0 1 in0\nSDPA     a 1 1 in0 b 5=0 6=1\n"
    masked = add_params(text, {"a": "31=3"})
    assert masked.splitlines()[3].endswith(" b 5=0 6=1 31=3")
    assert without_masks(masked) == text
