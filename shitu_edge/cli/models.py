"""`shitu-edge models`: list, show and verify bundles."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import Annotated

import typer

from ..bundle import Bundle, bundle_folders
from ..errors import BundleError
from .command import Command, command
from .options import AsJson
from .printing import count, print_line
from .tables import print_facts, print_json, print_table

app = typer.Typer(
    help="List, show and verify model bundles.", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)

BundleArgument = Annotated[str, typer.Argument(metavar="BUNDLE", help="Bundle folder, or a name from `models list`.")]


@app.command("list", cls=Command)
@command
def list_bundles(as_json: AsJson = False) -> None:
    """List the bundles that can be opened by name.

    Searches the folders of $SHITU_EDGE_MODELS, ./models, and the bundles that come with shitu-edge.

    Example: shitu-edge models list
    """
    rows = []
    for folder in bundle_folders():
        try:
            description = Bundle.open(folder).manifest.description
        except BundleError as error:
            description = f"not usable: {error}"
        rows.append((folder.name, str(folder), description))
    if as_json:
        for row in rows:
            print_json(dict(zip(("name", "folder", "description"), row, strict=True)))
    elif rows:
        print_table(("name", "folder", "description"), rows)
    else:
        print_line("no bundles found; `shitu-edge models list --help` lists the folders that are searched")


@app.command(cls=Command)
@command
def show(bundle: BundleArgument, as_json: AsJson = False) -> None:
    """Show a bundle's license, networks and files.

    Example: shitu-edge models show models/ppshitu-v2
    """
    opened = Bundle.open(bundle)
    manifest = opened.manifest
    if as_json:
        print_json({"folder": opened.folder, "digest": opened.digest, "manifest": asdict(manifest)})
        return
    print_facts(
        {
            "name": manifest.name,
            "folder": opened.folder,
            "description": manifest.description,
            "license": manifest.license,
            "digest": opened.digest,
            "fingerprint": manifest.extractor.fingerprint,
        }
    )
    rows = []
    for part, network in (("detector", manifest.detector.network), ("extractor", manifest.extractor.network)):
        for precision, formats in network.files.items():
            for file_format, files in formats.items():
                size = sum(
                    (opened.folder / file.path).stat().st_size
                    for file in files
                    if (opened.folder / file.path).is_file()
                )
                names = " ".join(file.path for file in files)
                default = "*" if precision == network.default_precision else ""
                shapes = [(network.input.height, network.input.width)]
                shapes += manifest.detector.shapes if part == "detector" else ()
                sides = ", ".join(f"{height} × {width}" for height, width in shapes)
                rows.append(
                    (part, network.name, sides, precision + default, file_format, f"{size / 1e6:.1f} MB", names)
                )
    print_line()
    print_table(("part", "network", "input", "precision", "format", "size", "files"), rows)


@app.command(cls=Command)
@command
def verify(bundle: BundleArgument, as_json: AsJson = False) -> None:
    """Check every file of a bundle against its checksum in bundle.json.

    Example: shitu-edge models verify models/ppshitu-v2
    """
    opened = Bundle.open(bundle)
    files = opened.verify()
    if as_json:
        print_json({"folder": opened.folder, "digest": opened.digest, "files": files})
    else:
        print_line(f"{opened.folder}: {count(files, 'file')} verified")


def bundle_of(fingerprint: str) -> str | None:
    """Return the name of an installed bundle with this extractor, None if there is none."""
    for folder in bundle_folders():
        with suppress(BundleError):
            if Bundle.open(folder).manifest.extractor.fingerprint == fingerprint:
                return folder.name
    return None
