"""The student's card: terms of all that it learned from are joined."""

import pytest

torch = pytest.importorskip("torch")

from quantize.distill.card import student_card  # noqa: E402
from quantize.distill.config import DistillConfig  # noqa: E402
from quantize.distill.methods.token import TokenCard, random_token, write_token  # noqa: E402
from quantize.distill.student import student_variant  # noqa: E402
from runtimes.spec import Lineage  # noqa: E402

STUDENT = "vitpose-48x2x3-simple"
VARIANT = student_variant(STUDENT, (48, 64))


def terms(config: DistillConfig, teacher=None) -> tuple[tuple[str, ...], bool | None]:
    card = student_card(config, VARIANT, teacher)
    return card.licences, card.commercial_use


def test_unknown_data_makes_commercial_use_unknown(tmp_path) -> None:
    config = DistillConfig(student=STUDENT, data=("synth", str(tmp_path)))
    assert terms(config) == ((), None)
    own = DistillConfig(student=STUDENT, data=("synth", str(tmp_path)), data_licence="own")
    assert terms(own) == ((), True)


def test_a_token_binds_by_the_data_it_was_trained_on(tmp_path, teacher_of) -> None:
    teacher = teacher_of(STUDENT, (48, 64))
    path = tmp_path / "token.safetensors"
    card = TokenCard(
        teacher=teacher.identity,
        teacher_model="t",
        steps=1,
        licences=("CC-BY-NC-4.0",),
        commercial_use=False,
    )
    write_token(path, random_token(48, 0), card)
    config = DistillConfig(student=STUDENT, methods=("token",), token=str(path))
    assert terms(config, teacher) == (("CC-BY-NC-4.0",), False)


def test_the_detector_of_unlabelled_pictures_binds(tmp_path, small_artifact) -> None:
    lineage = Lineage(weights="foreign", licences=("AGPL-3.0",), commercial_use=None)
    detector = small_artifact(tmp_path / "detector", lineage=lineage).root
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    config = DistillConfig(
        student=STUDENT, data=(f"{pictures}:2",), data_licence="own", detector=str(detector)
    )
    assert terms(config) == (("AGPL-3.0",), None)
    drawn = DistillConfig(student=STUDENT, detector=str(detector))
    assert terms(drawn)[0] == ()  # it found nobody
