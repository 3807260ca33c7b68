"""The one form of a label, against labels of many scripts and against what must never get into one."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shitu_edge.errors import GalleryError
from shitu_edge.gallery.labels import MOST_CHARACTERS, label_fault, normal_label, spellings

SCRIPTS = [
    *("Oat milk 1 l", "牛奶 250 ml", "苹果汁 1升", "コカ・コーラ", "우유", "قهوة", "חלב", "दूध", "นม", "молоко"),
    *("می\u200cخواهم", "क\u094d\u200dष", "ශ\u0dca\u200dර\u0dd3", "র\u200d\u09cdয"),  # joiners that are needed
    *(
        "👩\u200d👩\u200d👧",
        "🏳\ufe0f\u200d🌈",
        "5\ufe0f\u20e3",
        "½ l",
        "№ 5",
        "a  b",
        "a\u00a0b",
        "a\u3000b",
        "€",
        '"quoted"',
    ),
]


@pytest.mark.parametrize("label", SCRIPTS, ids=ascii)
def test_normal_label_leaves_labels_of_all_scripts_alone(label: str) -> None:
    assert normal_label(label, "x") == label
    assert label_fault(label) is None
    assert spellings(label) == (label,)


@pytest.mark.parametrize(
    ("label", "normal"),
    [
        (" tea \n", "tea"),
        ("Cafe\u0301", "Café"),
        ("\ufefftea", "tea"),
        ("te\u200ba\u2060", "tea"),
        ("te\u00ada", "tea"),
        ("\u202eaet\u202c", "aet"),
        ("\u200etea\u200f", "tea"),
        ("te\u200da", "tea"),
        ("牛\u200c奶", "牛奶"),
        ("tea\u200d", "tea"),
        ("e\u200b\u0301\u200dx", "éx"),
        (" \u200b tea", "tea"),
        ("🏴\U000e0067\U000e007f", "🏴"),
    ],
    ids=ascii,
)
def test_normal_label_takes_away_what_nobody_sees(label: str, normal: str) -> None:
    assert normal_label(label, "x") == normal
    assert label_fault(label) == "holds invisible characters"
    assert spellings(label) == (label, normal)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("", "a.jpg: the label is empty"),
        (" \u200b\u3000", "a.jpg: the label is empty"),
        ("\u3164", "a.jpg: the label is empty"),
        ("\u0301", "a.jpg: the label is empty"),
        ("a\nb", "has line breaks"),
        ("a\u2028b", "has line breaks"),
        ("可乐\t2", r"holds a control character, U\+0009"),
        ("\x1b[31mRot\x1b[0m", r"holds a control character, U\+001B"),
        ("a\0b", r"holds a control character, U\+0000"),
        ("a\x9bb", r"holds a control character, U\+009B"),
        ("可乐".encode("gbk").decode("utf-8", "surrogateescape"), r"is not Unicode text \(as GBK it reads '可乐'\)"),
        ("\ud800", "is not Unicode text"),
        ("x" * 201, "has 201 characters, expected at most 200"),
        ("x" * 40_000, "has 40000 characters, expected at most 200"),
    ],
    ids=lambda text: ascii(text)[:20],
)
def test_normal_label_refuses_with_the_reason(label: str, message: str) -> None:
    with pytest.raises(GalleryError, match=message) as refusal:
        normal_label(label, "a.jpg")
    assert "\n" not in str(refusal.value)
    assert label_fault(label)


@pytest.mark.parametrize("label", [None, 3, b"tea", ["tea"]])
def test_a_label_is_text(label: object) -> None:
    with pytest.raises(GalleryError, match="expected text as the label, found"):
        normal_label(label, "a.jpg")  # type: ignore[arg-type]
    with pytest.raises(GalleryError, match="expected text as the label, found"):
        spellings(label)  # type: ignore[arg-type]


def test_a_label_as_long_as_may_be_comes_in_any_form() -> None:
    label = "ệ" * MOST_CHARACTERS
    assert normal_label(unicodedata.normalize("NFD", label), "x") == label


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.text(st.characters(), max_size=20))
def test_normal_label_is_idempotent_and_holds_nothing_unseen(label: str) -> None:
    try:
        normal = normal_label(label, "x")
    except GalleryError:
        assert label_fault(label)
        return
    assert normal_label(normal, "x") == normal
    assert label_fault(normal) is None
    assert normal == unicodedata.normalize("NFC", normal).strip()
    assert not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in normal)
    assert not set(normal) & set("\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff")
