"""Tokens: made once, readable by their owner alone, found by what they allow."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shitu_edge import OptionError
from shitu_edge.serve.tokens import SCOPES, Tokens

posix = pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")


def test_tokens_are_made_once(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "tokens"
    Tokens(folder)
    made = {scope: (folder / scope).read_text() for scope in SCOPES}
    assert len(set(made.values())) == len(SCOPES)
    assert min(map(len, made.values())) > 40
    Tokens(folder)
    assert {scope: (folder / scope).read_text() for scope in SCOPES} == made


@posix
def test_tokens_are_their_owners_alone(tmp_path: Path) -> None:
    Tokens(tmp_path / "tokens")
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "tokens").iterdir()} == {0o600}
    assert (tmp_path / "tokens").stat().st_mode & 0o777 == 0o700


@posix
def test_token_that_others_may_read_is_refused(tmp_path: Path) -> None:
    Tokens(tmp_path)
    (tmp_path / "enroll").chmod(0o640)
    with pytest.raises(OptionError, match="others may read"):
        Tokens(tmp_path)


def test_find_returns_name_and_scope(tmp_path: Path) -> None:
    path = tmp_path / "till.3.enroll"
    path.write_text("t" * 40 + "\n")
    path.chmod(0o600)
    tokens = Tokens(tmp_path)
    found = tokens.find("t" * 40)
    assert found is not None
    assert (found.name, found.scope) == ("till.3", "enroll")
    assert [found.allows(scope) for scope in SCOPES] == [True, True, False]
    assert tokens.find("t" * 39) is None
    assert tokens.find("") is None
    assert tokens.find("ü" * 40) is None


@pytest.mark.parametrize(
    ("name", "secret", "says"), [("till", "t" * 40, "as the name of a token"), ("till.manage", "short", "at least 32")]
)
def test_token_that_is_none_is_refused(tmp_path: Path, name: str, secret: str, says: str) -> None:
    (tmp_path / name).write_text(secret)
    (tmp_path / name).chmod(0o600)
    with pytest.raises(OptionError, match=says):
        Tokens(tmp_path)
