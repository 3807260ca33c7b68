"""Words on labels: tastes with their pictures, invented names, scripts that DejaVu has."""

from __future__ import annotations

import numpy as np

from .writing import STROKES

TASTES: tuple[tuple[str, str, float, float], ...] = (
    ("Orange", "slice", 0.075, 0.95),
    ("Lemon", "lemon", 0.145, 0.85),
    ("Apple", "fruit", 0.27, 0.75),
    ("Cherry", "berries", 0.97, 0.85),
    ("Strawberry", "strawberry", 0.98, 0.8),
    ("Blueberry", "berries", 0.66, 0.6),
    ("Banana", "banana", 0.14, 0.8),
    ("Tomato", "tomato", 0.01, 0.88),
    ("Mango", "fruit", 0.1, 0.9),
    ("Peach", "fruit", 0.05, 0.6),
    ("Lime", "slice", 0.24, 0.8),
    ("Grape", "berries", 0.8, 0.6),
    ("Mint", "leaves", 0.42, 0.6),
    ("Green tea", "leaves", 0.3, 0.6),
    ("Coffee", "beans", 0.07, 0.6),
    ("Cocoa", "beans", 0.05, 0.65),
    ("Vanilla", "flower", 0.13, 0.5),
    ("Milk 3.5 %", "cow", 0.57, 0.6),
    ("Milk 1.5 %", "glass", 0.52, 0.6),
    ("Oat", "ear", 0.11, 0.5),
    ("Barley", "ear", 0.1, 0.7),
    ("Water", "mountain", 0.56, 0.7),
    ("Still", "drop", 0.6, 0.7),
    ("Sparkling", "wave", 0.5, 0.6),
    ("Cola", "bolt", 0.99, 0.9),
    ("Zero", "star", 0.0, 0.0),
    ("Energy", "bolt", 0.33, 0.9),
    ("Light", "sun", 0.54, 0.4),
    ("Tuna", "fish", 0.58, 0.7),
    ("Classic", "crown", 0.1, 0.6),
    ("Original", "rings", 0.0, 0.85),
    ("Wild herbs", "flower", 0.36, 0.6),
    ("Honey", "drop", 0.115, 0.9),
    ("Yoghurt", "splash", 0.6, 0.5),
)
_SYLLABLES = [
    *("ba", "be", "bo", "da", "do", "el", "fa", "fi", "ga", "ka", "ki", "la", "le", "lo", "lu", "ma", "me", "mi"),
    *("mo", "na", "ne", "no", "pa", "ra", "ri", "ro", "sa", "se", "so", "ta", "ti", "to", "va", "ve", "vi", "za"),
]
SCRIPTS = {
    "greek": "αβγδεζηθικλμνξοπρστυφχψω",
    "cyrillic": "абвгдежзиклмнопрстуфхцчшыэюя",
    "hebrew": "אבגדהוזחטיכלמנסעפצקרשת",
    "arabic": "ابتثجحخدذرزسشصضطظعغفقكلمنهوي",
    "georgian": "აბგდევზთიკლმნოპჟრსტუფქღყშჩცძწჭხჯჰ",
}


def word(rng: np.random.Generator, script: str, alphabet: str, words: int) -> str:
    """Return an invented name in a script: "strokes", "other" (letters of the alphabet), or "latin"."""
    if script == "strokes":
        return "".join(chr(STROKES + int(c)) for c in rng.integers(0, 3000, int(rng.integers(2, 5))))
    if script == "other":
        letters = list(alphabet)
        return " ".join("".join(str(c) for c in rng.choice(letters, int(rng.integers(3, 8)))) for _ in range(words))
    text = " ".join("".join(str(s) for s in rng.choice(_SYLLABLES, int(rng.integers(2, 4)))) for _ in range(words))
    return text.upper() if rng.random() < 0.4 else text.title()


def sentence(rng: np.random.Generator, script: str, length: int) -> str:
    """Return invented small print of about `length` letters."""
    if script == "strokes":
        return "".join(chr(STROKES + int(c)) for c in rng.integers(0, 400, max(3, length // 2)))
    ends = np.cumsum(rng.integers(1, 4, length))
    syllables = [str(s) for s in rng.choice(_SYLLABLES, min(length // 2, 30))]
    words = ["".join(syllables[a:b]) for a, b in zip([0, *ends], ends, strict=False)]
    return " ".join(part for part in words if part)
