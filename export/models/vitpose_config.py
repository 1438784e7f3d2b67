"""The config.json that Hugging Face's transformers keeps beside weights: input size and attention heads.

Read only beside weights in that layout. Fields that our definition fixes must agree with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from export.models.vitpose_decoders import UPSCALE
from export.models.vitpose_layouts import TRANSFORMERS_MARK
from export.models.vitpose_sizes import plan_of
from export.registry import Variant
from runtimes.errors import CheckpointError
from runtimes.record import MALFORMED

CONFIG = "config.json"


class _Backbone(msgspec.Struct, frozen=True):
    """The defaults are transformers', which a config may leave out: ViT-B at 256x192."""

    image_size: tuple[int, int] = (256, 192)
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    mlp_ratio: int = 4
    hidden_act: str = "gelu"


class _File(msgspec.Struct, frozen=True):
    """The parts of config.json that are read."""

    model_type: str = ""
    scale_factor: int = UPSCALE
    backbone_config: _Backbone | None = None


@dataclass(frozen=True, slots=True)
class ViTPoseConfig:
    """A config.json beside ViTPose weights."""

    path: Path
    backbone: _Backbone
    scale_factor: int

    @property
    def heads(self) -> int:
        """Attention heads, which no tensor shows."""
        return self.backbone.num_attention_heads


def read_config(path: Path, state: Mapping[str, Any]) -> ViTPoseConfig | None:
    """Return the config.json beside the checkpoint `path`; None where there is none, or it is no ViTPose's.

    state: the tensors as they are in the file. Raises CheckpointError for a config that is not readable.
    """
    beside = path.parent / CONFIG
    if TRANSFORMERS_MARK not in state or not beside.is_file():
        return None
    try:
        config = msgspec.json.decode(beside.read_bytes(), type=_File)
    except (OSError, *MALFORMED) as error:
        raise CheckpointError(f"{beside}: cannot be read ({error}); copy it again") from error
    if config.model_type != "vitpose" or config.backbone_config is None:
        return None
    return ViTPoseConfig(beside, config.backbone_config, config.scale_factor)


def at_configured_input(config: ViTPoseConfig, variant: Variant) -> Variant:
    """Return the variant at the input size of its config; raises CheckpointError where that is another network's."""
    found, wanted = _described(config), _expected(variant)
    differing = [name for name in wanted if found[name] != wanted[name]]
    if differing:
        lines = ", ".join(f"{name} {found[name]} instead of {wanted[name]}" for name in differing)
        raise CheckpointError(
            f"{config.path}: says {lines}, but the tensors beside it are vitpose-{variant.size}; "
            "give the config that belongs to them"
        )
    height, width = config.backbone.image_size
    return replace(variant, input_wh=(width, height))


def _described(config: ViTPoseConfig) -> dict[str, int | str]:
    backbone = config.backbone
    height, width = backbone.image_size
    return {
        "hidden_size": backbone.hidden_size,
        "num_hidden_layers": backbone.num_hidden_layers,
        "num_attention_heads": backbone.num_attention_heads,
        "mlp_ratio": backbone.mlp_ratio,
        "hidden_act": backbone.hidden_act,
        "scale_factor": config.scale_factor,
        "image_size area": height * width,
    }


def _expected(variant: Variant) -> dict[str, int | str]:
    size = plan_of(variant.size).backbone
    width, height = variant.input_wh
    return {
        "hidden_size": size.dim,
        "num_hidden_layers": size.depth,
        "num_attention_heads": size.heads,
        "mlp_ratio": 4,
        "hidden_act": "gelu",
        "scale_factor": UPSCALE,
        "image_size area": height * width,
    }
