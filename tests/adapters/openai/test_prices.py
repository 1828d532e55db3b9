"""What a call has cost."""

from __future__ import annotations

import pytest

from adapters.sts.openai.prices import estimated_cost
from fsm.triggers import Usage

MILLION = 1_000_000


@pytest.mark.parametrize(
    ("usage", "dollars"),
    [
        (Usage(), 0.0),
        (Usage(input_tokens=MILLION), 4.0),
        (Usage(input_tokens=MILLION, input_audio_tokens=MILLION), 32.0),
        (Usage(input_tokens=MILLION, cached_tokens=MILLION, input_audio_tokens=MILLION), 0.4),
        (Usage(output_tokens=MILLION), 24.0),
        (Usage(output_tokens=MILLION, output_audio_tokens=MILLION), 64.0),
        # half of it was cached: the text, as far as we know, and the audio was not
        (Usage(input_tokens=2 * MILLION, cached_tokens=MILLION, input_audio_tokens=MILLION), 32.4),
        # counts that contradict each other make nothing cheaper than nothing
        (Usage(input_tokens=0, cached_tokens=MILLION, output_tokens=0), 0.0),
    ],
)
def test_tokens_have_their_price(usage: Usage, dollars: float) -> None:
    assert estimated_cost(usage) == pytest.approx(dollars)
