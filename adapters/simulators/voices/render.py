"""Makes the clips that `clips.json` lists: `python -m adapters.simulators.voices.render`.

Needs espeak-ng and sox. Only who changes the texts needs it: the clips are part of the project.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from adapters.simulators.voices import Voice, clip_name, recorded

__all__ = ["main"]

_VOICES: dict[Voice, tuple[str, ...]] = {
    "caller": ("-v", "en-us+f3", "-s", "185", "-p", "60"),
    "model": ("-v", "en-gb+m3", "-s", "175", "-p", "40"),
}
_TRIMMED = ("norm", "-6", *("silence", "1", "0.01", "1%", "reverse") * 2, "pad", "0", "0.06")
_FLUENT = ("silence", "-l", "1", "0.05", "2%", "-1", "0.1", "2%")
"""Pauses of 0.1 s at most: a detector of speech that waits 0.2 s must hear one utterance, not two."""


def main() -> None:
    """Make every clip anew and remove those that are not listed."""
    folder = Path(__file__).parent
    for stale in folder.glob("*.ulaw"):
        stale.unlink()
    for voice, texts in recorded().items():
        for text in texts.values():
            spoken = subprocess.run(["espeak-ng", *_VOICES[voice], "--stdout", text], capture_output=True, check=True)
            clip = folder / clip_name(text, voice)
            line = ("-t", "ul", "-r", "8000", "-c", "1", str(clip))
            subprocess.run(["sox", "-t", "wav", "-", *line, *_TRIMMED, *_FLUENT], input=spoken.stdout, check=True)


if __name__ == "__main__":
    main()
