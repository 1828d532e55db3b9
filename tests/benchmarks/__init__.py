"""What the machine promises, measured: `python -m tests.benchmarks.<name> [--smoke] [--json]`.

`storm` (no call stays open), `speed`, `memory`, `relay`. Each prints what was reached beside its goal and exits with 1
if a goal was missed. Ratios compare in one run, in turns, so that a busy machine slows both sides. Nothing here runs
with the tests, which never measure time; `test_benchmarks.py` looks after the parts that can be tested.
"""
