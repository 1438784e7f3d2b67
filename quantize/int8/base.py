"""Types of the int8 quantizers: recipe, quantizable layer, result, and the protocol that each runtime implements."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from runtimes.artifact import Artifact
from runtimes.spec import ImageSpec, KeptLayer, TensorSpec

# Activations. static: int8 by calibrated ranges; symmetric: static, ranges centred on 0; dynamic: int8 by their range
# in each run; weight-only: float.
Mode = Literal["static", "symmetric", "dynamic", "weight-only"]


@dataclass(frozen=True, slots=True)
class QuantizableLayer:
    """A layer that can be quantized: the engine's name and kind of it, and its number of weights."""

    name: str
    kind: str
    weights: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """Mode of one artifact, and the layers to keep in float besides those that the runtime always keeps."""

    mode: Mode
    kept: tuple[KeptLayer, ...] = ()

    @property
    def kept_names(self) -> frozenset[str]:
        """Return the names of the layers to keep in float."""
        return frozenset(layer.layer for layer in self.kept)


@dataclass(frozen=True, slots=True)
class Quantized:
    """Result of a quantizer: tensors and image input of the new artifact, all layers kept in float, tool versions.

    method: the recipe in words, for `calibration.method` of the manifest.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    image: ImageSpec
    kept: tuple[KeptLayer, ...]
    method: str
    tools: dict[str, str] = field(default_factory=dict)


class Quantizer(Protocol):
    """Functions and constants of every quantizer module.

    PACKAGES: distributions it needs. MODES: what the runtime can do.
    """

    PACKAGES: tuple[str, ...]
    MODES: tuple[Mode, ...]

    def default_mode(self, artifact: Artifact) -> Mode:
        """Return the mode that suits an artifact, used where none is asked for."""
        ...

    def layers(self, artifact: Artifact) -> Sequence[QuantizableLayer]:
        """Return the layers that can be quantized, in graph order."""
        ...

    def quantize(
        self, artifact: Artifact, images: NDArray[np.uint8], recipe: Recipe, directory: Path
    ) -> Quantized:
        """Write the int8 engine files into `directory`; raises ConversionError.

        images: calibration inputs uint8 BGR (N, H, W, 3), as `Session.run` takes them; unused for weight-only and
        dynamic.
        """
        ...
