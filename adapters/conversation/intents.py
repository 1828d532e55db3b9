"""Tells what a caller wants by comparing their words with the examples of the bot's intents. Offline; no model.

How this works. Each word of an example is looked for among the caller's, allowing for endings and slips of the
transcription; words that many intents share, or that say little, weigh little. How much of the example is there
(twice as important) and how much of what was said belongs to it make a confidence from 0 to 1. One below `FLOOR` names
no intent: then the chart decides whether to ask again.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.conversation.words import COMMON, closeness, dialled
from fsm.context import BotSettings, CallContext
from fsm.triggers import IntentDetected

__all__ = ["FLOOR", "OfflineIntents"]

FLOOR = 0.5
"""A lower confidence names no intent."""
_FILLED = 0.9  # confidence that an answer to our own question continues the intent it belongs to
_CURVE = 0.7  # half an example found, by weight, is a fair guess: 0.62
_LONGEST = 40  # newest words that are looked at
_BOTS = 64  # bots whose examples stay prepared


class OfflineIntents:
    """An `IntentPort` for the intents that a bot declares.

    Each is `{name, examples: [text], goodbye, agent, reply, entities: {slot: {question, pattern}}}`. An entity with a
    `question` is needed: while it is missing, the caller is asked. One without a `pattern` takes the whole answer.
    """

    def __init__(self) -> None:
        self._prepared: dict[int, tuple[BotSettings, _Examples]] = {}

    async def detect(self, call: CallContext, text: str) -> IntentDetected:
        """Return the intent of `text`. A bot without intents leaves everything to the model: no intent, certainly."""
        item_id = next((m.item_id for m in reversed(call.history) if m.role == "caller"), "")
        if not call.bot.intents:
            return IntentDetected(confidence=1.0, item_id=item_id)
        name, confidence = self._examples(call.bot).best(dialled(text).split()[-_LONGEST:])
        if answered := _answers(call, text, confidence):
            return _detected(call.bot.intent(call.intent), _FILLED, {**call.entities, **answered}, item_id)
        if confidence < FLOOR:
            return IntentDetected(confidence=confidence, item_id=item_id)
        intent = call.bot.intent(name)
        known = call.entities if name == call.intent and call.missing else {}
        said = _entities(intent, text, _slots(intent))
        return _detected(intent, confidence, {**known, **said}, item_id)

    def _examples(self, bot: BotSettings) -> _Examples:
        """Return the bot's examples, prepared once; the bot is kept with them, so that its id stays its own."""
        known = self._prepared.get(id(bot))
        if known is None:
            if len(self._prepared) >= _BOTS:
                self._prepared.clear()
            known = self._prepared[id(bot)] = (bot, _Examples.of(bot.intents))
        return known[1]


def _detected(
    intent: Mapping[str, Any], confidence: float, entities: Mapping[str, str], item_id: str
) -> IntentDetected:
    needed = [slot for slot, about in _slots(intent).items() if about.get("question")]
    agent = intent.get("agent", "")
    return IntentDetected(
        intent=intent["name"],
        confidence=confidence,
        entities=dict(entities),
        missing=tuple(slot for slot in needed if slot not in entities),
        requires_agent=bool(agent),
        agent_type=agent,
        item_id=item_id,
    )


def _answers(call: CallContext, text: str, elsewhere: float) -> dict[str, str]:
    """Return what `text` adds to an intent that we asked about; a whole sentence only if it means nothing else."""
    intent = call.bot.intent(call.intent)
    asked = {slot: about for slot, about in _slots(intent).items() if slot in call.missing}
    said = _entities(intent, text, asked)
    free = [slot for slot, about in asked.items() if not about.get("pattern")]
    if free and not said and elsewhere < FLOOR and text.strip():
        return {free[0]: text.strip()}
    return said


def _slots(intent: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    return {slot: about or {} for slot, about in intent.get("entities", {}).items()}


def _entities(intent: Mapping[str, Any], text: str, slots: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Find what the patterns describe: in the text as it is, then with spoken digits written as digits."""
    found: dict[str, str] = {}
    for slot, about in slots.items():
        if pattern := about.get("pattern"):
            match = re.search(pattern, text, re.IGNORECASE) or re.search(pattern, dialled(text), re.IGNORECASE)
            if match:
                found[slot] = match[match.lastindex or 0]
    return found


@dataclass(frozen=True, slots=True)
class _Examples:
    """The examples of a bot, in words, with the weight of each word."""

    examples: Sequence[tuple[str, Sequence[str]]]
    weights: Mapping[str, float]

    @classmethod
    def of(cls, intents: Sequence[Mapping[str, Any]]) -> _Examples:
        examples = [(i["name"], dialled(text).split()) for i in intents for text in i.get("examples", ())]
        sharing = Counter(word for word, _ in {(word, name) for name, words in examples for word in words})
        return cls(examples, {word: _weight(word) / intents_with for word, intents_with in sharing.items()})

    def best(self, said: Sequence[str]) -> tuple[str, float]:
        """Return the intent that fits best and how well, 0 to 1; less where another one fits almost as well."""
        if not said:
            return "", 0.0
        alike = {(a, b): closeness(a, b) for a in self.weights for b in set(said)}
        scores: dict[str, float] = {}
        for name, words in self.examples:
            scores[name] = max(scores.get(name, 0.0), self._score(words, said, alike))
        ranked = sorted(scores.items(), key=lambda entry: -entry[1])
        (name, first), second = ranked[0] if ranked else ("", 0.0), ranked[1][1] if len(ranked) > 1 else 0.0
        torn = first < 0.95 and second > 0.9 * first
        return name, round(first**_CURVE * (0.7 if torn else 1.0), 3)

    def _score(self, words: Sequence[str], said: Sequence[str], alike: Mapping[tuple[str, str], float]) -> float:
        if not words:
            return 0.0
        weigh = self.weights
        there = sum(weigh[w] * max(alike[w, s] for s in said) for w in words) / sum(weigh[w] for w in words)
        mine = [(weigh.get(s) or _weight(s), max(alike[w, s] for w in words)) for s in said]
        belongs = sum(weight * fit for weight, fit in mine) / sum(weight for weight, _ in mine)
        return 5 * there * belongs / (4 * belongs + there) if there and belongs else 0.0


def _weight(word: str) -> float:
    return 0.15 if word in COMMON or word.isdecimal() else max(0.3, min(len(word), 6) / 6)
