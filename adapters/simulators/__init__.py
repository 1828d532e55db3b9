"""Callers and a model to try charts with, offline. They speak the wire formats and share no code with the adapters.

- `twilio.TwilioCaller`: a caller who phones in through Twilio; `misbehaviour.Misbehaviour`: what a line does wrong.
- `realtime.RealtimePeer`: an OpenAI Realtime server that plays a `Script`; `realtime.Faults`: what breaks.
- `scenario.run_scenario`: a whole call from a YAML file; `demo` is bundled.
- `virtual_time.VirtualLoop`: a loop whose time jumps, so that a long call takes no time.
"""
