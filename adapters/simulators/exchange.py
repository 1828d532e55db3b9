"""How a simulated Twilio reaches a server: signed webhooks and handshakes, also through a proxy.

Sources: Twilio, Webhooks security (X-Twilio-Signature); Twilio, TwiML Voice: `<Stream>` (the handshake is signed too,
over the address in the TwiML).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect

from adapters.simulators import twiml
from adapters.simulators.webhook import Answer, WebhookError, post_form

__all__ = ["Exchange"]


class Exchange:
    """The addresses of one server, and what every request of one call has in common."""

    def __init__(
        self,
        url: str,
        public_url: str | None,
        auth_token: str | None,
        form: Mapping[str, str],
        note: Callable[[str, str], None],
    ) -> None:
        self.url = url.rstrip("/")
        self.public_url = (public_url or url).rstrip("/")
        self._auth_token = auth_token
        self._form = form
        self._note = note

    async def ask(self, url: str, **fields: str) -> list[twiml.Verb]:
        """Post to a webhook and return the verbs it answers.

        Raises:
            WebhookError: there is no answer, or not a good one.
            TwimlError: it is not TwiML.
        """
        answer = await self.tell(url, **fields)
        if answer.status != 200:
            raise WebhookError(f"{url} answered {answer.status}")
        return twiml.parse(answer.body, url)

    async def tell(self, url: str, **fields: str) -> Answer:
        """Post to a callback, whatever it answers. Raises WebhookError."""
        form = {**self._form, **fields}
        answer = await post_form(self._local(url), form, self._headers(url, form))
        self._note("webhook", f"{urlsplit(url).path} {answer.status}")
        return answer

    async def connect(self, url: str, *, max_queue: int | None) -> ClientConnection:
        """Open a media socket. Raises OSError, InvalidHandshake."""
        return await connect(
            self._local(url),
            additional_headers={"User-Agent": "Twilio.TmeWs/1.0", **self._headers(url, {})},
            user_agent_header=None,
            compression=None,
            proxy=None,
            ping_interval=None,
            close_timeout=2,
            max_size=None,
            max_queue=max_queue,
        )

    def _headers(self, url: str, form: Mapping[str, str]) -> dict[str, str]:
        headers = {}
        if self._auth_token is not None:
            headers["X-Twilio-Signature"] = twiml.sign(self._auth_token, url, form)
        if self._local(url) != url:
            public = urlsplit(url)
            headers["X-Forwarded-Host"] = public.netloc
            headers["X-Forwarded-Proto"] = public.scheme.replace("ws", "http")
        return headers

    def _local(self, url: str) -> str:
        """Return where an address that Twilio knows is really served."""
        asked, public, local = urlsplit(url), urlsplit(self.public_url), urlsplit(self.url)
        if asked.netloc != public.netloc or public.netloc == local.netloc:
            return url
        secure = local.scheme in ("https", "wss")
        scheme = ("wss" if secure else "ws") if asked.scheme in ("ws", "wss") else ("https" if secure else "http")
        return asked._replace(scheme=scheme, netloc=local.netloc).geturl()
