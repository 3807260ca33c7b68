"""The process: what it prints, signals, TLS, systemd, the missing extra."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from shitu_edge.serve import systemd
from shitu_edge.serve.configuration import Configuration
from tests.shell import Shell
from tests.test_recognizer import RED, scene

from .client import Client, png
from .conftest import WITHIN_S, Serve

COUNTER = png(scene((1, 1, RED)))
posix = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")


@contextmanager
def process(*arguments: object, **environment: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Run `shitu-edge serve --json` and yield it with what it says once it listens; it is killed in the end."""
    command = [sys.executable, "-m", "shitu_edge", "serve", "--json", *map(str, arguments)]
    started = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | environment
    )
    try:
        assert started.stdout is not None
        yield started, json.loads(started.stdout.readline() or "{}")
    finally:
        started.kill()
        started.communicate()


def _ready(client: Client) -> None:
    for _ in range(WITHIN_S * 100):
        if client.get("/readyz").status == 200:
            return
        threading.Event().wait(0.01)
    pytest.fail("not ready in time")


@posix
def test_sigterm_ends_it_with_exit_code_0(shop: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    options = ("--models", tiny_bundle, "--port", 0, "--state", tmp_path / "state", "--log", tmp_path / "log")
    with process(shop, *options) as (started, said):
        client = Client(said["address"])
        _ready(client)
        assert client.send("/v1/recognize", COUNTER).status == 200
        assert (said["state"], said["log"]) == (str(tmp_path / "state"), str(tmp_path / "log"))
        started.send_signal(signal.SIGHUP)
        started.send_signal(signal.SIGTERM)
        _, told = started.communicate(timeout=WITHIN_S)
    assert started.returncode == 0, told
    assert "INFO: POST /v1/recognize 200 in" in told
    assert "INFO: stopped" in told
    logged = (tmp_path / "log" / "serve.log").read_text(encoding="utf-8")
    assert "INFO POST /v1/recognize 200 in" in logged


@posix
def test_variables_set_options(shop: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    variables = {
        "SHITU_EDGE_GALLERY": str(shop),
        "SHITU_EDGE_BUNDLE": str(tiny_bundle),
        "SHITU_EDGE_SERVE_PORT": "0",
        "SHITU_EDGE_SERVE_STATE": str(tmp_path / "state"),
        "SHITU_EDGE_SERVE_HOSTS": "till.example other.example",
        "SHITU_EDGE_SERVE_REQUIRE_TOKEN": "1",
    }
    with process(**variables) as (_, said):
        client = Client(said["address"])
        _ready(client)
        for host in ("till.example", "other.example"):
            assert client.get("/v1/labels", headers={"Host": host}).status == 401


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("none.gallery",), "none.gallery"),
        ((), "gallery: expected the file of a gallery"),
        (("shop.gallery", "--host", "0.0.0.0"), "can be reached from other machines"),
        (("shop.gallery", "--host", "203.0.113.9", "--insecure"), "cannot listen at 203.0.113.9"),
        (("shop.gallery", "--config", "none.toml"), "none.toml: No such file"),
        (("shop.gallery", "--tls-cert", "none.pem", "--tls-key", "none.key"), "tls_cert none.pem"),
        (("shop.gallery", "--watch", "nothing"), "watch: expected NAME=SOURCE"),
    ],
)
def test_what_cannot_start_says_so_in_one_line(
    shell: Shell, tmp_path: Path, tiny_bundle: Path, arguments: tuple[str, ...], says: str
) -> None:
    done = shell("serve", *arguments, "--port", 0, "--state", tmp_path / "state", "--models", tiny_bundle, "-q")
    assert done.code == 1
    assert says in done.err
    assert len(done.err.splitlines()) == 1


def test_port_that_is_taken_is_named(shell: Shell, shop: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = shell("serve", shop, "--port", port, "--state", tmp_path / "state", "-q")
    assert done.code == 1
    assert f"cannot listen at 127.0.0.1, port {port}" in done.err


def test_without_the_extra_serve_names_it(shop: Path) -> None:
    blocked = (
        "import sys\n"
        "class Block:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.split('.')[0] in ('starlette', 'uvicorn', 'prometheus_client', 'anyio', 'h11'):\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Block())\n"
        f"sys.argv = ['shitu-edge', 'serve', {str(shop)!r}]\n"
        "from shitu_edge.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert "pip install '.[serve]'" in line


def test_tls_answers_who_trusts_the_certificate(serve: Serve, tmp_path: Path) -> None:
    cert, key = _certificate(tmp_path)
    serving = serve(tls_cert=str(cert), tls_key=str(key), wait=False)
    assert serving.client.address.startswith("https://")
    serving.client.tls = ssl.create_default_context(cafile=str(cert))
    _ready(serving.client)
    assert serving.client.send("/v1/recognize", COUNTER).status == 200
    with pytest.raises(ssl.SSLCertVerificationError):
        Client(serving.client.address, tls=ssl.create_default_context()).get("/healthz")


def test_reload_takes_a_renewed_certificate(serve: Serve, tmp_path: Path) -> None:
    cert, key = _certificate(tmp_path)
    serving = serve(tls_cert=str(cert), tls_key=str(key), wait=False)
    serving.client.tls = ssl.create_default_context(cafile=str(cert))
    _ready(serving.client)
    _certificate(tmp_path)
    assert serving.client.ask("POST", "/v1/reload", token="manage").status == 200
    with pytest.raises(ssl.SSLCertVerificationError):
        serving.client.get("/healthz")
    serving.client.tls = ssl.create_default_context(cafile=str(cert))
    assert serving.client.get("/healthz").status == 200


def test_beyond_loopback_every_request_needs_a_token(serve: Serve) -> None:
    serving = serve(host="0.0.0.0", insecure=True)
    client = Client(serving.client.address.replace("0.0.0.0", "127.0.0.1"), serving.client.tokens)
    assert client.send("/v1/recognize", COUNTER).status == 401
    assert client.send("/v1/recognize", COUNTER, token="recognize").status == 200


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no UNIX sockets")
def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not systemd.tell("READY=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.settimeout(WITHIN_S)
        monkeypatch.setenv(systemd.VARIABLE, str(tmp_path / "notify"))
        assert systemd.tell("READY=1")
        assert heard.recv(100) == b"READY=1"
    monkeypatch.setenv(systemd.VARIABLE, str(tmp_path / "none"))
    assert not systemd.tell("READY=1")


def test_stop_answers_what_was_begun(serve: Serve) -> None:
    serving = serve()
    assert serving.client.send("/v1/recognize", COUNTER).status == 200
    serving.service.stop()
    answer = serving.client.send("/v1/recognize", COUNTER)
    assert (answer.status, answer.error) == (503, "BusyError")


def test_configuration_is_the_loopback_by_default() -> None:
    assert (Configuration().host, Configuration().is_loopback, Configuration().scheme) == ("127.0.0.1", True, "http")


def _certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate for localhost and its key; openssl makes them."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    try:
        subprocess.run([*command, *names], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no openssl to make a certificate with")
    return cert, key
