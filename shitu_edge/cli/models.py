"""`shitu-edge models`: which bundles there are, what is in one, and whether it is whole."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from ..bundle import Bundle, bundle_folders
from ..errors import BundleError
from .options import AsJson
from .printing import print_line
from .tables import print_facts, print_json, print_table

app = typer.Typer(help="List, show and verify model bundles.", no_args_is_help=True, rich_markup_mode=None)

BundleArgument = Annotated[str, typer.Argument(metavar="BUNDLE", help="Bundle folder, or a name of `models list`.")]


@app.command("list")
def list_bundles(as_json: AsJson = False) -> None:
    """List the bundles that can be opened by name.

    They lie in the folders of $SHITU_EDGE_MODELS, in ./models, and in shitu-edge itself.

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
        print_json([dict(zip(("name", "folder", "description"), row, strict=True)) for row in rows])
    elif rows:
        print_table(("name", "folder", "description"), rows)
    else:
        print_line("no bundles; `shitu-edge models list --help` says where they are looked for")


@app.command()
def show(bundle: BundleArgument, as_json: AsJson = False) -> None:
    """Show what a bundle holds.

    Example: shitu-edge models show models/ppshitu-v2
    """
    opened = Bundle.open(bundle)
    manifest = opened.manifest
    if as_json:
        print_json({"folder": str(opened.folder), "digest": opened.digest, **asdict(manifest)})
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
                names = ", ".join(file.path for file in files)
                default = "*" if precision == network.default_precision else ""
                sides = f"{network.input.height} × {network.input.width}"
                rows.append(
                    (part, network.name, sides, precision + default, file_format, f"{size / 1e6:.1f} MB", names)
                )
    print_line()
    print_table(("part", "network", "input", "precision", "format", "size", "files"), rows)


@app.command()
def verify(bundle: BundleArgument) -> None:
    """Check that every file of a bundle is what bundle.json says.

    Example: shitu-edge models verify models/ppshitu-v2
    """
    opened = Bundle.open(bundle)
    print_line(f"{opened.folder}: {opened.verify()} files as bundle.json says")
