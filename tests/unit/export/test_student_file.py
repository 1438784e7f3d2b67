"""Student checkpoints: read as they were written, by their card."""

from pathlib import Path

import msgspec
import pytest
import torch
from safetensors import safe_open

from export.checkpoint import load_checkpoint
from export.models.vitpose import build
from export.registry import load_family
from export.student_file import CARD, Card, write_student
from runtimes.errors import CheckpointError

OURS = Card(
    model="drawn-student",
    family="vitpose",
    size="48x2x3-simple-token",
    input_wh=(96, 128),
    schema="coco17",
    teacher="sapiens-0.3b",
    method="heatmap,token",
    licences=("CC-BY-NC-4.0",),
    commercial_use=False,
)


@pytest.fixture
def student() -> torch.nn.Module:
    torch.manual_seed(0)
    module = build(OURS.variant).eval()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return module


def test_what_is_written_is_read_again(student, tmp_path: Path) -> None:
    path = tmp_path / "student.safetensors"
    write_student(path, student, OURS)
    loaded = load_checkpoint(path)
    assert loaded.variant == OURS.variant
    assert loaded.spec.model == "drawn-student"
    image = torch.randn(2, 3, 128, 96)
    assert torch.equal(loaded.module(image)[0], student(image)[0])
    lineage = loaded.lineage
    assert (lineage.teacher, lineage.licences) == ("sapiens-0.3b", ("CC-BY-NC-4.0",))
    assert lineage.commercial_use is False
    assert [each.name for each in tmp_path.iterdir()] == ["student.safetensors"]
    assert load_checkpoint(path, name="mine").spec.model == "mine"


def test_others_read_the_same_keys(student, tmp_path: Path) -> None:
    path = tmp_path / "student.safetensors"
    write_student(path, student, OURS)
    with safe_open(path, "pt") as opened:
        assert set(opened.keys()) == set(student.state_dict())
        assert msgspec.json.decode(opened.metadata()[CARD])["size"] == "48x2x3-simple-token"


def test_the_card_is_believed_where_tensors_are_silent(student, tmp_path: Path) -> None:
    """Attention with other heads has the same tensors, and other outputs."""
    paths = [tmp_path / name for name in ("three.safetensors", "six.safetensors")]
    for path, size in zip(paths, (OURS.size, "48x2x6-simple-token"), strict=True):
        write_student(path, student, msgspec.structs.replace(OURS, size=size))
    three, six = (load_checkpoint(path).module for path in paths)
    image = torch.randn(1, 3, 128, 96)
    assert not torch.allclose(three(image)[0], six(image)[0])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"size": "48x3x3-simple-token"},
            r"looks like vitpose-48x3x3-simple-token, but 12 tensors",
        ),
        ({"size": "huge"}, "vitpose has no size 'huge'"),
        ({"size": "t", "family": "rtmpose"}, "looks like rtmpose-t, but"),
        ({"size": "zz", "family": "rtmpose"}, "its card says rtmpose-zz"),
        ({"family": "stickman"}, "its card names family stickman"),
        ({"schema": "octopus8"}, "keypoints octopus8; one is unknown"),
        ({"model": "../../etc"}, "a model's name has letters"),
        ({"input_wh": (97, 128)}, "multiples of 16"),
        ({"format": 2}, "its card has format 2, this edgepose reads 1"),
    ],
)
def test_a_card_that_is_wrong_is_one_line(student, tmp_path: Path, changes, said) -> None:
    path = tmp_path / "student.safetensors"
    write_student(path, student, msgspec.structs.replace(OURS, **changes))
    with pytest.raises(CheckpointError, match=said) as raised:
        load_checkpoint(path)
    assert "\n" not in str(raised.value)


def test_a_card_of_other_fields_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "student.safetensors"
    save_file({"a": torch.zeros(1)}, path, {CARD: '{"format": 1, "colour": "red"}'})
    with pytest.raises(CheckpointError, match="its card cannot be read"):
        load_checkpoint(path)


def test_a_catalogue_name_or_task_is_not_the_students(student, tmp_path: Path) -> None:
    path = tmp_path / "student.safetensors"
    write_student(path, student, OURS)
    for asked in ({"name": "vitpose-s"}, {"task": "coco"}):
        with pytest.raises(CheckpointError, match="leave name and task out"):
            load_checkpoint(path, **asked)


def test_a_simcc_student_keeps_the_sigma_of_its_labels(tmp_path: Path) -> None:
    """Those of its card; without, the scaled ones of the first release."""
    card = Card(model="small", family="rtmpose", size="t", input_wh=(96, 128), schema="coco17")
    for given, wanted in ((None, (2.45, 2.83)), ((3.46, 4.0), (3.46, 4.0))):
        written = msgspec.structs.replace(card, simcc_sigma=given)
        path = tmp_path / "small.safetensors"
        write_student(path, load_family("rtmpose").build(written.variant), written)
        assert load_checkpoint(path).spec.codec.sigma == wanted
