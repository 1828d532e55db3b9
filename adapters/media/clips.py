"""Bundled audio: what the caller hears when the model cannot speak. Read once, kept in the leg's format.

`clips/<language>/<name>.ulaw` is raw mu-law, 8 kHz, mono, without a header. Another voice is a file of the same name;
keep `busy` under 3.5 s, since it is the only one that a hang-up waits for. Ours were spoken by eSpeak NG and made so:

    espeak-ng -v en-us -s 165 -w clip.wav "One moment, please."        # or -v hi, -v sw
    sox clip.wav -t raw -r 8000 -c 1 -e u-law en/hold.ulaw gain -n -4 \\
        silence 1 0.01 0.1% reverse silence 1 0.01 0.1% reverse pad 0.05 0.15

| | en | hi | sw |
| --- | --- | --- | --- |
| apology | I am sorry, something went wrong. | क्षमा करें, कुछ गड़बड़ हो गई। | Samahani, kuna hitilafu. |
| busy | All lines are busy. Please call again later. | सभी लाइनें व्यस्त हैं। कृपया बाद में फिर कॉल करें। | Laini zote zina shughuli. Tafadhali piga tena baadaye. |
| hold | One moment, please. | कृपया एक क्षण रुकिए। | Tafadhali subiri kidogo. |
| goodbye | Thank you for calling. Goodbye. | फ़ोन करने के लिए धन्यवाद। नमस्ते। | Asante kwa kupiga simu. Kwaheri. |
"""  # noqa: E501  # the table

from __future__ import annotations

import base64
import struct
from array import array
from pathlib import Path

from adapters.carriers.contract import MediaFormat
from adapters.media.g711 import alaw_from_ulaw, linear_from_ulaw
from fsm.errors import PortError

__all__ = ["BUNDLED", "Clips"]

BUNDLED = Path(__file__).with_name("clips")
_FALLBACK = "en"


class Clips:
    """The bundled audio of one process, shared by all calls.

    Args:
        folder: where the language folders are.
    """

    def __init__(self, folder: Path = BUNDLED) -> None:
        self._folder = folder
        self._payloads: dict[tuple[str, str, MediaFormat], str] = {}

    def payload(self, clip: str, language: str, media_format: MediaFormat) -> str:
        """Return `clip` as base64 in `media_format`.

        Args:
            language: `hi`, or with a region (`hi-IN`); English if there is no such recording.

        Raises:
            PortError: there is no such clip, or the format's rate is no multiple of 8 kHz.
        """
        key = (clip, language, media_format)
        if key not in self._payloads:
            self._payloads[key] = base64.b64encode(_in_format(self._read(clip, language), media_format)).decode()
        return self._payloads[key]

    def _read(self, clip: str, language: str) -> bytes:
        known = {path.name: path for path in self._folder.iterdir() if path.is_dir()}
        short = language.replace("_", "-").partition("-")[0].lower()
        for folder in (known.get(short), known.get(_FALLBACK)):
            if folder is not None and clip in {path.stem for path in folder.glob("*.ulaw")}:
                return (folder / f"{clip}.ulaw").read_bytes()
        raise PortError(f"there is no bundled audio named {clip!r}", port="carrier", retryable=False)


def _in_format(ulaw: bytes, media_format: MediaFormat) -> bytes:
    if media_format.encoding == "pcmu":
        return ulaw
    if media_format.encoding == "pcma":
        return alaw_from_ulaw(ulaw)
    if media_format.rate % 8000:
        raise PortError(f"bundled audio cannot be played at {media_format.rate} Hz", port="carrier", retryable=False)
    samples = _stretched(linear_from_ulaw(ulaw), media_format.rate // 8000)
    return struct.pack(f"<{len(samples)}h", *samples)


def _stretched(samples: array[int], factor: int) -> array[int]:
    """Return `factor` samples for each, on straight lines between them."""
    if factor == 1:
        return samples
    following = samples[1:] + samples[-1:]
    return array(
        "h", (a + (b - a) * k // factor for a, b in zip(samples, following, strict=True) for k in range(factor))
    )
