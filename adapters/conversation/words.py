"""Words as callers say and transcripts write them. Knows nothing of intents."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

__all__ = ["COMMON", "closeness", "dialled", "longest_number", "words_of"]

_ENGLISH = """
a about am an and any are as at be been but by can could did do does for from get had has have hello hi how i if
in is it its just know like me much my no not of oh ok okay on or our please so some tell thank thanks that the
their them then there they this to uh um very want was we well were what when where which who why will with
would yes you your
"""
_GERMAN = """
aber als am an auch auf aus bei bin bitte da danke das dem den der des die doch du ein eine einen er es für haben
hallo hat ich ihr im in ist ja kann können man mein meine mich mir mit möchte nein nicht noch nur oder schon sehr
sein sich sie sind so und uns von wann war warum was wer wie wir wo zu zum zur
"""
_SPANISH_AND_FRENCH = """
al con cuál cuándo cómo de del dónde el ella en es está este esta favor gracias hay hola la las lo los me mi más
muy no para pero por que qué quiero se si sí su te tengo un una y ya yo avec bonjour c ce cette comment dans des
du elle est et il j je le les ma mais merci mon ne nous ou où par pas plus pour quand que quel quelle qui s suis
sur tu une veux vous voudrais
"""
_HINDI = """
और क्या का की के को कब कहाँ कैसे कौन मुझे मेरा मेरी मेरे मैं में यह वह से है हैं हूँ हो था थी पर नहीं हाँ जी कृपया
"""
COMMON = frozenset((_ENGLISH + _GERMAN + _SPANISH_AND_FRENCH + _HINDI).split())
"""Words that say little about what somebody wants."""
_SPOKEN = (
    "zero one two three four five six seven eight nine",
    "null eins zwei drei vier fünf sechs sieben acht neun",
    "null eins zwo drei vier fünf sechs sieben acht neun",
    "cero uno dos tres cuatro cinco seis siete ocho nueve",
    "zéro un deux trois quatre cinq six sept huit neuf",
    "शून्य एक दो तीन चार पाँच छह सात आठ नौ",
    "ज़ीरो एक दो तीन चार पांच छः सात आठ नौ",
    "oh un",
    "o",
)
_DIGITS = {
    unicodedata.normalize("NFKC", word): str(value) for line in _SPOKEN for value, word in enumerate(line.split())
}
_UNSURE = frozenset({"oh", "o", "un"})  # digits only beside other digits
_TIMES = {"double": 2, "doppel": 2, "triple": 3}
_CLOSE = 0.6  # words less alike than this are different words


def words_of(text: str) -> list[str]:
    """Split into words, without regard to case, punctuation and width; marks (vowel signs) belong to their word."""
    plain = unicodedata.normalize("NFKC", text).casefold().replace("'", "").replace("’", "")
    return "".join(c if unicodedata.category(c)[0] in "LNM" else " " for c in plain).split()


def closeness(a: str, b: str) -> float:
    """Return how alike two words are, from 0 (different words) to 1 (the same): Dice's measure on letter pairs."""
    if a == b:
        return 1.0
    pairs, others = _pairs(a), _pairs(b)
    alike = 2 * len(pairs & others) / (len(pairs) + len(others))
    return alike if alike >= _CLOSE else 0.0


def _pairs(word: str) -> set[str]:
    edged = f"^{word}$"
    return {edged[i : i + 2] for i in range(len(edged) - 1)}


def dialled(text: str) -> str:
    """Return `text` in words, with spoken and single digits joined: `it is one 2 double three` gives `it is 1233`."""
    written: list[str] = []
    for word, number in _numbered(words_of(text)):
        if number and written and written[-1].isdecimal():
            written[-1] += number
        else:
            written.append(number or word)
    return " ".join(written)


def longest_number(text: str) -> str:
    """Return the longest number that is spoken or written in `text`, as digits; empty if there is none."""
    return max((word for word in dialled(text).split() if word.isdecimal()), key=len, default="")


def _numbered(words: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each word with the digits that it stands for, if any."""
    sure = [word not in _UNSURE and bool(_digits(word)) for word in words]
    times = 1
    for index, word in enumerate(words):
        beside = any(sure[max(index - 1, 0) : index + 2])
        number = _digits(word) if sure[index] or beside else ""
        if word in _TIMES and beside:
            times = _TIMES[word]
            continue
        yield word, number * times
        times = 1


def _digits(word: str) -> str:
    if word.isdecimal():
        return "".join(str(unicodedata.decimal(c)) for c in word)
    return _DIGITS.get(word, "")
