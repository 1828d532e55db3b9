"""Every mistake in a chart is told with its place and the nearest right name."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsm.errors import ChartError, Position
from fsm.load import load_chart
from tests.fsm.charting import REGISTRY, told, write, wrong

HEAD = "id: tiny\ninitial: a\nstates:\n"
B = "  b: {type: final}\n"


@pytest.mark.parametrize(
    ("line", "code", "column", "path", "message"),
    [
        ("a: {on: {call.ended: bb}}", "unknown-state", 24, "on.call.ended", "there is no state 'bb'; did you mean 'b'?"),
        ("a: {on: {call.ended: '#x.b'}}", "unknown-state", 24, "on.call.ended", "there is no state '#x.b'; did you mean 'b'?"),
        ("a: {on: {call.ended: .b}}", "unknown-state", 24, "on.call.ended", "there is no state '.b'; did you mean 'b'?"),
        ("a: {on: {call.ended: '#tiny'}}", "unknown-state", 24, "on.call.ended", "a row leads to a state, not to the chart itself"),
        ("a: {on: {call.ended: 7}}", "shape", 24, "on.call.ended", "a row is a mapping, not 7"),
        ("a: {on: {call.ended: []}}", "shape", 24, "on.call.ended", "no row for 'call.ended'; `ignore` it, or leave it to the parent by leaving it out"),
        ("a: {on: {call.ended: {targt: b}}}", "unknown-key", 25, "on.call.ended.targt", "a row has no 'targt'; did you mean 'target'?"),
        ("a: {on: {call.ended: {cond: x}}}", "unsupported", 25, "on.call.ended.cond", "`cond` is not supported: it is called `guard`"),
        ("a: {on: {call.ended: {target: [b]}}}", "shape", 33, "on.call.ended.target", "a target is text, not a list"),
        ("a: {on: {call.ended: {reenter: 1}}}", "shape", 34, "on.call.ended.reenter", "`reenter` is true or false, not 1"),
        ("a: {on: {call.ended: {guard: {not: [x]}}}}", "shape", 38, "on.call.ended.guard.not", "`not` negates one guard; write one guard for what all of them mean"),
        ("a: {on: {call.ended: {guard: 1}}}", "shape", 32, "on.call.ended.guard", "a guard is a name or {type, params}, not 1"),
        ("a: {on: {call.ended: {guard: {params: {}}}}}", "missing", 32, "on.call.ended.guard", "a guard needs a `type`: its name"),
        ("a: {on: {call.ended: {guard: {type: [x]}}}}", "shape", 39, "on.call.ended.guard.type", "`type` is text, not a list"),
        ("a: {on: {call.ended: {guard: {type: x, params: 3}}}}", "shape", 50, "on.call.ended.guard.params", "`params` is a mapping, not 3"),
        ("a: {on: [b]}", "shape", 11, "on", "`on` is a mapping, not a list"),
        ("a: {after: 3s}", "shape", 14, "after", "`after` is a mapping, not the text '3s'"),
        ("a: {after: {nap: b}}", "unknown-delay", 15, "after.nap", "there is no delay 'nap'"),
        ("a: {entry: 3}", "shape", 14, "entry", "an action is a name or {type, params}, not 3"),
        ("a: {ignore: [user.idle, user.idle]}", "duplicate-event", 27, "ignore.1", "'user.idle' stands here twice"),
        ("a: {ignore: [1]}", "shape", 16, "ignore.0", "an event is text, not 1"),
        ("a: {on: {user.idle: b}, ignore: user.idle}", "duplicate-event", 35, "ignore", "'user.idle' has rows in this state already"),
        ("a: {always: b}", "unsupported", 7, "always", "`always` is not supported: a call moves on only when something happened; use a row of the event that decides"),
        ("a: {onDone: b}", "unsupported", 7, "onDone", "`onDone` is not supported: a final state ends the call; give the row to the state's own events instead"),
        ("a: {type: parallel}", "unsupported", 13, "type", "parallel states are not supported: a call is in one state at a time"),
        ("a: {type: history}", "unsupported", 13, "type", "history states are not supported: a state that remembers where it was is not to be seen on the page; name the state"),
        ("a: {type: finl}", "shape", 13, "type", "there are no 'finl' states; did you mean 'final'?"),
        ("a: {type: compound}", "shape", 13, "type", "compound is what a state with children is"),
        ("a: {type: [final]}", "shape", 13, "type", "`type` is text, not a list"),
        ("a: {type: final, on: {}}", "final-state", 20, "on", "a final state has no `on`: the call is over"),
        ("a: {entri: []}", "unknown-key", 7, "entri", "a state has no 'entri'; did you mean 'entry'?"),
        ("a: {initial: x}", "unknown-state", 16, "initial", "'x' is no state in 'a'"),
        ("a: 3", "shape", 6, "", "a state is a mapping, not 3"),
        ("a: {states: {c: {}}}", "missing", 3, "initial", "the state 'a' needs `initial`: one of c"),
        ("a: {initial: c, states: {c: {}}, type: atomic}", "shape", 42, "type", "atomic is what a state without children is"),
        ("a: {states: []}", "shape", 15, "states", "`states` is a mapping, not a list"),
        ("a: {id: x, initial: c, states: {c: {id: x}}}", "duplicate-id", 43, "states.c.id", "two states have the id 'x'"),
        ("a: {invoke: x}", "shape", 15, "invoke", "`invoke` is a mapping, not the text 'x'"),
        ("a: {invoke: {id: x}}", "missing", 15, "invoke", "`invoke` needs `src`: {id: …, src: a service}"),
        ("a: {invoke: {src: y, id: 1x}}", "bad-name", 28, "invoke.id", "'1x' is no id: letters, digits and `_`"),
        ("a: {invoke: {id: x, src: [y]}}", "shape", 28, "invoke.src", "`src` is a name or {type, params}, not a list"),
        ("a: {invoke: [{id: x, src: y}, {id: x, src: y}]}", "duplicate-id", 38, "invoke.1.id", "two services run under the id 'x'; the first stands in line 4"),
        ("a: {invoke: {id: x, src: y, input: {}}}", "unsupported", 31, "invoke.input", "`input` is not supported: parameters are called `params`"),
        ("a: {invoke: {id: x, src: y, onDone: b}, on: {done.invoke.x: b}}", "duplicate-event", 39, "invoke.onDone", "'done.invoke.x' has rows in this state already"),
        ("a: {on: {done.invoke.x: b}}", "unknown-event", 12, "on.done.invoke.x", "no service runs under the id 'x' in the state 'a'"),
        ("a: {on: {call.endet: b}}", "unknown-event", 12, "on.call.endet", "nothing is called 'call.endet' that could happen; did you mean 'call.ended'?"),
        ("a: {on: {calls.*: b}}", "unknown-event", 12, "on.calls.*", "'calls.*' matches no event"),
        ("a: {ignore: [user.idl]}", "unknown-event", 16, "ignore.0", "nothing is called 'user.idl' that could happen; did you mean 'user.idle'?"),
        ("a: {on: {error.action.speek: b}}", "unknown-event", 12, "on.error.action.speek", "no action is called 'speek' that could fail; did you mean 'speak'?"),
        ("a: {entry: hang_app}", "unknown-action", 14, "entry", "no action or reducer is called 'hang_app'; did you mean 'hang_up'?"),
        ("a: {entry: is_blank}", "unknown-action", 14, "entry", "'is_blank' is a guard, and here stands an action or reducer"),
        ("a: {on: {user.transcript: {guard: is_blnk}}}", "unknown-guard", 37, "on.user.transcript.guard", "no guard is called 'is_blnk'; did you mean 'is_blank'?"),
        ("a: {invoke: {id: x, src: run_agnt}}", "unknown-service", 28, "invoke", "no service is called 'run_agnt'; did you mean 'run_agent'?"),
        ("a: {entry: {type: answer, params: {x: 1}}}", "bad-params", 38, "entry.params.x", "'answer' has no parameter 'x'; it takes none"),
        ("a: {entry: {type: truncate_history, params: {kep: 1}}}", "bad-params", 48, "entry.params.kep", "'truncate_history' has no parameter 'kep'; did you mean 'keep'?"),
        ("a: {entry: {type: truncate_history, params: {keep: '1'}}}", "bad-params", 48, "entry.params.keep", "the parameter 'keep' of 'truncate_history' takes a whole number"),
        ("a: {entry: {type: count_retry}}", "bad-params", 21, "entry.params.counter", "'count_retry' needs the parameter 'counter' (text)"),
        ("a: {entry: {type: count_retry, params: {counter: 1}}}", "bad-params", 43, "entry.params.counter", "the parameter 'counter' of 'count_retry' takes text: input should be a valid string"),
        ("a: {on: {user.idle: {guard: {type: retries_left, params: {counter: x}}}}}", "bad-params", 61, "on.user.idle.guard.params.counter", "the parameter 'counter' of 'retries_left' takes one of 'silence', 'clarify': input should be 'silence' or 'clarify'"),
        ("a: {entry: speak}", "wrong-trigger", 14, "entry", "action 'speak' takes user.speaking only, and stands under entry, which runs after whatever led there"),
        ("a: {on: {user.idle: {guard: is_duplicate}}}", "wrong-trigger", 31, "on.user.idle.guard", "guard 'is_duplicate' takes user.silent or user.transcript only, and stands under user.idle"),
        ("a: {after: {100: {actions: speak}}}", "wrong-trigger", 30, "after.100.actions", "action 'speak' takes user.speaking only, and stands under the timer '100'"),
        ("a: {on: {user.*: {actions: speak}}}", "wrong-trigger", 30, "on.user.*.actions", "action 'speak' takes user.speaking only, and stands under user.*"),
        ("a: {on: {'*': {actions: speak}}}", "wrong-trigger", 27, "on.*.actions", "action 'speak' takes user.speaking only, and stands under *"),
        ("1a: {}", "bad-name", 3, "", "'1a' is no name for a state: letters, digits and `_`, not starting with a digit"),
    ],
)  # fmt: skip
def test_a_wrong_state_is_told(tmp_path: Path, line: str, code: str, column: int, path: str, message: str) -> None:
    name = line.partition(":")[0]
    rest = "" if name == "a" else "  a: {}\n"

    problem = wrong(tmp_path, f"{HEAD}  {line}\n{rest}{B}", registry=REGISTRY)[0]

    assert told(problem) == (code, 4, column, f"states.{name}" + (f".{path}" if path else ""))
    assert problem.message.startswith(message)
    assert problem.severity == "error"


@pytest.mark.parametrize(
    ("text", "code", "line", "column", "path", "message"),
    [
        ("[]", "shape", 1, 1, "", "a chart is a mapping, not a list"),
        ("---", "shape", 1, 4, "", "a chart is a mapping, not nothing"),
        ("initial: a\nstates: {a: {}}", "missing", 1, 1, "id", "a chart needs an `id`"),
        ("id: 1.5\ninitial: a\nstates: {a: {}}", "shape", 1, 5, "id", "`id` is text, not 1.5"),
        ("id: a b\ninitial: a\nstates: {a: {}}", "bad-name", 1, 5, "id", "'a b' is no id: letters, digits, `_` and `-`"),
        ("id: t\nstates: {a: {}}", "missing", 1, 1, "initial", "the chart needs `initial`: one of a"),
        ("id: t", "missing", 1, 1, "initial", "the chart needs states, and an `initial` one"),
        ("id: t\ninitial: t\nstates: {t: {}}", "duplicate-state", 3, 10, "states.t", "two states are called 't': the chart itself is, too"),
        ("id: t\ninitial: a\nstates: {b: {}, a: {initial: b, states: {b: {}}}}", "duplicate-state", 3, 42, "states.a.states.b", "two states are called 'b': a state in 't' is, too; names are unique in a chart"),
        ("id: t\ninitial: a\nstates: {a: {}}\ntype: final", "final-state", 4, 7, "type", "the chart itself is not a final state"),
        ("id: t\ninitial: a\nstates: {a: {}}\nversion: []", "shape", 4, 10, "version", "`version` is a number or text, not a list"),
        ("id: t\ninitial: a\nstates: {a: {}}\ndelays: {1x: 3s}", "bad-name", 4, 10, "delays.1x", "'1x' is no name for a delay"),
        ("id: t\ninitial: a\nstates: {a: {}}\ndelays: {x: 3 days}", "bad-duration", 4, 13, "delays.x", "a delay is a duration such as 15s, 500ms, 10m or 2h, not the text '3 days'"),
        ("id: t\ninitial: a\nstates: {a: {}}\ndelays: {x: true}", "bad-duration", 4, 13, "delays.x", "a delay is a duration such as 15s, 500ms, 10m or 2h, not true"),
        ("id: t\ninitial: a\nstates: {a: {}}\ndelays: {x: .inf}", "bad-duration", 4, 13, "delays.x", "a delay is a duration"),
        ("id: t\ninitial: a\nstates: {a: {}}\ndelays: {x: 99999h}", "bad-duration", 4, 13, "delays.x", "a delay is a duration"),
        ("id: t\ninitial: a\nstates: {a: {}}\ndelays: 3s", "shape", 4, 9, "delays", "`delays` is a mapping, not the text '3s'"),
        ("id: t\ninitial: a\nstates: {a: {}}\npreempt: [call.endet]", "unknown-event", 4, 11, "preempt.0", "nothing is called 'call.endet' that could happen; did you mean 'call.ended'?"),
        ("id: t\ninitial: a\nstates: {a: {}}\nmeta: x", "shape", 4, 7, "meta", "`meta` is a mapping, not the text 'x'"),
        ("id: t\ninitial: a\nstates: {a: {}}\non: {call.ended: {target: a, reenter: true}}", "unsupported", 4, 30, "on.call.ended.reenter", "a row of the chart itself cannot re-enter it"),
        ("id: t\ninitial: a\nstates: {a: {}}\non: {done.invoke.x: a}", "unknown-event", 4, 6, "on.done.invoke.x", "no service runs under the id 'x' in the chart"),
    ],
)  # fmt: skip
def test_a_wrong_chart_is_told(
    tmp_path: Path, text: str, code: str, line: int, column: int, path: str, message: str
) -> None:
    problem = wrong(tmp_path, text)[0]

    assert told(problem) == (code, line, column, path)
    assert problem.message.startswith(message)


@pytest.mark.parametrize(
    ("raw", "code", "line", "column", "message"),
    [
        (b"", "empty", 1, 1, "the file is empty"),
        (b"# nothing\n", "empty", 1, 1, "the file is empty"),
        (b"id: t\n\tinitial: a", "syntax", 2, 1, "this is not YAML: while scanning for the next token, found character"),
        (b"id: 'x", "syntax", 1, 7, "this is not YAML: while scanning a quoted scalar"),
        (b"id: t\nx: caf\xe9", "encoding", 2, 7, "the file is not UTF-8 text"),
        (b"\xff\xfei\x00d\x00", "encoding", 1, 1, "the file is not UTF-8 text"),
        (b"id: t\nx: \x01", "syntax", 2, 4, "this is not YAML: it holds a control character"),
        (b'x: "\\UFFFFFFFF"', "syntax", 1, 1, "this is not YAML: "),
        (b'x: "\\ud83d"', "encoding", 1, 4, "half a surrogate pair is no character"),
        (b"id: t\nid: u", "duplicate-key", 2, 1, "the key 'id' again; it stands in line 1 already"),
        (b"id: t\n---\nid: u", "syntax", 2, 1, "a second document (`---`); a file holds one"),
        (b"id: !!python/name:os.system x", "tag", 1, 5, "the tag 'tag:yaml.org,2002:python/name:os.system'; a chart has no tags"),
        (b"id: !mine x", "tag", 1, 5, "the tag '!mine'; a chart has no tags"),
        (b"x: *y", "syntax", 1, 4, "the alias `*y` stands for nothing that was complete before it"),
        (b"x: &x [*x]", "syntax", 1, 8, "the alias `*x` stands for nothing that was complete before it"),
        (b"<<: {}", "syntax", 1, 1, "merge keys (`<<`) are no part of YAML 1.2; use `extends`"),
        (b"[x]: y", "syntax", 1, 1, "a key must be text"),
        (b"[" * 70, "syntax", 1, 62, "nested deeper than 60 levels"),
        (b"id: t\n" + b"x: &a [1,1,1,1,1,1,1,1,1,1]\n" + b"".join(b"%c: &%c [%s]\n" % (98 + i, 98 + i, b",".join([b"*%c" % (97 + i)] * 10)) for i in range(6)), "syntax", 6, 29, "aliases make the file too large"),
    ],
)  # fmt: skip
def test_what_is_not_yaml_is_told(tmp_path: Path, raw: bytes, code: str, line: int, column: int, message: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(raw)

    with pytest.raises(ChartError) as caught:
        load_chart(path)

    assert told(caught.value.problems[0]) == (code, line, column, "")
    assert caught.value.message.startswith(message)


def test_an_alias_stands_for_its_anchor(tmp_path: Path) -> None:
    chart = load_chart(
        write(tmp_path, f"{HEAD}  a: {{on: {{call.ended: &x {{target: b}}, call.lost: *x}}}}\n{B}"),
    )

    assert [row.target for row in chart.state("a").rows()] == ["b", "b"]


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + f"{HEAD}  a: {{}}\n".encode())

    assert load_chart(path).id == "tiny"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("voice_cal", "there is no chart 'voice_cal'; did you mean 'voice_call'?"),
        ("no/such/thing.yaml", "there is no chart 'no/such/thing.yaml'"),
        ("", "'' is a folder, not a chart"),
        ("x" * 5000, "there is no chart 'xxx"),
        ("a\0b", "there is no chart 'a"),
    ],
)
def test_a_missing_file_is_told(source: str, message: str) -> None:
    with pytest.raises(ChartError) as caught:
        load_chart(source)

    assert caught.value.message.startswith(message)
    assert caught.value.at == Position(source)


def test_a_folder_is_no_chart(tmp_path: Path) -> None:
    with pytest.raises(ChartError, match="is a folder, not a chart"):
        load_chart(tmp_path)


def test_a_missing_file_is_told_with_its_neighbour(tmp_path: Path) -> None:
    write(tmp_path, HEAD, "shopping.yaml")

    with pytest.raises(ChartError, match=r"did you mean 'shopping.yaml'"):
        load_chart(tmp_path / "shoping.yaml")


def test_a_file_may_be_too_large(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"#" * 2_000_001)

    with pytest.raises(ChartError, match="larger than 2000000 bytes"):
        load_chart(path)


def test_a_file_that_goes_away_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, HEAD)

    def vanish(*arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", vanish)

    with pytest.raises(ChartError, match="cannot be read: Permission denied"):
        load_chart(path)
