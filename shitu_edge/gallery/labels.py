"""The normal form of labels, in which all of them enter a gallery."""

from __future__ import annotations

import re
import unicodedata

from ..errors import GalleryError
from ..system.text import INVISIBLE, UNSAFE, as_gbk, printable

NEGATIVE = "(not a product)"
"""Label of items that are not products: a hand, the counter, a price tag. What resembles one most is unknown."""

MOST_CHARACTERS = 200
"""Of a label."""

_MOST_TO_A_CHARACTER = 4
"""Code points per character of the composed form (NFC)."""
_JOINERS = re.compile("[\u200c\u200d]")
_BLANK = frozenset("\u115f\u1160\u200c\u200d\u2800\u3164\uffa0")
"""Hangul fillers, the empty Braille pattern and joiners: letters or symbols by category, but invisible."""


def normal_label(label: str, whose: str) -> str:
    """Return a label in normal form: stripped, composed (NFC), without invisible characters.

    Inner spaces stay, and so do joiners that a script or an emoji needs.

    Args:
        label: the label.
        whose: its owner, with which the error begins.

    Raises:
        GalleryError: it is not text, is empty or longer than `MOST_CHARACTERS`, or holds line breaks, control
            characters or bytes of another encoding.
    """
    _check_text(label, whose)
    normal = _normal(label)
    fault = _fault(normal)
    if fault:
        raise GalleryError(f"{whose}: the label {fault}")
    return normal


def label_fault(label: str) -> str | None:
    """Return why a label, as of an older gallery, would be refused or changed; None if neither."""
    normal = _normal(label)
    return _fault(normal) or ("holds invisible characters" if normal != label else None)


def spellings(label: str) -> tuple[str, ...]:
    """Return the spellings to search for: the label itself, as in older galleries, then its normal form.

    Spellings that are not Unicode are left out.

    Raises:
        GalleryError: it is not text.
    """
    _check_text(label, "the label")
    return tuple(text for text in dict.fromkeys((label, _normal(label))) if text == printable(text))


def _check_text(label: object, whose: str) -> None:
    if not isinstance(label, str):
        raise GalleryError(f"{whose}: expected text as the label, found {type(label).__name__}")


def _normal(label: str) -> str:
    """Return the normal form; a label that is far too long is returned as it is."""
    if len(label) > MOST_CHARACTERS * _MOST_TO_A_CHARACTER:
        return label
    before = None
    while label != before:  # a removed character may have prevented composition
        before = label
        label = _JOINERS.sub(_kept_joiner, INVISIBLE.sub("", unicodedata.normalize("NFC", label))).strip()
    return label


def _kept_joiner(found: re.Match[str]) -> str:
    """Keep a joiner next to a mark (Indic vowels and viramas), or after an Arabic letter or a symbol (emoji)."""
    text, at = found.string, found.start()
    before, after = text[max(0, at - 1) : at], text[at + 1 : at + 2]
    marked = any(letter and unicodedata.category(letter)[0] == "M" for letter in (before, after))
    joins = before and (unicodedata.bidirectional(before) == "AL" or unicodedata.category(before)[0] == "S")
    return found[0] if marked or joins else ""


def _fault(label: str) -> str | None:
    """Return why a label in normal form is refused, None if it is not."""
    if len(label) > MOST_CHARACTERS:
        return f"has {len(label)} characters, expected at most {MOST_CHARACTERS}"
    if not any(map(_shows, label)):
        return "is empty"
    unsafe = UNSAFE.search(label)
    if unsafe is None:
        return None
    character = unsafe[0]
    if character in "\n\r\u2028\u2029":
        return "has line breaks"
    if "\ud800" <= character <= "\udfff":
        return f"is not Unicode text{_encoded(label)}"
    return f"holds a control character, U+{ord(character):04X}"


def _shows(character: str) -> bool:
    return unicodedata.category(character)[0] not in "ZM" and character not in _BLANK


def _encoded(label: str) -> str:
    """Return a hint at the encoding of a file name's bytes."""
    try:
        return as_gbk(label.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        return ""
