"""The teacher cache: peaks at the keypoints, written once, resumable, bound to teacher and people."""

from dataclasses import replace
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from edge.catalog.specs import rtmdet_spec  # noqa: E402
from edge.catalog.specs_vitpose import vitpose_spec  # noqa: E402
from edge.schema import KeypointSchema, load_schema  # noqa: E402
from export.torch_session import TorchSession  # noqa: E402
from quantize.distill.data.instances import Instance  # noqa: E402
from quantize.distill.data.patch_cache import PatchCache  # noqa: E402
from quantize.distill.data.split_maps import join_maps  # noqa: E402
from quantize.distill.teachers import cache as cache_module  # noqa: E402
from quantize.distill.teachers.cache import build_teacher_cache  # noqa: E402
from quantize.distill.teachers.teacher import Teacher, open_teacher, predict_maps, simcc_to_heatmaps  # noqa: E402
from runtimes.errors import ArtifactError, InputError  # noqa: E402
from runtimes.spec import Lineage  # noqa: E402

COCO = load_schema("coco17")
LEVELS = [40 + 12 * row for row in range(17)]
WH = (96, 128)


class GreyTeacher(nn.Module):
    """Finds discs by their grey level: a real network's manners (normalised input, quarter maps) with known answers."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.mean, self.std = (torch.tensor(each).view(1, 3, 1, 1) for each in (mean, std))

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor]:
        grey = (image * self.std + self.mean).mean(dim=1, keepdim=True)
        levels = torch.tensor(LEVELS, dtype=torch.float32).view(1, -1, 1, 1)
        near = torch.exp(-(((grey - levels) / 4) ** 2))
        near = functional.avg_pool2d(near, 5, 1, padding=2)  # a disc's rim has others' levels
        wh = (image.shape[2] // 4, image.shape[3] // 4)
        return (functional.interpolate(near, wh, mode="bilinear", align_corners=True),)


def teacher(identity: str = "grey", wh: tuple[int, int] = WH) -> Teacher:
    spec = vitpose_spec("grey", wh, "coco17")
    module = GreyTeacher(spec.image.mean, spec.image.std)
    return Teacher(TorchSession(module, spec), spec, identity, Lineage(weights="random"), module)


@pytest.fixture
def people(tmp_path: Path) -> list[Instance]:
    """Five people whose keypoints are discs of the levels the teacher knows, each in a place of its own."""
    made = []
    for number in range(5):
        rng = np.random.default_rng(number)
        frame = np.zeros((200, 160, 3), np.uint8)
        cells = rng.permutation([(30 + 24 * c, 30 + 24 * r) for c in range(5) for r in range(6)])
        for (x, y), level in zip(cells, LEVELS, strict=False):
            cv2.circle(frame, (int(x), int(y)), 6, (level,) * 3, -1)
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), frame)
        xyv = np.concatenate([cells[:17], np.full((17, 1), 2)], axis=1).astype(np.float32)
        made.append(Instance(path.name, path, np.array((20, 20, 140, 180), np.float32), xyv))
    return made


def kept(directory: Path, people: list[Instance], who: Teacher, map_wh=(24, 32)):
    patch_cache = PatchCache(people, who.spec.crop.padding)
    steps: list[tuple[int, int]] = []
    made = build_teacher_cache(
        directory,
        who,
        patch_cache,
        COCO,
        map_wh,
        lambda *step: steps.append(step),
    )
    return made, steps


@pytest.mark.parametrize("map_wh", [(24, 32), (48, 64)], ids=["the teacher's", "twice"])
def test_maps_peak_where_the_keypoints_are(people, tmp_path, map_wh) -> None:
    made, _ = kept(tmp_path / "cache", people, teacher(), map_wh)
    split = made.read(range(5))
    maps = join_maps(split, made.stride, 8 / made.stride)
    assert maps.shape == (5, 17, *map_wh[::-1])
    for number, person in enumerate(people):
        inputs = person.keypoints[:, :2] @ made.crops[number][:, :2].T + made.crops[number][:, 2]
        peaks = maps[number].reshape(17, -1).argmax(axis=1)
        found = np.stack(np.divmod(peaks, map_wh[0])[::-1], axis=1) * made.stride
        # a disc's plateau is 3 pixels wide in the input, a bin up to 4
        assert np.abs(found - inputs).max() <= 4.0


def test_an_interrupted_cache_is_continued(people, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(cache_module, "SHARD_SIZE", 2)
    whole, steps = kept(tmp_path / "whole", people, teacher())
    assert steps == [(0, 5), (2, 5), (4, 5), (5, 5)]

    patch_cache = PatchCache(people, 1.25)

    def stop(done: int, _total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_teacher_cache(tmp_path / "cut", teacher(), patch_cache, COCO, (24, 32), stop)
    assert len(list((tmp_path / "cut").glob("*.npy"))) == 2
    again, steps = kept(tmp_path / "cut", people, teacher())
    assert steps == [(4, 5), (5, 5)]
    ours, theirs = again.read(range(5)), whole.read(range(5))
    np.testing.assert_array_equal(ours.rest, theirs.rest)
    np.testing.assert_array_equal(ours.xy, theirs.xy)
    _, steps = kept(tmp_path / "cut", people, teacher())
    assert steps == [(5, 5)]


def test_caches_of_others_are_refused(people, tmp_path) -> None:
    kept(tmp_path / "cache", people, teacher())
    with pytest.raises(ArtifactError, match="is the cache of another teacher"):
        kept(tmp_path / "cache", people, teacher("other"))
    with pytest.raises(ArtifactError, match="is the cache of other people"):
        kept(tmp_path / "cache", people[:4], teacher())
    with pytest.raises(
        ArtifactError, match=r"of other views \(upright affine 96x128, padding 1.25"
    ):
        kept(tmp_path / "cache", people, teacher(wh=(64, 96)))
    padded = teacher()
    crop = msgspec.structs.replace(padded.spec.crop, padding=1.5)
    spec = msgspec.structs.replace(padded.spec, crop=crop)
    with pytest.raises(ArtifactError, match=r"is the cache of other views .* now .* padding 1.5"):
        kept(tmp_path / "cache", people, replace(padded, spec=spec))
    with pytest.raises(ArtifactError, match="is the cache of another map size"):
        kept(tmp_path / "cache", people, teacher(), (48, 64))


def test_caches_of_earlier_releases_are_refused(people, tmp_path) -> None:
    (tmp_path / "index.json").write_text(
        '{"format": 1, "teacher": "", "people": "", "map_wh": [24, 32], "keypoints": 17, "count": 5}'
    )
    with pytest.raises(ArtifactError, match=r"index\.json: .*; delete .* or name another folder"):
        kept(tmp_path, people, teacher())


def test_a_damaged_shard_is_found(people, tmp_path) -> None:
    kept(tmp_path / "cache", people, teacher())
    path = tmp_path / "cache" / "00000.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match=r"00000\.npy: is missing or damaged"):
        kept(tmp_path / "cache", people, teacher())


def test_simcc_heights_are_products_of_labels() -> None:
    """Logits are labels up to a constant; Gaussians of height 1 multiply to one of height 1 at the same place."""
    bins = [np.arange(96), np.arange(128)]
    labels = [np.exp(-(((b - c) / 5) ** 2) / 2) for b, c in zip(bins, (30, 70), strict=True)]
    logits = [(label - 3.7)[None, None].astype(np.float32) for label in labels]
    (maps,) = simcc_to_heatmaps(*logits)
    assert maps.shape == (1, 128, 96)
    np.testing.assert_allclose(maps[0], np.outer(labels[1], labels[0]), atol=1e-3)


def test_unsuitable_teachers_are_refused(tmp_path) -> None:
    spec = rtmdet_spec("finder", (320, 320), ("person",))
    with pytest.raises(InputError, match=r"rtmdet-nano cannot teach \(task detect"):
        open_teacher("rtmdet-nano", "random")
    finder = Teacher(TorchSession(nn.Identity(), spec), spec, "", Lineage(weights="random"))
    with pytest.raises(InputError, match="finder gives no keypoints"):
        _ = finder.schema


@pytest.mark.slow
def test_an_artifact_teaches_as_its_network_does(exported, loaded_model, tmp_path) -> None:
    """The same weights asked as PyTorch and as an ONNX artifact give the same heights."""
    made = exported("random:rtmpose-t", "onnxruntime")["fp32"]
    artifact = open_teacher(str(made.path))
    loaded = loaded_model("random:rtmpose-t")
    network = Teacher(TorchSession(loaded.module, loaded.spec), loaded.spec, "", loaded.lineage)
    images = np.random.default_rng(0).integers(0, 256, (2, 256, 192, 3), dtype=np.uint8)
    ours, theirs = (predict_maps(each, images) for each in (artifact, network))
    scale = max(1.0, float(np.abs(theirs.maps).max()))
    assert np.abs(ours.maps - theirs.maps).max() <= 5e-3 * scale
    np.testing.assert_array_equal(ours.stride, theirs.stride)
    names = tuple(f"mark{index}" for index in range(17))
    named = open_teacher(str(made.path), keypoints=KeypointSchema("marks", names))
    assert (named.schema.names, named.identity) == (names, artifact.identity)
    with pytest.raises(InputError, match="gives 17 keypoints, but marks names 3"):
        open_teacher(str(made.path), keypoints=KeypointSchema("marks", names[:3]))
    assert len(artifact.identity) == 64
    assert msgspec.structs.replace(artifact.lineage) == made_lineage(made.path)


def made_lineage(path: Path) -> Lineage:
    from runtimes.artifact import Artifact

    return Artifact.open(path).manifest.lineage
