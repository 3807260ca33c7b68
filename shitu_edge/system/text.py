"""Untrusted text: decoding it, reducing it to one line, and printing it safely."""

from __future__ import annotations

import codecs
import csv
import re

_FORMAT = (
    "\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f"
)
INVISIBLE = re.compile(f"[{_FORMAT}]")
"""Invisible format characters (Cf): zero-width spaces, direction marks and overrides, soft hyphens.

Not ZWNJ and ZWJ, which Persian, Indic scripts and emoji need.
"""
UNSAFE = re.compile(f"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff{_FORMAT}]")
"""Characters that move a cursor, end a line, reorder or hide text: controls, separators, `INVISIBLE`, surrogates."""
MOST_IN_A_LINE = 4000
"""Characters of a message."""
_MOST_IN_A_CELL = 500
_SPACES = frozenset("\t\n\v\f\r\x85\u2028\u2029")
_MARKS = (  # UTF-32 before UTF-16, whose mark is a prefix
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHINESE = re.compile("[\u4e00-\u9fff]")
_SAMPLE = 30
_NAMES = 5
TAB = "\t"


def shown(text: str, most: int = _MOST_IN_A_CELL) -> str:
    r"""Return a text as one line that is safe to print and draw.

    Unsafe characters appear as in Python, `\x1b`, and line breaks as spaces. Past `most` characters it ends with an
    ellipsis.
    """
    line = UNSAFE.sub(_visible, text[:most])
    return line if len(text) <= most else f"{line}…"


def some(names: list[str]) -> str:
    """Return the first five names, and the number of others."""
    return ", ".join(names) if len(names) <= _NAMES else f"{', '.join(names[:_NAMES])} and {len(names) - _NAMES} more"


def one_line(text: str) -> str:
    """Return a text as one line."""
    return " ".join(printable(text).split())


def printable(text: str) -> str:
    """Replace what is not Unicode, such as bytes of a file name in another encoding, by ?."""
    return text.encode("utf-8", "replace").decode("utf-8")


def decoded(content: bytes) -> str:
    """Return a file's text: UTF-8, or the encoding of its byte order mark.

    Raises:
        ValueError: it is in another encoding; names the likely one and what to do.
    """
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        raise ValueError(f"is not UTF-8 text{as_gbk(content)}; save it as UTF-8") from None
    if "\0" in text:
        raise ValueError("holds NUL characters (a binary file, or UTF-16 without its mark); save it as UTF-8")
    return text


def columns(line: str, delimiter: str = TAB) -> list[str]:
    """Return the columns of a line; with tabs as delimiters, quotes that are not valid CSV are part of the text.

    Raises:
        csv.Error: quotes are not valid CSV, and the delimiter is not the tab.
    """
    try:
        return next(csv.reader([line], delimiter=delimiter, skipinitialspace=delimiter != TAB, strict=True))
    except csv.Error:
        if delimiter != TAB:
            raise
        return line.split(TAB)


def as_gbk(content: bytes) -> str:
    """Return ` (as GBK it reads …)` for bytes that may be GBK, else an empty text."""
    try:
        text = content.decode("gb18030")
    except UnicodeDecodeError:
        return ""
    line = next((line for line in text.splitlines() if not line.isascii()), "")
    return f" (as GBK it reads {shown(line, _SAMPLE)!r})" if line else ""


def from_gbk(content: bytes) -> str | None:
    """Return the text of bytes that are GBK or GB18030; None if they may as well be something else.

    Letters of other encodings decode as rare Chinese characters, so most must be of GB2312, the common ones.
    """
    try:
        text = content.decode("gb18030")
    except UnicodeDecodeError:
        return None
    chinese = _CHINESE.findall(text)
    common = sum(bool(character.encode("gb2312", "ignore")) for character in chinese)
    return text if chinese and "\0" not in text and 2 * common > len(chinese) else None


def _visible(found: re.Match[str]) -> str:
    character = found[0]
    if character in _SPACES:
        return " "
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name in another encoding
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("ascii", "backslashreplace").decode() if code > 0x7F else f"\\x{code:02x}"
