"""Where the files of a call lie: in a folder of its own, below the one that is meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.call_folder import call_folder


@pytest.mark.parametrize(
    "call_id",
    ["../../etc/passwd", "/etc/passwd", "..", ".", "", "a/b\\c", "x" * 5000, "\0", "ünï", "CON ", "%2E%2E"],
    ids=["up", "root", "dots", "dot", "nothing", "slashes", "long", "nul", "letters", "blank", "escaped"],
)
def test_call_id_never_leads_out_of_the_folder(call_id: str, tmp_path: Path) -> None:
    folder = call_folder(tmp_path, call_id)
    folder.mkdir(parents=True)

    assert folder.resolve().parent == tmp_path.resolve()
    assert folder.resolve() != tmp_path.resolve()


def test_different_calls_have_different_folders(tmp_path: Path) -> None:
    ids = ["a.b", "a/b", "a%2Fb", "a%2Eb", "_", "x" * 200, "x" * 201]

    assert len({call_folder(tmp_path, call_id) for call_id in ids}) == len(ids)
