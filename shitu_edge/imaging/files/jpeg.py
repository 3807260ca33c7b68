"""JPEG files by structure (ITU-T T.81): one whole frame, its scans counted, without metadata.

libjpeg, Pillow and OpenCV accept a frame whose end is missing if an end marker follows: the rest becomes gray. So a
frame of one scan is decoded without its end marker, and with a few zero bytes instead: enough lookahead for the last
block, too few for more blocks, so a decoder reports missing data. Frames of several scans need the end marker; junk
before it changes pixels only if the last scan is incomplete.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import ceil

import numpy as np

from .examined import USUAL_BYTES_PER_PIXEL, Examined, RefusedError, TruncatedError
from .exif import orientation

_MAX_SEGMENTS = 4096
_MAX_SCANS = 500
"""As in NVIDIA DALI; encoders write about ten."""
_MAX_SCANNED_PIXELS = 1_250_000_000
"""Pixels times scans: each scan of a progressive JPEG is a pass over all blocks."""

_MARKER = re.compile(rb"\xff[\x01-\xfe]")
_BLOCK = 1 << 20
_RESTARTS = bytes(range(0xD0, 0xD8))

_SOI, _EOI, _SOS, _DRI = 0xD8, 0xD9, 0xDA, 0xDD
_APP0, _APP1, _APP14, _APP15, _COM = 0xE0, 0xE1, 0xEE, 0xEF, 0xFE
_STANDALONE = frozenset({0x01, *_RESTARTS})
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL = frozenset({0xC0, 0xC1})
_PROGRESSIVE = frozenset({0xC2, 0xCA})
_ARITHMETIC = frozenset({0xC9, 0xCA})
_READ = _SEQUENTIAL | _PROGRESSIVE | _ARITHMETIC | {0xC3}
"""Codings of libjpeg-turbo, including lossless and arithmetic ones, which are optional."""

LOOKAHEAD = 8
"""Bytes: libjpeg fills its buffer of 64 bits before it decodes."""
_ONES = b"\xff\0" * LOOKAHEAD
_END = b"\xff\xd9"
_JUNK = bytes(number * 83 % 251 for number in range(1, 129))


@dataclass(frozen=True, slots=True)
class Jpeg(Examined):
    """A JPEG; `content` is for a decoder that reads all of it at once.

    `channels` is 1, 3 or 4. `zeros` counts the zero bytes at the end of a single scan's data; `has_zeros_within`: eight
    or more elsewhere in it. Both may replace data that a camera lost.
    """

    orientation: int = 1
    width: int = 0
    height: int = 0
    channels: int = 3
    single_scan: bool = True
    arithmetic: bool = False
    zeros: int = 0
    has_zeros_within: bool = False

    @property
    def has_zeros_at_end(self) -> bool:
        """Whether a single scan ends with more zeros than a decoder's lookahead."""
        return self.single_scan and self.zeros > LOOKAHEAD

    def without_last(self, count: int, *, ones: bool = False) -> bytes:
        """Return the content of a single scan without its last `count` bytes, plus zeros or ones as lookahead.

        With custom tables zeros may decode as many plain blocks; ones as at most one.
        """
        return self.content[: len(self.content) - LOOKAHEAD - count] + (_ONES if ones else bytes(LOOKAHEAD))

    def with_junk(self) -> bytes:
        """Return the content of several scans with junk at the end, which only an incomplete last scan decodes."""
        return self.content[: -len(_END)] + _JUNK + _END


@dataclass(frozen=True, slots=True)
class _Component:
    horizontal: int
    vertical: int


class _Frame:
    """A start-of-frame segment, and the coefficients that its scans hold."""

    def __init__(self, marker: int, body: bytes) -> None:
        if marker not in _READ:
            raise RefusedError(f"has an unsupported JPEG coding (SOF{marker & 15}); save it as baseline JPEG")
        if len(body) < 6 or len(body) < 6 + 3 * body[5]:
            raise RefusedError("cannot be decoded: its frame header is damaged")
        if body[0] != 8:
            raise RefusedError(f"is a JPEG with {body[0]} bits per channel; save it with 8")
        if body[5] not in (1, 3, 4):
            raise RefusedError(f"is a JPEG with {body[5]} channels, expected 1, 3 or 4")
        self.marker = marker
        self.height, self.width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
        self.components = {
            body[at]: _Component(body[at + 1] >> 4, body[at + 1] & 15) for at in range(6, 6 + 3 * body[5], 3)
        }
        samplings = [side for part in self.components.values() for side in (part.horizontal, part.vertical)]
        if len(self.components) != body[5] or not all(1 <= side <= 4 for side in samplings):
            raise RefusedError("cannot be decoded: its frame header is damaged")
        self._horizontal = max(part.horizontal for part in self.components.values())
        self._vertical = max(part.vertical for part in self.components.values())
        self._missing_bits: dict[int, list[int | None]] = {key: [None] * 64 for key in self.components}
        self.is_of_one_scan = False

    def scan(self, header: bytes) -> list[_Component]:
        """Parse the header of a scan; return its components."""
        count = header[0] if header else 0
        if not 1 <= count <= 4 or len(header) != 4 + 2 * count:
            raise RefusedError("cannot be decoded: a scan header is damaged")
        keys = header[1 : 1 + 2 * count : 2]
        first, last, bits = header[-3:]
        if len(set(keys)) != count or not set(keys) <= self.components.keys():
            raise RefusedError("cannot be decoded: a scan names unknown channels")
        if self.marker not in _PROGRESSIVE:
            first, last, bits = 0, 63, 0
            if any(self._missing_bits[key][0] is not None for key in keys):
                raise RefusedError("cannot be decoded: it has a second scan of the same channels")
        if not first <= last <= 63:
            raise RefusedError("cannot be decoded: a scan header is damaged")
        for key in keys:
            self._missing_bits[key][first : last + 1] = [bits & 15] * (last + 1 - first)
        self.is_of_one_scan = self.marker in _SEQUENTIAL and count == len(self.components)
        return [self.components[key] for key in keys]

    def units(self, parts: list[_Component]) -> int:
        """Return the number of units (MCUs) of a scan of these components."""
        if len(parts) > 1:
            return ceil(self.width / (8 * self._horizontal)) * ceil(self.height / (8 * self._vertical))
        across = ceil(self.width * parts[0].horizontal / self._horizontal)
        down = ceil(self.height * parts[0].vertical / self._vertical)
        return ceil(across / 8) * ceil(down / 8)

    def is_complete(self) -> bool:
        """Whether the scans hold all bits of all coefficients; only color may lack details."""
        planes = list(self._missing_bits.values())
        return (
            all(plane[0] == 0 for plane in planes)
            and all(bits in (0, None) for plane in planes for bits in plane)
            and None not in planes[0]
        )

    def bytes_per_pixel(self, single_scan: bool) -> int:
        """Return the memory of decoding; several scans take two more bytes per coefficient."""
        if single_scan:
            return USUAL_BYTES_PER_PIXEL
        samples = sum(part.horizontal * part.vertical for part in self.components.values())
        return max(USUAL_BYTES_PER_PIXEL, 4 + ceil(2 * samples / (self._horizontal * self._vertical)))


def examine(content: bytes) -> Jpeg:
    """Return a JPEG's first frame.

    Raises:
        RefusedError: it is truncated, not 8 bits per channel, or has too many scans or segments.
    """
    walk = _Walk(content)
    walk.run()
    frame = walk.frame
    if frame is None or not walk.scans:
        raise RefusedError("is a JPEG without image data")
    if not frame.is_complete():
        raise TruncatedError("scans are missing")
    single = frame.is_of_one_scan
    start, end = walk.last_scan
    end = _without_run(content, start, end, b"\xff")  # fill bytes before the next marker
    zeros = end - _without_run(content, start, end, b"\0")
    if not single and zeros > LOOKAHEAD:  # only in a first scan can so many be image data
        end -= zeros
    data = memoryview(content)[start:end]
    return Jpeg(
        b"".join([*walk.before_last_scan, data, bytes(LOOKAHEAD) if single else _END]),
        orientation(walk.exif, walk.xmp),
        frame.width,
        frame.height,
        frame.bytes_per_pixel(single),
        channels=len(frame.components),
        single_scan=single,
        arithmetic=frame.marker in _ARITHMETIC,
        zeros=zeros,
        has_zeros_within=single and _has_zeros(data[: len(data) - zeros]),
    )


def _without_run(content: bytes, start: int, end: int, byte: bytes) -> int:
    """Return the end without a run of this byte."""
    return start + len(content[start:end].rstrip(byte)) if content[end - 1 : end] == byte else end


def _has_zeros(data: memoryview) -> bool:
    """Whether there are eight zero bytes in a row, aligned."""
    return not np.frombuffer(data[: len(data) // 8 * 8], np.uint64).all()


class _Walk:
    """One pass over a JPEG's segments, to its end marker."""

    def __init__(self, content: bytes) -> None:
        self.before_last_scan: list[memoryview] = []
        self.last_scan = (0, 0)
        self.frame: _Frame | None = None
        self.scans = 0
        self.exif: bytes | None = None
        self.xmp: bytes | None = None
        self._pieces = [memoryview(content)[:2]]
        self._content = content
        self._interval = 0

    def run(self) -> None:
        position = 2
        for _ in range(_MAX_SEGMENTS):
            found = _MARKER.search(self._content, position)
            if found is None:
                raise TruncatedError("no end marker")
            start, marker = found.start(), found[0][1]
            if marker == _EOI:
                return
            if marker == _SOI:
                raise TruncatedError("another image begins in it")
            if marker in _STANDALONE:
                position = found.end()
                continue
            end = start + 2 + int.from_bytes(self._content[start + 2 : start + 4], "big")
            if end < start + 4 or end > len(self._content):
                raise TruncatedError()
            position = self._segment(marker, start, end)
        raise RefusedError(f"is a JPEG of more than {_MAX_SEGMENTS} segments")

    def _segment(self, marker: int, start: int, end: int) -> int:
        """Keep a segment that a decoder needs; return its end, including a scan's data."""
        body = self._content[start + 4 : end]
        if self._is_for_decoder(marker, body):
            self._pieces.append(memoryview(self._content)[start:end])
        if marker == _SOS:
            return self._scan(body, end)
        if marker in _FRAMES:
            if self.frame is not None:
                raise TruncatedError("another image begins in it")
            self.frame = _Frame(marker, body)
        elif marker == _DRI:
            self._interval = int.from_bytes(body[:2], "big")
        return end

    def _is_for_decoder(self, marker: int, body: bytes) -> bool:
        """Whether pixels depend on a segment; EXIF and XMP of others are kept for the orientation."""
        if marker == _APP1 and body.startswith(b"Exif\0\0") and self.exif is None:
            self.exif = body
        elif marker == _APP1 and body.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
            self.xmp = body
        if marker == _COM or _APP0 <= marker <= _APP15:  # two of these, if complete, give the color space
            is_jfif = marker == _APP0 and body.startswith(b"JFIF\0") and len(body) >= 14
            return is_jfif or (marker == _APP14 and body.startswith(b"Adobe") and len(body) >= 12)
        return True

    def _scan(self, header: bytes, start: int) -> int:
        """Check a scan whose data begin here; return their end."""
        if self.frame is None:
            raise RefusedError("is a JPEG without a frame header")
        self.scans += 1
        pixels = self.frame.width * self.frame.height
        if self.scans > _MAX_SCANS or (self.scans > 1 and self.scans * pixels > _MAX_SCANNED_PIXELS):
            raise RefusedError(f"is a JPEG of {self.scans} or more scans, too many for {pixels} pixels")
        units = self.frame.units(self.frame.scan(header))
        end, restarts = _entropy_coded(self._content, start)
        if self.frame.marker != 0xC3:
            _check_restarts(restarts, units, self._interval)
        self.before_last_scan = [*self._pieces]
        self.last_scan = start, end
        self._pieces.append(memoryview(self._content)[start:end])
        return end


def _entropy_coded(content: bytes, start: int) -> tuple[int, bytes]:
    """Return the end of a scan's data, and the second bytes of its restart markers."""
    codes = np.frombuffer(content, np.uint8)
    restarts = []
    for begin in range(start, len(codes) - 1, _BLOCK):
        at = begin + np.flatnonzero(codes[begin : min(begin + _BLOCK, len(codes) - 1)] == 0xFF)
        following = codes[at + 1]
        is_restart = following >> 3 == _RESTARTS[0] >> 3
        is_end = (following != 0) & (following != 0xFF) & ~is_restart
        count = int(is_end.argmax()) if is_end.any() else len(at)
        restarts.append(following[:count][is_restart[:count]].tobytes())
        if count < len(at):
            return int(at[count]), b"".join(restarts)
    return len(content), b"".join(restarts)


def _check_restarts(found: bytes, units: int, interval: int) -> None:
    """Check the number and order of restart markers; one more may close the scan."""
    expected = max(0, ceil(units / interval) - 1) if interval else 0
    if len(found) < expected:
        raise TruncatedError(f"{len(found)} of {expected} restart markers")
    if len(found) > expected + (interval > 0):
        raise RefusedError(f"cannot be decoded: expected {expected} restart markers, found {len(found)}")
    if found != (_RESTARTS * (len(found) // 8 + 1))[: len(found)]:
        raise RefusedError("cannot be decoded: restart markers are out of order; a part is missing")
