"""A runtime session of the PyTorch model: the reference of the gate, and `eval` of a checkpoint."""

from typing import Any

import numpy as np
import torch

from runtimes.base import Accelerator, Effective, Feeds, Outputs, check_image_feed
from runtimes.errors import EngineError
from runtimes.spec import ImageSpec, ModelSpec


def normalise(images: torch.Tensor, image: ImageSpec) -> torch.Tensor:
    """Return images uint8 BGR (B, H, W, 3) as float32 (B, 3, H, W), normalised for a network, on the same device."""
    order = [2, 1, 0] if image.order == "RGB" else [0, 1, 2]
    mean, std = (
        torch.tensor(values, device=images.device).view(1, 3, 1, 1)
        for values in (image.mean, image.std)
    )
    return (images.permute(0, 3, 1, 2)[:, order].float() - mean) / std


class TorchSession:
    """float32, uint8 BGR in; normalisation is explicit and not folded, as this is the reference.

    Runs where the module's parameters are when it is called: on the CPU, but for training on a GPU.
    """

    def __init__(self, module: Any, spec: ModelSpec, threads: int | None = None) -> None:
        self._module: Any = module.eval()
        self._spec = spec
        if threads:
            torch.set_num_threads(threads)

    @property
    def effective(self) -> Effective:
        """PyTorch's own thread count, float32, and where the module is."""
        where: Accelerator = "cpu" if self._device().type == "cpu" else "gpu"
        return Effective(torch.get_num_threads(), "f32", where, f"PyTorch {torch.__version__}")

    def run(self, feeds: Feeds) -> Outputs:
        """Run any batch; see `runtimes.base.Session.run`."""
        if self._module is None:
            raise EngineError("this session is closed; open the model again")
        image = check_image_feed(feeds, "image", self._spec.image.wh)
        with torch.inference_mode():
            pixels = torch.from_numpy(image).to(self._device())
            tensors = self._module(normalise(pixels, self._spec.image))
        return {
            out.name: np.array(tensor.cpu().numpy(), np.float32)
            for out, tensor in zip(self._spec.outputs, tensors, strict=True)
        }

    def _device(self) -> torch.device:
        first = next(self._module.parameters(), None) if self._module is not None else None
        return torch.device("cpu") if first is None else first.device

    def close(self) -> None:
        """Drop the module."""
        self._module = None
