"""A till that asks a server: names what an image shows, then watches frames and prints what happens.

python examples/serve/till.py http://127.0.0.1:8484 FRAME...
"""

import json
import sys
import threading
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


def main(address: str, frames: list[Path]) -> None:
    """Recognize the first frame alone, then feed all of them as a stream of 10 per second."""
    connection = connect(address)
    for item in send(connection, "/v1/recognize", frames[0])["items"]:
        print("recognize:", item["label"] or item["decision"])

    reading = connect(address)
    reading.request("GET", "/v1/streams/till/events")
    response = reading.getresponse()  # open before the first frame, so that no event is missed

    def print_events() -> None:
        kind = ""
        for line in response:
            name, _, value = line.decode().strip().partition(": ")
            if name == "event":
                kind = value
            elif name == "data" and kind == "named":
                print("event: named", json.loads(value)["track"]["label"])

    thread = threading.Thread(target=print_events)
    thread.start()
    answer: dict[str, Any] = {"basket": {}}
    for number, frame in enumerate(frames):
        answer = send(connection, f"/v1/streams/till/frames?at_s={number / 10}", frame)
    connection.request("DELETE", "/v1/streams/till")  # ends the events, too
    connection.getresponse().read()
    thread.join()
    print("basket:", json.dumps(answer["basket"]))


def connect(address: str) -> HTTPConnection:
    """Return a connection, which is kept open: that saves a millisecond per image."""
    place = urlsplit(address)
    return HTTPConnection(place.hostname or "", place.port, timeout=30)


def send(connection: HTTPConnection, path: str, image: Path) -> Any:
    """Return the answer to an image; waits at most a second for it."""
    headers = {"Content-Type": "image/jpeg", "Deadline-Ms": "1000"}
    connection.request("POST", path, image.read_bytes(), headers)
    response = connection.getresponse()
    content = json.load(response)
    if response.status != 200:
        raise SystemExit(f"{response.status}: {content['error']['message']}")
    return content


if __name__ == "__main__":
    main(sys.argv[1], list(map(Path, sys.argv[2:])))
