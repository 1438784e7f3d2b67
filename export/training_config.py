"""The training config that mmengine and mmcv keep as text in a checkpoint: what tensors do not show."""

import re
from collections.abc import Mapping
from typing import Any

from export.registry import Hints

KEYS = ("cfg", "config")  # of mmengine, and of mmcv 1
HEADS = re.compile(r"\bnum_heads\s*=\s*(\d{1,3})\b")
INPUT = re.compile(
    r"\binput_size\s*=\s*[(\[]\s*(\d{1,5})\s*,\s*(\d{1,5})\s*[)\]]"
)  # W, H in mmpose
RATIO = re.compile(r"\bratio\s*=\s*([124])\b")  # patches a stride, of the authors' ViTPose
EXPONENT = re.compile(r"\bexp_on_reg\s*=\s*(True|False)\b")
TEXT_LIMIT = 1 << 20  # published ones have some 20 kB


def config_hints(content: Any) -> Hints:
    """Return what the config in a checkpoint's `meta` says; nothing where it is absent or says two things."""
    meta = content.get("meta") if isinstance(content, Mapping) else None
    if not isinstance(meta, Mapping):
        return Hints()
    texts = [meta[key] for key in KEYS if isinstance(meta.get(key), str)]
    text = "\n".join(each for each in texts if len(each) <= TEXT_LIMIT)
    heads, exponents = set(HEADS.findall(text)), set(EXPONENT.findall(text))
    sizes, ratios = set(INPUT.findall(text)), set(RATIO.findall(text))
    return Hints(
        input_wh=_pair(*sizes.pop()) if len(sizes) == 1 else None,
        config_heads=int(heads.pop()) if len(heads) == 1 else None,
        exponent=exponents.pop() == "True" if len(exponents) == 1 else None,
        stride=16 // int(ratios.pop()) if len(ratios) == 1 else None,
    )


def _pair(width: str, height: str) -> tuple[int, int]:
    return int(width), int(height)
