"""The card of a trained network: what its file says of its network, its supervision and its terms."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from export.lineage import joined_terms
from export.registry import Variant
from export.student_file import Card, stored_set
from quantize.distill.config import DistillConfig, TrainingConfig
from quantize.distill.data.joined_keypoints import extra_heads
from quantize.distill.data.licences import data_terms
from quantize.distill.data.sources import split_weight, trained_on
from quantize.distill.methods.token import read_token
from quantize.distill.pretrained import init_lineage
from quantize.distill.teachers.teacher import Teacher
from runtimes.artifact import Artifact
from runtimes.cache.names import locate
from runtimes.spec import Lineage


def student_card(config: DistillConfig, variant: Variant, teacher: Teacher | None) -> Card:
    """Return a distilled student's card; its terms are also those of its teacher, its token and its detector."""
    begun = [init_lineage(config.init)] if config.init else []
    card = trained_card(config, variant, begun, _supervision_terms(config, teacher))
    return msgspec.structs.replace(
        card,
        further=tuple(filter(None, map(stored_set, extra_heads(config.extra_head)))),
        teacher=teacher.spec.model if teacher else "",
        method=",".join(config.methods),
    )


def trained_card(
    config: TrainingConfig,
    variant: Variant,
    begun: Sequence[Lineage],
    supervision: Sequence[Lineage] = (),
) -> Card:
    """Return the card of a trained network; licences are those of its first weights, its supervision and its data.

    begun: the lineage of the first weights, empty for random ones.
    """
    data = data_terms(config.data, config.data_licence)
    licences, commercial_use = joined_terms([*begun, *supervision, *data])
    return Card(
        model=f"{variant.family}-{variant.size}",
        family=variant.family,
        size=variant.size,
        input_wh=variant.input_wh,
        schema=stored_set(variant.schema),
        classes=variant.classes,
        codec=variant.codec,
        simcc_sigma=variant.simcc_sigma,
        licences=licences,
        commercial_use=commercial_use,
        trained_on=trained_on(config.data, begun),
    )


def _supervision_terms(config: DistillConfig, teacher: Teacher | None) -> list[Lineage]:
    """Return the terms of the models that supervise: the teacher, its token, and the detector that found the people."""
    terms = [teacher.lineage] if teacher else []
    if teacher and config.token:
        card = read_token(Path(config.token), teacher)[1]
        terms.append(
            Lineage(weights="foreign", licences=card.licences, commercial_use=card.commercial_use)
        )
    detects = any(Path(split_weight(source)[0]).is_dir() for source in config.data)
    if config.detector and detects:
        terms.append(Artifact.open(locate(config.detector)).manifest.lineage)
    return terms
