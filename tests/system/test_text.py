"""What is shown of text from outside, against Unicode's own categories, and in which encodings files are read."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shitu_edge.system.text import UNSAFE, decoded, shown

SEEN_ALTHOUGH_FORMAT = {*map(chr, [*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD])}
"""Signs of Arabic, Syriac and Kaithi that enclose or precede numbers (Prepended_Concatenation_Mark)."""
JOINERS = {"\u200c", "\u200d"}


def test_unsafe_is_every_control_separator_surrogate_and_unseen_format_character() -> None:
    for character in map(chr, range(0x110000)):
        category = unicodedata.category(character)
        if category in ("Cc", "Cf", "Zl", "Zp", "Cs"):
            harmless = character in SEEN_ALTHOUGH_FORMAT | JOINERS
            assert bool(UNSAFE.match(character)) is not harmless, hex(ord(character))
        else:
            assert category == "Cn" or not UNSAFE.match(character), hex(ord(character))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("a\u202eb\u2066", r"a\u202eb\u2066"),
        ("a\U000e0041", r"a\U000e0041"),
        ("first\nsecond\r\nthird\tend\u2028", "first second  third end "),
        ("可乐".encode("gbk").decode("utf-8", "surrogateescape"), r"\xbf\xc9\xc0\xd6"),
        ("\ud83d", r"\ud83d"),
        ("می\u200cخواهم 👩\u200d🍳 حليب", "می\u200cخواهم 👩\u200d🍳 حليب"),
    ],
)
def test_shown_makes_unsafe_characters_visible(text: str, expected: str) -> None:
    assert shown(text) == expected


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(st.characters(), max_size=60), st.integers(0, 60))
def test_shown_is_safe_short_and_leaves_safe_text_alone(text: str, most: int) -> None:
    line = shown(text, most)
    assert not any(unicodedata.category(character) in ("Cc", "Zl", "Zp", "Cs") for character in line)
    assert not UNSAFE.search(line)
    assert len(line) <= 10 * most + 1
    assert (line == text) or UNSAFE.search(text) or len(text) > most
    line.encode("utf-8")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be", "utf-32-be"])
def test_decoded_heeds_the_mark(encoding: str) -> None:
    text = "图片\tlabel\r\n牛奶 🥛"
    mark = "\ufeff" if encoding.endswith(("le", "be")) else ""
    assert decoded((mark + text).encode(encoding)) == text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a.jpg\t牛奶".encode("gbk"), r"is not UTF-8 text \(as GBK it reads 'a\.jpg 牛奶'\); save it as UTF-8"),
        (b"\xff\xff\xff", "is not UTF-8 text; save it as UTF-8"),
        ("a.jpg\ttea".encode("utf-16-le"), "holds NUL characters"),
        (b"\xff\xfea", "is not UTF-8 text"),
    ],
)
def test_decoded_says_what_else_it_may_be(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decoded(content)


def test_escapes_of_json_are_the_same_text() -> None:
    text = json.dumps("a\u202e\x9b\U000e0001é", ensure_ascii=False)
    assert json.loads(UNSAFE.sub(lambda found: json.dumps(found[0])[1:-1], text)) == "a\u202e\x9b\U000e0001é"
