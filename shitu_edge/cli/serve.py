"""`shitu-edge serve`: recognition over HTTP, for tills in other languages than Python."""

from __future__ import annotations

import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from ..bundle.networks import BUNDLE_VARIABLE
from ..engines.cache import CACHE_VARIABLE
from ..errors import OptionError
from ..ranges import MOST_THREADS
from ..serve.configuration import VARIABLE, configuration
from ..serve.folders import Folders
from .command import GALLERY_VARIABLE
from .options import PROFILE_VARIABLE, AsJson, Engine, Look, Precision
from .printing import be_verbose, is_quiet, print_line
from .tables import print_json


def _option(help_: str, name: str, kind: str | None = None, variable: str | None = None, **range_: Any) -> Any:
    """Return an option that `$SHITU_EDGE_SERVE_NAME` and the configuration file also set."""
    return typer.Option(
        f"--{name}",
        envvar=variable or VARIABLE + name.replace("-", "_").upper(),
        metavar=kind,
        help=help_,
        show_default=False,
        **range_,
    )


def _flag(help_: str, name: str) -> Any:
    return typer.Option(
        f"--{name}/--no-{name}", envvar=VARIABLE + name.replace("-", "_").upper(), help=help_, show_default=False
    )


def serve(
    gallery: Annotated[
        Path | None,
        typer.Argument(metavar="GALLERY", help="Gallery file.", envvar=GALLERY_VARIABLE, show_default=False),
    ] = None,
    config: Annotated[
        Path | None,
        _option("Options in a TOML file; flags and variables override them. [default: none]", "config", "FILE"),
    ] = None,
    local: Annotated[
        Path | None,
        _option("Local layer, created if missing; what is enrolled goes into it. [default: none]", "local", "FILE"),
    ] = None,
    models: Annotated[
        str | None,
        _option(
            "Model bundle: a folder, or a name from `models list`. [default: the built-in bundle]",
            "models",
            "BUNDLE",
            BUNDLE_VARIABLE,
        ),
    ] = None,
    engine: Annotated[
        Engine | None, _option("Inference engine; auto falls back on the other one. [default: auto]", "engine")
    ] = None,
    precision: Annotated[
        Precision | None, _option("Precision of both networks. [default: each network's own]", "precision")
    ] = None,
    threads: Annotated[
        int | None,
        _option("Threads for inference. [default: one per physical core]", "threads", min=1, max=MOST_THREADS),
    ] = None,
    profile: Annotated[
        Path | None, _option("Settings that `tune` wrote. [default: none]", "profile", "FILE", PROFILE_VARIABLE)
    ] = None,
    second_look: Annotated[
        Look | None, _option("Compare local features: auto, off or always. [default: auto]", "second-look")
    ] = None,
    camera: Annotated[
        Path | None, _option("camera.json: the part of all images that counts. [default: none]", "camera", "FILE")
    ] = None,
    max_megapixels: Annotated[
        int | None,
        _option("Largest image, in millions of pixels. [default: 24]", "max-megapixels", min=1, max=1000),
    ] = None,
    host: Annotated[
        str | None,
        _option(
            "Address to listen at; others than loopback need --tls-cert and a token for every request. "
            "[default: 127.0.0.1]",
            "host",
        ),
    ] = None,
    port: Annotated[
        int | None, _option("Port to listen at; 0 for a free one. [default: 8484]", "port", min=0, max=65535)
    ] = None,
    hosts: Annotated[
        list[str] | None,
        _option("Further names of this server in the header Host, without port; repeatable.", "hosts", "NAME"),
    ] = None,
    origins: Annotated[
        list[str] | None,
        _option("Web pages that may call, such as https://till.example; repeatable.", "origins", "ORIGIN"),
    ] = None,
    require_token: Annotated[
        bool | None, _flag("Ask for a token to recognize, too; changes always need one.", "require-token")
    ] = None,
    insecure: Annotated[
        bool | None, _flag("Listen beyond loopback without TLS: images and tokens go in the clear.", "insecure")
    ] = None,
    tls_cert: Annotated[Path | None, _option("Certificate chain, PEM. [default: none]", "tls-cert", "FILE")] = None,
    tls_key: Annotated[Path | None, _option("Its private key, PEM. [default: none]", "tls-key", "FILE")] = None,
    queue: Annotated[
        int | None,
        _option(
            "Images taken at a time: one is recognized, the others wait, further ones are refused. [default: 2]",
            "queue",
            min=1,
            max=64,
        ),
    ] = None,
    deadline_ms: Annotated[
        float | None,
        _option("Deadline of requests without the header Deadline-Ms, in ms. [default: none]", "deadline-ms", min=1),
    ] = None,
    max_body_mb: Annotated[
        int | None, _option("Largest image file, in MiB. [default: 16]", "max-body-mb", min=1, max=64)
    ] = None,
    body_timeout_s: Annotated[
        float | None,
        _option("Seconds that a request's body may take. [default: 10]", "body-timeout-s", min=0.1, max=600),
    ] = None,
    max_connections: Annotated[
        int | None, _option("Connections at a time. [default: 64]", "max-connections", min=4, max=10_000)
    ] = None,
    max_streams: Annotated[
        int | None, _option("Streams of frames at a time. [default: 8]", "max-streams", min=0, max=256)
    ] = None,
    stream_idle_s: Annotated[
        float | None,
        _option("Seconds without a frame after which a stream ends. [default: 60]", "stream-idle-s", min=1, max=86400),
    ] = None,
    watch: Annotated[
        list[str] | None,
        _option(
            "Camera that the server reads itself, as a stream: NAME=SOURCE, a number, an address (rtsp://...) or a "
            "folder; repeatable.",
            "watch",
            "CAMERA",
        ),
    ] = None,
    golden_image: Annotated[
        Path | None,
        _option("Image that has to be recognized before /readyz says so. [default: a gallery item's]", "golden-image"),
    ] = None,
    golden_label: Annotated[str | None, _option("Label that the golden image has to be given.", "golden-label")] = None,
    state: Annotated[
        Path | None, _option("Folder for tokens. [default: the user's state folder]", "state", "FOLDER")
    ] = None,
    cache: Annotated[
        str | None,
        _option("Folder for compiled models. [default: the user's cache folder]", "cache", "FOLDER", CACHE_VARIABLE),
    ] = None,
    log: Annotated[Path | None, _option("Folder for a log file as well. [default: none]", "log", "FOLDER")] = None,
    as_json: AsJson = False,
) -> None:
    """Recognize over HTTP: images in, JSON out.

    Listens on this machine alone unless told otherwise. Logs a line per request to stderr. Tokens for changes lie in
    the state folder. SIGHUP reloads bundle, gallery, tokens and the configuration file; SIGTERM ends it when what was
    begun is answered.

    Example: shitu-edge serve shop.gallery --port 8484
    """
    given = {name: _plain(value) for name, value in locals().items() if name not in ("config", "as_json")}
    try:
        from ..serve.server import serve as serve_
    except ModuleNotFoundError as error:
        raise OptionError(f"serve needs its extra ({error}); from the checkout: pip install '.[serve]'") from error
    if not is_quiet():
        be_verbose()
    read = partial(configuration, config, given)
    serve_(read(), read, partial(_announce, as_json))


def _announce(as_json: bool, address: str, folders: Folders) -> None:
    """Print where it listens and which folders it uses."""
    facts = {"address": address, **asdict(folders)}
    if as_json:
        print_json(facts)
        return
    print_line(f"serving at {address}")
    print_line(f"state: {folders.state}, cache: {folders.cache or 'none'}, log: {folders.log or 'none (stderr)'}")
    sys.stdout.flush()


def _plain(value: Any) -> Any:
    """Return an option's value as the configuration file would have it."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list):
        return value or None
    return getattr(value, "value", value)
