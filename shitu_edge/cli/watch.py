"""`shitu-edge watch`: frames of a mounted camera in, events out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from ..results.stream import StreamEvent
from ..stream import Frames, StreamOptions, camera_frames, camera_of, folder_frames
from .camera import Camera, Region, Tiles, view_of
from .options import (
    AsJson,
    Engine,
    EngineOption,
    GalleryArgument,
    LocalLayer,
    Look,
    MaxFalseAccept,
    MaxMegapixels,
    Models,
    PrecisionOption,
    ProfileOption,
    SecondLookOption,
    Threads,
    finite,
    open_recognizer,
)
from .printing import count, print_line
from .tables import print_json


def watch(
    gallery: GalleryArgument,
    frames: Annotated[
        str,
        typer.Argument(
            metavar="FRAMES",
            help="Folder of frames, in order of their names, or a camera's number or address (rtsp://...).",
        ),
    ],
    local: LocalLayer = None,
    models: Models = None,
    as_json: AsJson = False,
    fps: Annotated[
        float, typer.Option(min=0.01, max=1000, callback=finite, help="Frames per second of a folder.")
    ] = 10.0,
    max_false_accept: MaxFalseAccept = None,
    second_look: SecondLookOption = Look.auto,
    camera: Camera = None,
    region: Region = None,
    tiles: Tiles = None,
    max_megapixels: MaxMegapixels = None,
    engine: EngineOption = Engine.auto,
    precision: PrecisionOption = None,
    threads: Threads = None,
    profile: ProfileOption = None,
) -> None:
    """Follow the products on a counter and print what happens.

    A thing has appeared, is named once when that is sure, or is unsure, has changed, or left; then the counter may be
    empty. The camera's state is said when it changes.

    A camera is read until it is unplugged or Ctrl-C is pressed, and needs OpenCV (extra opencv); frames that come
    while one is looked at are left out and counted. The last line is the basket.

    Example: shitu-edge watch shop.gallery 0 --camera camera.json
    """
    view = view_of(camera, region, tiles)
    options = StreamOptions(max_false_accept=max_false_accept)
    number = camera_of(frames)
    live = number is not None
    source: Frames = folder_frames(frames) if number is None else camera_frames(number)
    with (
        open_recognizer(
            models, gallery, engine, precision, threads, profile, max_megapixels, local, second_look.value, view
        ) as recognizer,
        recognizer.watch(source, live=live, fps=fps, options=options) as watched,
    ):
        try:
            for event in watched:
                if as_json:
                    print_json({"event": event.kind, **event.as_dict()})
                else:
                    print_line(_line(event))
        finally:
            stream = watched.stream
            if as_json:
                print_json({"event": "end", "basket": stream.basket, "counts": stream.counts.as_dict()})
            else:
                print_line(f"{count(stream.counts.fed, 'frame')}, {stream.counts.late} late; {_basket(stream.basket)}")


def _line(event: StreamEvent) -> str:
    what = [f"frame {event.frame}", event.kind]
    if event.track is not None:
        what.append(f"#{event.track.track_id}")
        if event.track.decision is not None:
            what.append(event.label or event.track.decision)
    if event.kind == "changed":
        what.append(f"was {event.was or 'unknown'}")
    if event.kind == "camera":
        what.append(event.camera)
    return f"{' '.join(what)}; {_basket(event.basket)}"


def _basket(basket: Mapping[str, int]) -> str:
    return ", ".join(f"{number} × {label}" for label, number in basket.items()) or "nothing named"
