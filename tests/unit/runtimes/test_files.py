"""A file that is whole or is not there."""

import stat

import pytest

from runtimes.files import atomic_file


def test_it_appears_when_the_block_ends(tmp_path) -> None:
    path = tmp_path / "a.bin"
    with atomic_file(path) as stream:
        stream.write(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize("before", [None, b"old"])
def test_what_lay_there_stays_when_it_fails(tmp_path, before) -> None:
    path = tmp_path / "a.bin"
    if before is not None:
        path.write_bytes(before)

    def fail() -> None:
        with atomic_file(path) as stream:
            stream.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert (path.read_bytes() if path.exists() else None) == before
    assert [each.name for each in tmp_path.iterdir()] == ([] if before is None else ["a.bin"])


def test_a_folder_that_is_missing_is_an_oserror(tmp_path) -> None:
    with pytest.raises(OSError, match="No such file"), atomic_file(tmp_path / "no" / "a.bin"):
        pass
