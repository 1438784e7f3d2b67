"""Git LFS pointers: the small text files that a clone without LFS has in place of large files."""

from pathlib import Path

# first line: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
FIRST = b"version https://git-lfs"
LFS_POINTER = "a Git LFS pointer, not the file; run: git lfs pull"


def is_lfs_pointer(path: Path) -> bool:
    """Return whether a file is a pointer; False where there is no file."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(FIRST)) == FIRST
