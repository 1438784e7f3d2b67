"""Terms of weights from several sources: all licences, and the strictest answer on commercial use."""

import pytest

from export.lineage import joined_terms
from runtimes.spec import Lineage


def source(licence: str, commercial_use: bool | None) -> Lineage:  # noqa: FBT001
    licences = (licence,) if licence else ()
    return Lineage(weights="checkpoint", licences=licences, commercial_use=commercial_use)


@pytest.mark.parametrize(
    ("uses", "wanted"),
    [
        ((), None),
        ((True, True), True),
        ((True, None), None),
        ((None, False), False),
        ((False, True), False),
    ],
)
def test_the_strictest_word_counts(uses, wanted) -> None:
    assert joined_terms([source("", use) for use in uses])[1] is wanted


def test_every_licence_is_named_once() -> None:
    sources = [source("CC-BY-NC-4.0", commercial_use=False), source("Apache-2.0", True)]
    assert joined_terms([*sources, sources[0]])[0] == ("CC-BY-NC-4.0", "Apache-2.0")
