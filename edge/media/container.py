"""Video codecs and containers by name, for messages about files that OpenCV cannot decode."""

import re
from pathlib import Path

# FourCC in lower case (MP4 sample entries, AVI, OpenCV's CAP_PROP_FOURCC) -> the name people search for.
CODECS = {
    "av01": "AV1",
    "vp08": "VP8",
    "vp80": "VP8",
    "vp09": "VP9",
    "vp90": "VP9",
    "hev1": "H.265 (HEVC)",
    "hvc1": "H.265 (HEVC)",
    "hevc": "H.265 (HEVC)",
    "dvh1": "Dolby Vision (HEVC)",
    "dvhe": "Dolby Vision (HEVC)",
    "vvc1": "H.266 (VVC)",
    "vvi1": "H.266 (VVC)",
    "evc1": "EVC",
    "avc1": "H.264",
    "avc3": "H.264",
    "h264": "H.264",
    "mp4v": "MPEG-4",
    "fmp4": "MPEG-4",
    "xvid": "MPEG-4",
    "mjpg": "motion JPEG",
    "jpeg": "motion JPEG",
    "mjp2": "JPEG 2000",
    "apch": "ProRes",
    "apcn": "ProRes",
    "apcs": "ProRes",
    "apco": "ProRes",
    "ap4h": "ProRes",
    "ap4x": "ProRes",
    "avdh": "DNxHR",
    "avdn": "DNxHD",
    "cfhd": "CineForm",
    "theo": "Theora",
    "ffv1": "FFV1",
}
# Matroska and WebM name codecs in words.
_MATROSKA = {
    "V_AV1": "AV1",
    "V_VP8": "VP8",
    "V_VP9": "VP9",
    "V_MPEG4/ISO/AVC": "H.264",
    "V_MPEGH/ISO/HEVC": "H.265 (HEVC)",
    "V_MPEGI/ISO/VVC": "H.266 (VVC)",
    "V_PRORES": "ProRes",
    "V_FFV1": "FFV1",
    "V_THEORA": "Theora",
}
_HEAD_BYTES = 1 << 20


def codec_name(fourcc: int) -> str | None:
    """Return a codec's name and FourCC, such as "AV1 (av01)", from OpenCV's CAP_PROP_FOURCC; None where it has none."""
    if not 0 < fourcc < 1 << 32:
        return None
    code = fourcc.to_bytes(4, "little").decode("latin-1").strip("\0 ")
    return _named(code) if code.isalnum() else None


def codec_in_file(path: Path) -> str | None:
    """Return the video codec's name by the container's own headers, None where none is recognised.

    For files whose codec OpenCV has no decoder for: it does not open them, and so does not name it.
    """
    head, tail = _ends(path)
    if head.startswith(b"\x1a\x45\xdf\xa3"):  # EBML: Matroska, WebM
        found = re.search(rb"V_[A-Z0-9/_]{2,30}", head)
        word = found.group().decode() if found else ""
        return f"{_MATROSKA.get(word, word)} ({word})" if word else None
    if head[4:8] == b"ftyp":
        for match in re.finditer(rb"stsd.{12}([A-Za-z0-9 ]{4})", head + tail, re.DOTALL):
            code = match.group(1).decode()
            if code.lower() in CODECS:
                return _named(code)
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        found = re.search(rb"vids(.{4})", head, re.DOTALL)
        return _named(found.group(1).decode("latin-1").strip("\0 ")) if found else None
    return None


def lacks_index(path: Path) -> bool:
    """Return whether this is an MP4 or MOV file without its index (`moov`): a recording that was cut off."""
    head, _ = _ends(path)
    if head[4:8] != b"ftyp":
        return False
    return b"moov" not in _top_level_boxes(path)


def has_stray_index(path: Path) -> bool:
    """Return whether an index (`moov`) is in the file, wherever it is."""
    return any(b"moov" in part for part in _ends(path))


def counts_frames(path: Path) -> bool:
    """Return whether the container stores its number of frames (AVI, MP4); others only have a duration."""
    head, _ = _ends(path)
    return head[4:8] == b"ftyp" or (head.startswith(b"RIFF") and head[8:12] == b"AVI ")


def _named(code: str) -> str:
    name = CODECS.get(code.lower())
    return f"{name} ({code.lower()})" if name else code


def _ends(path: Path) -> tuple[bytes, bytes]:
    """Return the first and, beyond them, the last bytes of a file, where containers keep their headers."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        file.seek(max(len(head), size - _HEAD_BYTES))
        return head, file.read()


def _top_level_boxes(path: Path) -> set[bytes]:
    """Return the types of an MP4 file's boxes at its top level."""
    size, at, kinds = path.stat().st_size, 0, set()
    with path.open("rb") as file:
        while at + 8 <= size:
            file.seek(at)
            header = file.read(16)
            length = int.from_bytes(header[:4], "big")
            kinds.add(header[4:8])
            if length == 1:  # a 64-bit length follows
                length = int.from_bytes(header[8:16], "big")
            if length < 8:  # 0: to the end of the file
                break
            at += length
    return kinds
