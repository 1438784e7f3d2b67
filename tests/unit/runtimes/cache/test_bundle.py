"""Bundles: what was written is unpacked, and a hostile or damaged archive leaves nothing behind."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from runtimes.artifact import Artifact
from runtimes.cache.bundle import unpack_bundle, write_bundle
from runtimes.errors import InputError, TargetExistsError
from runtimes.files import seal
from runtimes.spec import Manifest

NAME = "tiny-6x8.onnxruntime-fp32"


def make(folder: Path, manifest: Manifest, content: bytes = b"weights") -> Artifact:
    root = folder / NAME
    root.mkdir(parents=True)
    (root / "model.onnx").write_bytes(content)
    return seal(root, manifest)


@pytest.fixture
def artifact(tmp_path: Path, manifest: Manifest) -> Artifact:
    return make(tmp_path / "host", manifest)


@pytest.fixture
def bundle(tmp_path: Path, artifact: Artifact) -> Path:
    write_bundle(tmp_path / "a.tar", [artifact])
    return tmp_path / "a.tar"


def content(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def test_what_was_written_is_unpacked_byte_for_byte(tmp_path, artifact, bundle) -> None:
    came, there = unpack_bundle(bundle, tmp_path / "cache")
    assert [each.root for each in came] == [tmp_path / "cache" / NAME]
    assert there == []
    assert content(tmp_path / "cache") == content(tmp_path / "host")


def test_equal_artifacts_make_equal_bundles(tmp_path, artifact, bundle) -> None:
    os.utime(artifact.root / "model.onnx", (5, 5))
    write_bundle(tmp_path / "b.tar", [artifact])
    assert (tmp_path / "b.tar").read_bytes() == bundle.read_bytes()


def test_the_tools_of_the_shell_read_and_write_bundles(tmp_path, artifact, bundle) -> None:
    with tarfile.open(bundle) as tar:
        assert [member.name for member in tar] == [f"{NAME}/artifact.json", f"{NAME}/model.onnx"]
    with tarfile.open(tmp_path / "own.tar", "w", format=tarfile.GNU_FORMAT) as tar:
        tar.add(artifact.root, f"./{NAME}")  # with the folder's own entry
    assert len(unpack_bundle(tmp_path / "own.tar", tmp_path / "cache")[0]) == 1


def test_the_same_artifact_is_left_and_another_wants_force(tmp_path, manifest, bundle) -> None:
    cache = tmp_path / "cache"
    unpack_bundle(bundle, cache)
    before = (cache / NAME / "model.onnx").stat().st_mtime_ns
    came, there = unpack_bundle(bundle, cache)
    assert (came, [each.root for each in there]) == ([], [cache / NAME])
    assert (cache / NAME / "model.onnx").stat().st_mtime_ns == before
    write_bundle(tmp_path / "b.tar", [make(tmp_path / "other", manifest, b"other weights")])
    with pytest.raises(TargetExistsError, match="--force"):
        unpack_bundle(tmp_path / "b.tar", cache)
    assert content(cache)[f"{NAME}/model.onnx"] == b"weights"
    unpack_bundle(tmp_path / "b.tar", cache, force=True)
    assert content(cache)[f"{NAME}/model.onnx"] == b"other weights"


def test_a_damaged_artifact_in_the_cache_is_replaced_with_force_only(tmp_path, bundle) -> None:
    cache = tmp_path / "cache"
    unpack_bundle(bundle, cache)
    (cache / NAME / "model.onnx").write_bytes(b"changed")
    with pytest.raises(TargetExistsError):
        unpack_bundle(bundle, cache)
    unpack_bundle(bundle, cache, force=True)
    assert Artifact.open(cache / NAME)


def member(
    name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(data)
    return info


def add(*members: tuple[tarfile.TarInfo, bytes]) -> Callable[[Path], None]:
    """Append members to a sound bundle."""

    def change(path: Path) -> None:
        with tarfile.open(path, "a") as tar:
            for info, data in members:
                tar.addfile(info, io.BytesIO(data))

    return change


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-11_000])


def negative_size(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[124:136] = b"\xff" * 12  # base-256: -1
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    path.write_bytes(data)


def huge_size(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[124:136] = b"77777777777\0"
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    path.write_bytes(data)


def changed_byte(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data.replace(b"weights", b"weightz"))


def empty(path: Path) -> None:
    path.write_bytes(b"")


HOSTILE = {
    "outside": add((member(f"../{NAME}/evil", b"x"), b"x")),
    "absolute": add((member("/tmp/evil", b"x"), b"x")),  # noqa: S108
    "deeper": add((member(f"{NAME}/sub/evil", b"x"), b"x")),
    "at the top": add((member("evil", b"x"), b"x")),
    "dots": add((member(f"{NAME}/..", b"x"), b"x")),
    "hidden": add((member(".rejected/artifact.json", b"x"), b"x")),
    "symlink": add((member(f"{NAME}/model.bin", kind=tarfile.SYMTYPE, link="/etc/passwd"), b"")),
    "hard link": add((member(f"{NAME}/model.bin", kind=tarfile.LNKTYPE, link="/etc/passwd"), b"")),
    "device": add((member(f"{NAME}/model.bin", kind=tarfile.CHRTYPE), b"")),
    "pipe": add((member(f"{NAME}/model.bin", kind=tarfile.FIFOTYPE), b"")),
    "linked folder": add((member("other-1x1.ncnn-fp32", kind=tarfile.SYMTYPE, link="/tmp"), b"")),  # noqa: S108
    "unlisted file": add((member(f"{NAME}/model.bin", b"x"), b"x")),
    "twice": add((member(f"{NAME}/model.onnx", b"x"), b"x")),
    "no manifest": add((member("other-1x1.ncnn-fp32/model.bin", b"x"), b"x")),
    "long names in a chain": add(
        *[(member("././@LongLink", b"x" * 9, tarfile.GNUTYPE_LONGNAME), b"x" * 9)] * 2000
    ),
    "extended header": add((member("x", b"9 a=b\n", tarfile.XHDTYPE), b"9 a=b\n")),
    "sparse": add((member(f"{NAME}/model.bin", kind=tarfile.GNUTYPE_SPARSE), b"")),
    "cut": cut,
    "negative size": negative_size,
    "huge size": huge_size,
    "changed byte": changed_byte,
    "empty": empty,
    "text": lambda path: path.write_text("no archive at all\n" * 99),
    "compressed": lambda path: path.write_bytes(gzip.compress(path.read_bytes())),
    "absent": Path.unlink,
}


def pax(*records: tuple[str, str], kind: bytes = tarfile.XHDTYPE) -> Callable[[Path], None]:
    """Append an extended header with these records, and a file whose name one of them may give."""
    data = b"".join(pax_record(*each) for each in records)
    return add((member("pax", data, kind), data), (member(f"{NAME}/model.onnx", b"x"), b"x"))


def pax_record(key: str, value: str) -> bytes:
    rest = f" {key}={value}\n".encode()
    size = len(rest) + 1
    while len(f"{size}") + len(rest) != size:
        size += 1
    return f"{size}".encode() + rest


HOSTILE |= {
    "pax name outside": pax(("path", "../evil")),
    "pax name of another file": pax(("path", f"{NAME}/model.bin")),
    "pax size": pax(("size", "99")),
    "pax link": pax(("linkpath", "/etc/passwd")),
    "pax sparse": pax(("GNU.sparse.major", "1")),
    "pax sparse for all": pax(("GNU.sparse.major", "1"), kind=tarfile.XGLTYPE),
    "pax name in no encoding": pax(("path", f"{NAME}/\u0fff")),
    "pax header without end": add((member("pax", b"9" * 70_000, tarfile.XHDTYPE), b"9" * 70_000)),
    "pax header cut": add((member("pax", b"99 a=b\n", tarfile.XHDTYPE), b"99 a=b\n")),
}


@pytest.mark.parametrize("shape", [tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT])
def test_every_format_of_tar_is_unpacked(tmp_path, artifact, shape) -> None:
    os.utime(artifact.root / "model.onnx", (5.25, 5.75))  # pax headers hold parts of seconds
    path = tmp_path / "own.tar"
    with tarfile.open(path, "w", format=shape, pax_headers={"comment": "made by hand"}) as tar:
        tar.add(artifact.root, NAME)
    assert (b"mtime=5.75" in path.read_bytes()) == (shape == tarfile.PAX_FORMAT)
    came, _ = unpack_bundle(path, tmp_path / "cache")
    assert content(came[0].root) == content(artifact.root)


def test_a_name_in_a_pax_header_is_the_files(tmp_path, artifact, bundle) -> None:
    record = pax_record("path", f"{NAME}/model.onnx")
    with tarfile.open(tmp_path / "own.tar", "w") as tar:
        tar.add(artifact.root / "artifact.json", f"{NAME}/artifact.json")
        tar.addfile(member("pax", record, tarfile.XHDTYPE), io.BytesIO(record))
        tar.addfile(member("short", b"weights"), io.BytesIO(b"weights"))
    assert len(unpack_bundle(tmp_path / "own.tar", tmp_path / "cache")[0]) == 1


@pytest.mark.parametrize(
    ("compress", "said"),
    [
        (gzip.compress, "gzip; a bundle is a plain tar: gunzip it first"),
        (bz2.compress, "bzip2; .*: bunzip2"),
        (lzma.compress, "xz; .*: unxz"),
        (lambda data: b"PK\x03\x04" + data, "zip; .*: unzip"),
    ],
)
def test_a_compressed_bundle_is_called_so(tmp_path, bundle, compress, said) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(compress(bundle.read_bytes()))
    with pytest.raises(InputError, match=rf"a\.tar: is compressed with {said}"):
        unpack_bundle(path, tmp_path / "cache")


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_no_sound_bundle_is_refused_in_one_line_and_leaves_nothing(
    tmp_path, bundle, kind
) -> None:
    HOSTILE[kind](bundle)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(InputError) as caught:
        unpack_bundle(bundle, tmp_path / "cache")
    assert "a.tar" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert set(tmp_path.rglob("*")) - before <= {tmp_path / "cache"}


def test_one_bad_artifact_keeps_the_good_ones_out(tmp_path, bundle) -> None:
    add((member("a-1x1.ncnn-fp32/artifact.json", b"{}"), b"{}"))(bundle)
    with pytest.raises(InputError, match=r"a-1x1\.ncnn-fp32"):
        unpack_bundle(bundle, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_unwritable_bundle_is_said(tmp_path, artifact) -> None:
    with pytest.raises(InputError, match=r"cannot be written"):
        write_bundle(tmp_path / "no" / "a.tar", [artifact])
