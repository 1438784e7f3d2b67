"""What an int8 artifact is made by: how activations are treated, what stays in float, what a quantizer gives back."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from runtimes.artifact import Artifact
from runtimes.spec import ImageSpec, KeptLayer, TensorSpec

# static: activations in int8 by calibrated ranges; dynamic: by their ranges in each run; weight-only: in float.
Mode = Literal["static", "dynamic", "weight-only"]


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer that can be quantized: the engine's own name, its kind in the engine's words, its weights' number."""

    name: str
    kind: str
    weights: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one artifact becomes int8. kept: layers left in float, beside those that the runtime always leaves."""

    mode: Mode
    kept: tuple[KeptLayer, ...] = ()

    @property
    def kept_names(self) -> frozenset[str]:
        """Return the names of the layers left in float."""
        return frozenset(layer.layer for layer in self.kept)


@dataclass(frozen=True, slots=True)
class Quantized:
    """Result of a quantizer: the new artifact's tensors, how images enter, the layers left in float, tool versions.

    method: the recipe in words, as `calibration.method` of the manifest.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    image: ImageSpec
    kept: tuple[KeptLayer, ...]
    method: str
    tools: dict[str, str] = field(default_factory=dict)


class Quantizer(Protocol):
    """What every `*_int8` module offers."""

    PACKAGES: tuple[str, ...]
    MODES: tuple[Mode, ...]

    def default_mode(self, artifact: Artifact) -> Mode:
        """Return what is done with an artifact where nobody asks for another mode."""
        ...

    def layers(self, artifact: Artifact) -> Sequence[Layer]:
        """Return the layers that can be quantized, in the order of the graph."""
        ...

    def quantize(
        self, artifact: Artifact, images: NDArray[np.uint8], recipe: Recipe, directory: Path
    ) -> Quantized:
        """Write the int8 engine files into `directory`; raises ConversionError.

        images: uint8 BGR (N, H, W, 3), calibration inputs as the seam takes them; none for weight-only and dynamic.
        """
        ...
