"""Files that grow by whole blocks, one a frame: what fits on a full disk stays complete."""

import os
from contextlib import suppress
from pathlib import Path

from edge.media.sinks.sink import TargetSink, disk_error


class BlockFile:
    """A file opened for writing that ends with a whole block at every moment between two calls.

    descriptor: of the empty file; path: in messages; tail: what follows the last block, as a list's closing bracket.
    """

    def __init__(self, descriptor: int, path: Path, tail: bytes = b"") -> None:
        self._descriptor = descriptor
        self._path = path
        self._tail = tail
        self._end = 0

    def append(self, block: bytes) -> None:
        """Write a block, past Python's buffers; raises OutputError, with the file as before, where it does not fit.

        A pipe without a reader raises BrokenPipeError.
        """
        # others may have emptied a file without a tail meanwhile, as logrotate's copytruncate does
        before = self._end if self._tail else os.fstat(self._descriptor).st_size
        try:
            self._write(block + self._tail)
        except BrokenPipeError:
            raise
        except OSError as error:
            with suppress(OSError):  # a device or a pipe cannot be cut
                os.ftruncate(self._descriptor, before)
                self._write(self._tail)
            raise disk_error(self._path, error) from error
        self._end += len(block)

    def _write(self, data: bytes) -> None:
        if self._tail:
            os.lseek(self._descriptor, self._end, os.SEEK_SET)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


class BlockSink(TargetSink):
    """A file in constant memory that is written a block a frame, complete after each."""

    _file: BlockFile
    _tail = b""

    def _start(self) -> None:
        descriptor = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        self._file = BlockFile(descriptor, self.path, self._tail)

    def _finish(self) -> None:
        self._file.close()

    def _abandon(self) -> None:
        self._file.close()
