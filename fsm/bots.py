"""Reads bots: what a chart leaves open, by bot name and called number. Checked like a chart.

    default: {chart: eager, language: de}
    shop:
      numbers: ["+49 30 1234567"]
      instructions: You answer the telephone of a small shop.
      intents: [{name: goodbye, goodbye: true, examples: [bye]}]
      delays: {farewell: 20s}
    "+49 30 7654321": shop

A key is a bot's name, or a number that a bot of its own serves, or, with a name as its value, one that another bot
serves. `default` serves every other number; where a file has none, the bundled one does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fsm.bot_shape import BotDraft, shape_bot
from fsm.chart import Chart
from fsm.context import BotSettings
from fsm.errors import ChartError, Position, Problem
from fsm.findings import Findings, join
from fsm.load import read_chart
from fsm.names import did_you_mean
from fsm.registry import Registry
from fsm.sources import BUNDLED, find_source, read_file
from fsm.yaml_source import Node

__all__ = ["Bot", "Bots", "check_bots", "load_bots"]

_NUMBER = re.compile(r"\+?[0-9][0-9 ().\-/]*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]*")
_CHART = "voice_call"


@dataclass(frozen=True, slots=True)
class Bot:
    """A chart with everything that it leaves open; its delays are in the chart.

    Attributes:
        numbers: the called numbers it serves, as the file writes them.
    """

    name: str
    chart: Chart
    settings: BotSettings
    numbers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bots:
    """All bots of this process, by name; `default` is always there."""

    by_name: Mapping[str, Bot]
    _by_number: Mapping[str, Bot] = field(default_factory=dict)

    def find(self, *, called: str = "", bot: str = "") -> Bot:
        """Return the bot of that name, else the one that serves the called number, else the default."""
        return self.by_name.get(bot) or self._by_number.get(dialled(called)) or self.by_name["default"]


def dialled(number: str) -> str:
    """Return a number as it is compared: digits alone, however a carrier writes it (`sip:`, `tel:`, `00`, `+`)."""
    address = re.sub(r"^(sips?|tel):", "", number.strip()).partition("@")[0]
    digits = re.sub(r"[\s().\-/]", "", address)
    return digits.removeprefix("+") if digits.startswith("+") else re.sub(r"^00", "", digits)


def load_bots(
    source: str | Path | None = None,
    registry: Registry | None = None,
    *,
    delays: Mapping[str, float] | None = None,
    agents: Iterable[str] | None = None,
    loose: bool = False,
) -> Bots:
    """Return the bots of a file; of the bundled one if there is no `source`.

    Args:
        source: a YAML file.
        registry: what the bots' charts may name.
        delays: seconds by name, in capitals or not; they stand above what a bot or its chart says.
        agents: names of the agents there are; None: any.
        loose: charts may name what is not registered.

    Raises:
        ChartError: the file, or a chart that it names, is wrong; `problems` holds everything that is.
    """
    reader = _Reader(registry, delays or {}, agents, loose)
    bots = reader.read(Path(source) if source else BUNDLED / "bots.yaml")
    if bots is None:
        raise ChartError.of(reader.findings.problems)
    return bots


def check_bots(
    source: str | Path | None = None,
    registry: Registry | None = None,
    *,
    agents: Iterable[str] | None = None,
    loose: bool = False,
) -> list[Problem]:
    """Return all that is wrong with a bots file and the charts it names. The arguments are those of `load_bots`."""
    reader = _Reader(registry, {}, agents, loose)
    reader.read(Path(source) if source else BUNDLED / "bots.yaml")
    return reader.findings.problems


class _Reader:
    """One bots file while it is read."""

    def __init__(
        self, registry: Registry | None, delays: Mapping[str, float], agents: Iterable[str] | None, loose: bool
    ) -> None:
        self.findings = Findings()
        self._registry = registry
        self._delays = {name.lower(): seconds for name, seconds in delays.items()}
        self._agents = None if agents is None else list(agents)
        self._loose = loose
        self._charts: dict[Path, Chart | None] = {}
        self._bots: dict[str, Bot] = {}
        self._serving: dict[str, tuple[str, Position]] = {}

    def read(self, path: Path) -> Bots | None:
        self._file(path)
        if "default" not in self._bots and not self.findings.failed:
            self._file(BUNDLED / "bots.yaml", only="default")
        self._unknown_delays()
        if self.findings.failed:
            return None
        return Bots(self._bots, {number: self._bots[name] for number, (name, _) in self._serving.items()})

    def _file(self, path: Path, only: str = "") -> None:
        try:
            node = read_file(path)
        except ChartError as error:
            self.findings.include(error)
            return
        if not self.findings.mapping(node, "", "a bots file"):
            return
        others: dict[str, Node] = {}
        for key, child in node.fields.items():
            if isinstance(child.value, str) and _NUMBER.fullmatch(key):
                others[key] = child
            elif not only or key == only:
                self._bot(key, child, path)
        for number, child in ({} if only else others).items():
            if self._is_known(str(child.value), node, child, number):
                self._serve(number, str(child.value), child.key_at, number)

    def _is_known(self, name: str, node: Node, child: Node, path: str) -> bool:
        if name in node.fields:
            return True
        self.findings.error(
            "unknown-bot", f"no bot is called {name!r}{did_you_mean(name, node.fields)}", child.at, path
        )
        return False

    def _bot(self, name: str, node: Node, file: Path) -> None:
        if not (_NAME.fullmatch(name) or _NUMBER.fullmatch(name)):
            message = f"{name!r} is neither a bot's name nor a number"
            self.findings.error("bad-name", message, node.key_at, name)
        draft = shape_bot(name, node, self.findings, self._agents)
        for index, number in enumerate(draft.numbers):
            at = number.at
            self._number(number, name, at, join(join(name, "numbers"), index))
        if _NUMBER.fullmatch(name):
            self._serve(name, name, node.key_at, name)
        chart = self._chart(draft, node, file)
        if chart is not None:
            delays = {**chart.delays, **self._own_delays(draft, chart), **self._chosen(chart)}
            numbers = tuple(str(number.value) for number in draft.numbers)
            self._bots[name] = Bot(name, chart.model_copy(update={"delays": delays}), draft.settings, numbers)

    def _number(self, node: Node, bot: str, at: Position, path: str) -> None:
        if isinstance(node.value, str) and _NUMBER.fullmatch(node.value):
            self._serve(node.value, bot, at, path)
            return
        hint = "; put it in quotes" if isinstance(node.value, int) else ""
        self.findings.error("shape", f"a number is text such as '+49 30 1234567', not {node.kind}{hint}", at, path)

    def _serve(self, number: str, bot: str, at: Position, path: str) -> None:
        other, first = self._serving.setdefault(dialled(number), (bot, at))
        if first is not at:
            message = f"{number} is served by {other!r} already (line {first.line})"
            self.findings.error("duplicate-number", message, at, path)

    # -- the chart and its delays ------------------------------------------------------------------

    def _chart(self, draft: BotDraft, node: Node, file: Path) -> Chart | None:
        """Return a bot's chart, read once for all bots that name it."""
        named = draft.chart
        try:
            if named is None:
                path = find_source(_CHART, by=BUNDLED / "bots.yaml")
            else:
                path = find_source(str(named.value), by=file, at=named.at, path=join(draft.settings.name, "chart"))
        except ChartError as error:
            self.findings.include(error)
            return None
        if path.resolve() not in self._charts:
            chart, problems = read_chart(path, registry=self._registry, loose=self._loose)
            self.findings.problems += problems
            self._charts[path.resolve()] = chart
        return self._charts[path.resolve()]

    def _own_delays(self, draft: BotDraft, chart: Chart) -> dict[str, float]:
        for name, (_, at) in draft.delays.items():
            if name not in chart.delays:
                message = f"the chart {chart.id!r} has no delay {name!r}{did_you_mean(name, chart.delays)}"
                self.findings.error("unknown-delay", message, at, f"{draft.settings.name}.delays.{name}")
        return {name: length for name, (length, _) in draft.delays.items()}

    def _chosen(self, chart: Chart) -> dict[str, float]:
        return {name: self._delays[name.lower()] for name in chart.delays if name.lower() in self._delays}

    def _unknown_delays(self) -> None:
        """Note every chosen delay that no chart has."""
        charts = [chart for chart in self._charts.values() if chart is not None]
        known = {name for chart in charts for name in chart.delays}
        for name in self._delays:
            if charts and name not in {delay.lower() for delay in known}:
                message = f"no bot's chart has a delay {name!r}{did_you_mean(name, known)}"
                self.findings.error("unknown-delay", message, Position(f"CALLCHART_DELAY_{name.upper()}"), name)
