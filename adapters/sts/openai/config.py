"""How the model is reached. Read from nowhere: `adapters/settings.py` fills it."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["OpenAiConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAiConfig:
    """Where OpenAI Realtime is, who we are, and how long we wait for it. Times are seconds."""

    api_key: str = field(repr=False)
    url: str = "wss://api.openai.com/v1/realtime"
    """`model` is added to its query; what the query has already is kept."""
    model: str = "gpt-realtime-2.1"
    """Used by bots that name none."""
    connect_timeout: float = 3.0
    """For TCP, TLS and the WebSocket handshake of one attempt."""
    ready_timeout: float = 3.0
    """From an open socket until the session has confirmed its formats."""
    attempts: int = 3
    attempts_within: float = 10.0
    """All attempts and the pauses between them."""
    back_off: float = 0.3
    """The longest pause before the second attempt; doubled before each further one."""
    max_session: float = 55 * 60.0
    """Age at which a session is replaced, preferably while nobody speaks."""
    response_timeout: float = 10.0
    """From a request for a reply until the model takes it up."""
    stall_timeout: float = 15.0
    """The longest silence of a response that is being made."""
    cancel_timeout: float = 5.0
    """From cancelling a response until its end."""
    transcript_timeout: float = 2.9
    """From the end of speech until its transcript is reported, with or without words; three seconds are promised."""
    audio_kept: float = 10.0
    """How much of the caller's audio is kept while no session is open."""
    ping_interval: float = 20.0
    close_timeout: float = 1.0
    """For the closing handshake; then the socket is cut."""
    max_message: int = 16 * 1024 * 1024
    """Bytes of the longest message taken from the model."""
