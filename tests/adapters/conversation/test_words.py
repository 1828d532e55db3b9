"""Words and numbers, as they are spoken and as transcripts write them."""

from __future__ import annotations

import pytest

from adapters.conversation.words import closeness, dialled, longest_number, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Where's my ORDER?", ["wheres", "my", "order"]),
        ("that’s all", ["thats", "all"]),
        ("  … ", []),
        ("हाँ, मेरा ऑर्डर", ["हाँ", "मेरा", "ऑर्डर"]),
        ("Ｏrder", ["order"]),
        ("STRASSE straße", ["strasse", "strasse"]),
    ],
)
def test_words_have_no_case_punctuation_or_width(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@pytest.mark.parametrize(("a", "b"), [("order", "orders"), ("delivery", "deliverys"), ("goodbye", "goodby")])
def test_endings_and_slips_are_close(a: str, b: str) -> None:
    assert 0.6 <= closeness(a, b) < 1


def test_same_word_is_as_close_as_can_be_and_another_word_is_not_close() -> None:
    assert closeness("order", "order") == 1
    assert closeness("order", "banana") == 0


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("one two three", "123"),
        ("it is one 2 double three, please", "1233"),
        ("triple seven", "777"),
        ("4 5 6", "456"),
        ("12 34", "1234"),
        ("nine oh one", "901"),
        ("eins zwo drei", "123"),
        ("uno dos tres", "123"),
        ("un deux trois", "123"),
        ("एक दो तीन", "123"),
        ("१२३", "123"),
        ("number two: 4 5 6", "2456"),
        ("I have 2 questions about 456", "456"),
        ("oh no", ""),
        ("a double room", ""),
        ("", ""),
    ],
)
def test_number_is_heard_however_it_is_spoken(text: str, number: str) -> None:
    assert longest_number(text) == number


def test_words_around_a_number_stay() -> None:
    assert dialled("Order one two three, please!") == "order 123 please"
