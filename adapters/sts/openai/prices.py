"""What a call has cost so far, as far as its tokens tell: an estimate, for the bot's `largest_cost`; not a bill.

List prices of the large realtime models, in US dollars. Where `response.done` does not say which tokens were cached,
the cheaper ones are taken to have been, so that the estimate is rather too high. Transcription is not in it: it is
billed apart and costs a fraction. A mini model costs about a third of this.

Source: OpenAI, developers.openai.com/api/docs/models/gpt-realtime-2.1, "Pricing" (text, audio and cached tokens).
"""

from __future__ import annotations

from fsm.triggers import Usage

__all__ = ["estimated_cost"]

# US dollars for a token
_TEXT_IN, _AUDIO_IN, _CACHED_IN = 4e-6, 32e-6, 0.4e-6
_TEXT_OUT, _AUDIO_OUT = 24e-6, 64e-6


def estimated_cost(usage: Usage) -> float:
    """Return the price of these tokens, in US dollars."""
    fresh = max(0, usage.input_tokens - usage.cached_tokens)
    audio = min(fresh, usage.input_audio_tokens)
    said = usage.output_audio_tokens
    heard = audio * _AUDIO_IN + (fresh - audio) * _TEXT_IN + min(usage.cached_tokens, usage.input_tokens) * _CACHED_IN
    return heard + said * _AUDIO_OUT + max(0, usage.output_tokens - said) * _TEXT_OUT
