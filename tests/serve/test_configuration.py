"""Options from a file, the environment and flags: one set of names, one meaning."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command

from shitu_edge import OptionError
from shitu_edge.cli.main import app
from shitu_edge.serve.configuration import FIXED, VARIABLE, Configuration, configuration, option_names

pytest.importorskip("tomllib", reason="Python 3.10 needs tomli, which the extra serve brings")


def _file(folder: Path, text: str) -> Path:
    path = folder / "serve.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_flags_override_the_file(tmp_path: Path) -> None:
    path = _file(tmp_path, 'gallery = "shop.gallery"\nport = 9000\nqueue = 3\nhosts = ["till"]\n')
    found = configuration(path, {"port": 9001, "hosts": None, "queue": None})
    assert (found.port, found.queue, found.hosts) == (9001, 3, ("till",))
    assert found.gallery == str(tmp_path / "shop.gallery")
    assert found.file == str(path)


def test_defaults_are_those_of_the_class() -> None:
    assert configuration(None, {}) == Configuration()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("port = 70000", "serve.toml: port: expected a whole number from 0 to 65535, found 70000"),
        ('port = "80"', "serve.toml: port: expected a whole number, found '80'"),
        ("prot = 80", "serve.toml: prot: unknown; expected one of gallery"),
        ("port = ", "serve.toml: is not TOML"),
        ("queue = 0", "queue: expected a whole number from 1 to 64"),
        ('engine = "tensorrt"', "engine: expected one of 'auto'"),
        ('watch = ["0"]', "watch: expected NAME=SOURCE"),
        ('tls_cert = "a.pem"', "tls_cert and tls_key: expected both or neither"),
        ('golden_label = "x"', "golden_image and golden_label: expected both or neither"),
        ('host = "0.0.0.0"', "host 0.0.0.0 can be reached from other machines"),
        ('host = "till.example"', "can be reached from other machines"),
    ],
)
def test_wrong_options_are_named_with_their_file(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(OptionError) as error:
        configuration(_file(tmp_path, text), {})
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_wrong_flag_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    with pytest.raises(OptionError) as error:
        configuration(_file(tmp_path, "port = 80"), {"host": "0.0.0.0"})
    assert "serve.toml" not in str(error.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"none\.toml: No such file"):
        configuration(tmp_path / "none.toml", {})


def test_beyond_loopback_needs_tls_unless_told_otherwise() -> None:
    for host in ("127.0.0.1", "::1", "localhost", "127.8.8.8"):
        assert not Configuration(host=host).needs_token
    for host in ("0.0.0.0", "::", "192.168.1.5"):
        with pytest.raises(OptionError, match="other machines"):
            Configuration(host=host)
        assert Configuration(host=host, insecure=True).needs_token
        assert Configuration(host=host, tls_cert="c", tls_key="k").scheme == "https"


def test_every_option_is_a_flag_and_a_variable() -> None:
    command = get_command(app).commands["serve"]  # type: ignore[attr-defined]
    parameters = {one.name: one for one in command.params}
    assert set(option_names()) <= set(parameters)
    for name in option_names():
        assert parameters[name].envvar in (
            f"{VARIABLE}{name.upper()}",
            f"SHITU_EDGE_{name.upper()}",
            "SHITU_EDGE_BUNDLE",
        )


def test_the_page_shows_a_file_that_is_read(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "serve.md"
    if not page.exists():
        pytest.skip("the manual is in the checkout alone")
    [shown] = re.findall(r"^```toml\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    found = configuration(_file(tmp_path, shown), {})
    assert (found.gallery, found.deadline_ms) == (str(tmp_path / "shop.gallery"), 500)
    named = re.search(r"((?:`\w+`, )*`\w+` and `\w+`) need a restart", page.read_text(encoding="utf-8"))
    assert named is not None
    assert set(re.findall(r"`(\w+)`", named[1])) == set(FIXED)
