"""Key layouts that ViTPose is published in, renamed to mmpose 1.x's.

The authors' layout (mmpose 0.x) and that of Hugging Face's transformers name the same tensors otherwise, keep q, k and
v apart (transformers), and give the positions a class token's, which is added to all of them. Knows no module.
"""

import re
from collections.abc import Mapping

import torch

State = dict[str, torch.Tensor]
Renames = tuple[tuple[str, str], ...]

MMPOSE_MARK = "backbone.patch_embed.projection.weight"
AUTHORS_MARK = "backbone.patch_embed.proj.weight"
TRANSFORMERS_MARK = "backbone.embeddings.patch_embeddings.projection.weight"

AUTHORS: Renames = (
    (r"backbone\.patch_embed\.proj\.", "backbone.patch_embed.projection."),
    (r"backbone\.last_norm\.", "backbone.ln1."),
    (r"backbone\.blocks\.(\d+)\.norm(\d)\.", r"backbone.layers.\1.ln\2."),
    (r"backbone\.blocks\.(\d+)\.mlp\.fc1\.", r"backbone.layers.\1.ffn.layers.0.0."),
    (r"backbone\.blocks\.(\d+)\.mlp\.fc2\.", r"backbone.layers.\1.ffn.layers.1."),
    (r"backbone\.blocks\.(\d+)\.mlp\.experts\.", r"backbone.layers.\1.ffn.experts."),
    (r"backbone\.blocks\.(\d+)\.attn\.", r"backbone.layers.\1.attn."),
    (r"keypoint_head\.", "head."),
)
TRANSFORMERS: Renames = (
    (r"backbone\.embeddings\.position_embeddings", "backbone.pos_embed"),
    (r"backbone\.embeddings\.patch_embeddings\.", "backbone.patch_embed."),
    (r"backbone\.layernorm\.", "backbone.ln1."),
    (r"backbone\.encoder\.layer\.(\d+)\.layernorm_before\.", r"backbone.layers.\1.ln1."),
    (r"backbone\.encoder\.layer\.(\d+)\.layernorm_after\.", r"backbone.layers.\1.ln2."),
    (r"backbone\.encoder\.layer\.(\d+)\.mlp\.fc1\.", r"backbone.layers.\1.ffn.layers.0.0."),
    (r"backbone\.encoder\.layer\.(\d+)\.mlp\.fc2\.", r"backbone.layers.\1.ffn.layers.1."),
    (r"backbone\.encoder\.layer\.(\d+)\.mlp\.experts\.", r"backbone.layers.\1.ffn.experts."),
    (r"backbone\.encoder\.layer\.(\d+)\.attention\.attention\.", r"backbone.layers.\1.attn."),
    (
        r"backbone\.encoder\.layer\.(\d+)\.attention\.output\.dense\.",
        r"backbone.layers.\1.attn.proj.",
    ),
    (r"head\.deconv1\.", "head.deconv_layers.0."),
    (r"head\.batchnorm1\.", "head.deconv_layers.1."),
    (r"head\.deconv2\.", "head.deconv_layers.3."),
    (r"head\.batchnorm2\.", "head.deconv_layers.4."),
    (r"head\.conv\.", "head.final_layer."),
)


def mmpose_names(state: Mapping[str, torch.Tensor]) -> State | None:
    """Return the tensors under mmpose's names, or None where they are in no layout of ViTPose.

    Positions are one tensor, q, k and v another; the experts and heads of a ViTPose++ stay apart.
    """
    if MMPOSE_MARK in state:
        return dict(state)
    if AUTHORS_MARK in state:
        named = _renamed(state, AUTHORS)
    elif TRANSFORMERS_MARK in state:
        named = _with_qkv(_renamed(state, TRANSFORMERS))
    else:
        return None
    named.pop("backbone.cls_token", None)  # stays from pretraining; the network has no use for it
    positions = named.get("backbone.pos_embed")
    if positions is not None and positions.ndim == 3:
        named["backbone.pos_embed"] = positions[:, 1:] + positions[:, :1]
    return named


def _renamed(state: Mapping[str, torch.Tensor], renames: Renames) -> State:
    return {_rename(key, renames): value for key, value in state.items()}


def _rename(key: str, renames: Renames) -> str:
    for pattern, replacement in renames:
        renamed, found = re.subn(f"^{pattern}", replacement, key)
        if found:
            return renamed
    return key


def _with_qkv(state: State) -> State:
    """Stack query, key and value wherever all three are there."""
    parts = ("query", "key", "value")
    for query in [key for key in state if ".attn.query." in key]:
        names = [query.replace(".query.", f".{part}.") for part in parts]
        if all(name in state for name in names):
            stacked = torch.cat([state.pop(name) for name in names])
            state[query.replace(".query.", ".qkv.")] = stacked
    return state
