"""Validation on whole pictures, through the SDK's own pipeline, shared by the processes of a run."""

from torch import nn

from edge.evaluation.dataset import Dataset
from edge.evaluation.predict import predict
from edge.evaluation.score import score
from edge.evaluation.summary import Summary
from edge.model import Model
from export.torch_session import TorchSession
from quantize.distill.loop.distributed import ALONE, Processes
from runtimes.spec import ModelSpec


def score_pictures(
    module: nn.Module, spec: ModelSpec, dataset: Dataset, processes: Processes = ALONE
) -> Summary:
    """Return the scores of a PyTorch network, on the device where it is; each process takes a part of the images."""
    model = Model(spec, TorchSession(module, spec))
    own = dict(processes.part(list(dataset.paths.items())))
    places = {image_id: place for place, image_id in enumerate(dataset.paths)}
    records = processes.gather(predict(model, Dataset(dataset.truth, own)))
    return score(model, dataset, sorted(records, key=lambda each: places[each.image_id]))
