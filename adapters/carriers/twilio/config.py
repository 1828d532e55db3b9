"""What may be set about Twilio. Values only: `adapters/settings.py` reads the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from fsm.errors import SettingError

__all__ = ["TwilioConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TwilioConfig:
    """How this process is reached by Twilio, and how it tells Twilio from others.

    Raises:
        SettingError: the public URL is not one.
    """

    auth_token: str = field(default="", repr=False)
    """The account's token. Set: every webhook and every handshake must carry a valid signature."""
    shared_keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Key id -> secret, for requests that name a key in `X-Twilio-Webhooks-Signature-Settings`."""
    token_secret: str = field(default="", repr=False)
    """What our own stream tokens are made with, the same on every node. Empty: the auth token, else a random one."""
    public_url: str = ""
    """Where Twilio finds us, e.g. `https://bot.example.net`. Empty: as the request and its proxy headers say."""
    start_timeout_s: float = 10.0
    """How long a socket may be silent before its `start`."""
    stall_timeout_s: float = 10.0
    """How long a peer may leave one message unread before it is let go."""
    queue_limit: int = 4 * 1024 * 1024
    """Characters that may wait to be sent to one call; about six minutes of mu-law in base64."""
    calls_limit: int = 20_000
    """Calls that the webhook remembers; the oldest go first."""
    calls_expiry_s: float = 86_400.0
    """How long it remembers a call that nobody declares over. Twilio's longest call lasts 24 h."""

    def __post_init__(self) -> None:
        if self.public_url and not _is_web_address(self.public_url):
            raise SettingError("the public URL must look like https://bot.example.net, without a query")


def _is_web_address(text: str) -> bool:
    try:
        url = urlsplit(text)
        named = bool(url.hostname) and url.port != 0
    except ValueError:  # a port beyond 65535, an IPv6 address without its end
        return False
    return named and url.scheme in ("http", "https") and not (url.query or url.fragment)
