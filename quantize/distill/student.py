"""Students: the network that a name means, its random weights, and its spec."""

import torch
from torch import nn

from edge.catalog.lookup import CATALOG
from edge.schema import KeypointSet, schema_of
from export.models.vit import Vit
from export.registry import Variant, load_family, variant_of
from runtimes.errors import InputError
from runtimes.spec import ModelSpec

# Families that can be trained, and the number that an input's sides must be multiples of.
FAMILIES = {"rtmpose": 32, "cspnext": 32, "vitpose": 16, "fastpose": 32}
INPUT_WH = (192, 256)
# Suffix and families of students whose keypoints are the mean of a map, not its peak.
INTEGRAL = "-integral"
INTEGRAL_FAMILIES = ("vitpose", "fastpose")
# Initial weights of transformers (timm, mmpretrain) and of heatmap heads (mmpose, AlphaPose).
EMBEDDING_STD = 0.02
HEAD_STD = 0.001
# Families that give maps: the layer that makes them.
LAST_LAYERS = {
    "cspnext": "head.final_layer",
    "vitpose": "head.final_layer",
    "fastpose": "conv_out",
}


def student_variant(
    name: str, input_wh: tuple[int, int] | None = None, schema: KeypointSet | None = None
) -> Variant:
    """Return the top-down network of a name, see `network_variant`; raises InputError for a bottom-up one too."""
    variant = network_variant(name, input_wh, schema)
    if student_spec(variant, name).is_bottom_up:
        raise InputError(
            f"{name!r} cannot be a student: it is bottom-up, and students learn from crops of one person; leave -ae "
            "out, or train it without a teacher (edgepose train)"
        )
    return variant


def network_variant(
    name: str, input_wh: tuple[int, int] | None = None, schema: KeypointSet | None = None
) -> Variant:
    """Return the network of a name: from the catalogue (`rtmpose-t`), or family and size (`vitpose-192x6x3-simple`).

    `-integral` at the end: maps trained by symmetric integral regression (arXiv:2211.03375) instead of as heatmaps.
    Raises InputError for a family that cannot be trained here, and for sizes and inputs that the family lacks.
    """
    network = name if name in CATALOG else name.removesuffix(INTEGRAL)
    codec = "" if network == name else INTEGRAL[1:]
    family, _, size = network.partition("-")
    if network in CATALOG:
        variant = variant_of(CATALOG[network])
        family, size, codec = variant.family, variant.size, codec or variant.codec
        input_wh, schema = input_wh or variant.input_wh, schema or variant.schema
    if family not in FAMILIES or not size:
        raise InputError(
            f"{name!r} cannot be a student; give {', '.join(FAMILIES)} with a size, such as rtmpose-t, cspnext-t-fpn, "
            "vitpose-192x6x3-simple (channels x blocks x heads) or fastpose-res50"
        )
    if codec and family not in INTEGRAL_FAMILIES:
        raise InputError(
            f"{name!r} cannot be a student: integral regression is for {' and '.join(INTEGRAL_FAMILIES)}; "
            "leave -integral out, or choose one of them"
        )
    keypoints = schema or "coco17"
    schema_of(keypoints)  # raises for an unknown name
    variant = Variant(family, size, input_wh or INPUT_WH, schema=keypoints, codec=codec)
    _check_input(variant)
    with torch.device("meta"):
        load_family(family).build(variant)
    return variant


def new_student(variant: Variant, seed: int) -> nn.Module:
    """Return the network with random weights drawn from the seed, float32 on the CPU, in training mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module: nn.Module = load_family(variant.family).build(variant)
        for part in module.modules():
            if isinstance(part, Vit):
                _init_transformer(part)
        if variant.family in LAST_LAYERS:
            _init_maps(module, LAST_LAYERS[variant.family])
    return module.train()


def student_spec(variant: Variant, model: str) -> ModelSpec:
    """Return the student's spec; `model` is its name."""
    return load_family(variant.family).spec(variant, model)


def _check_input(variant: Variant) -> None:
    stride = FAMILIES[variant.family]
    if any(side < stride or side % stride for side in variant.input_wh):
        width, height = variant.input_wh
        raise InputError(
            f"{variant.family} takes inputs whose sides are multiples of {stride}, not {width}x{height}"
        )


def sincos_positions(grid: tuple[int, int], dim: int) -> torch.Tensor:
    """Return sine-cosine position embeddings (1, rows * columns, dim), as in MAE, which ViTPose starts from.

    A quarter of the channels each: sine and cosine of the column, then of the row, wavelengths from 2 pi to 20000 pi
    (arXiv:1706.03762 in two dimensions). Channels left over by a division by 4 are 0.
    """
    quarter = dim // 4
    frequencies = 10000.0 ** (-torch.arange(quarter) / quarter)
    rows, columns = torch.meshgrid(torch.arange(grid[0]), torch.arange(grid[1]), indexing="ij")
    angles = [place.reshape(-1, 1) * frequencies for place in (columns, rows)]
    waves = [wave(angle) for angle in angles for wave in (torch.sin, torch.cos)]
    positions = torch.cat(waves, dim=1)
    return nn.functional.pad(positions, (0, dim - 4 * quarter))[None]


def _init_transformer(vit: Vit) -> None:
    with torch.no_grad():
        vit.pos_embed.copy_(sincos_positions(vit.grid, vit.pos_embed.shape[2]))
    for layer in vit.modules():
        if isinstance(layer, nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=EMBEDDING_STD)
            nn.init.zeros_(layer.bias)


def _init_maps(module: nn.Module, last: str) -> None:
    """Draw the layer called `last`, and deconvolutions, near zero: most bins of a heatmap are."""
    for name, layer in module.named_modules():
        if name == last or isinstance(layer, nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, std=HEAD_STD)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
