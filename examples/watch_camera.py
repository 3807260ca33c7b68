"""A till that watches a counter: says each product once, when it is sure, and asks about the others.

python examples/watch_camera.py shop.gallery 0        # a camera by its number, with OpenCV (extra opencv)
python examples/watch_camera.py shop.gallery frames/  # recorded frames, ten per second
"""

import sys

from shitu_edge import Recognizer, ShituError, camera_frames, folder_frames


def main(gallery: str, source: str) -> None:
    """Print what happens on the counter until the frames end."""
    live = source.isdecimal()
    frames = camera_frames(int(source)) if live else folder_frames(source)
    with Recognizer.open(gallery=gallery) as recognizer, recognizer.watch(frames, live=live) as watch:
        for event in watch:
            basket = ", ".join(f"{count} × {label}" for label, count in event.basket.items())
            if event.kind in ("named", "changed", "left"):
                print(f"{event.kind} {event.label or 'something unknown'}: {basket or 'nothing'}", flush=True)
            elif event.kind == "unsure" and event.track is not None:
                possible = [one.label for one in event.track.candidates if one.possible]
                print(f"{event.track.decision} {' or '.join(possible)} at {event.track.box_xyxy}", flush=True)
            elif event.kind == "camera":
                print(f"camera: {event.camera}", file=sys.stderr)
        print(f"{watch.stream.counts.fed} frames, {watch.stream.counts.late} late", file=sys.stderr)


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2])
    except ShituError as error:  # no gallery, no frames, or the camera was unplugged
        sys.exit(str(error))
