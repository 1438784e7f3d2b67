"""ncnn's .param file, layer by layer: a line each of type, name, blobs and parameters, after two header lines."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HEADER_LINES = 2
# the parameter that turns features off for one layer (featmask)
MASK = "31="

Params = dict[int, int]


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: name, type, input and output blobs, whole-number parameters by id."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    params: Params


def read_layers(param: Path) -> list[Layer]:
    """Return every layer in file order; parameters that are no whole numbers are left out."""
    return [_layer(line) for line in param.read_text().splitlines()[HEADER_LINES:]]


def add_params(param: str, added: Mapping[str, str]) -> str:
    """Return a .param's text with `added` appended to the parameters of the layers it names."""
    lines = param.splitlines()
    for index in range(HEADER_LINES, len(lines)):
        extra = added.get(lines[index].split()[1])
        if extra is not None:
            lines[index] = f"{lines[index].rstrip()} {extra}"
    return "\n".join(lines) + "\n"


def without_masks(param: str) -> str:
    """Return a .param's text without the feature masks of its layers."""
    lines = param.splitlines()
    for index in range(HEADER_LINES, len(lines)):
        if f" {MASK}" in lines[index]:
            words = lines[index].split(" ")
            lines[index] = " ".join(word for word in words if not word.startswith(MASK))
    return "\n".join(lines) + "\n"


def _layer(line: str) -> Layer:
    kind, name, inputs, outputs, *rest = line.split()
    start, end = int(inputs), int(inputs) + int(outputs)
    pairs = (item.split("=") for item in rest[end:])
    params = {int(key): int(value) for key, value in pairs if _is_whole(value)}
    return Layer(name, kind, tuple(rest[:start]), tuple(rest[start:end]), params)


def _is_whole(text: str) -> bool:
    return text.removeprefix("-").isdigit()
