"""Where labels go on a photo: next to what they name, and on nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

Corners = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels."""

_FARTHEST = 3
"""Label heights between a box and its label."""
_SHARE_INSIDE = 0.2
"""Of a box that a label inside may cover."""


def free_place(
    box: Corners, size: tuple[int, int], limits: tuple[int, int], taken: Sequence[Corners], farthest: int = _FARTHEST
) -> Corners | None:
    """Return the best place for a label: next to its box, else in its edge, else farther off; None if there is none.

    Args:
        box: what the label names.
        size: width and height of the label in pixels.
        limits: width and height of the photo.
        taken: other boxes and labels, none of which it may cover.
        farthest: heights of the label between it and its box.
    """
    width, height = size
    for x, y in _places(box, size, limits, farthest):
        place = x, y, x + width, y + height
        inside = min(x, y) >= 0 and place[2] < limits[0] and place[3] < limits[1]
        if inside and not _covers(place, taken):
            return place
    return None


def corner_place(box: Corners, size: tuple[int, int], limits: tuple[int, int], taken: Sequence[Corners]) -> Corners:
    """Return a corner of a box for its number, one that is free if there is one."""
    (width, height), (left, top, right, bottom) = size, box
    corners = [(left, top), (right - width, top), (left, bottom - height), (right - width, bottom - height)]
    inside = [(max(0, min(x, limits[0] - width - 1)), max(0, min(y, limits[1] - height - 1))) for x, y in corners]
    places = [(x, y, x + width, y + height) for x, y in inside]
    return next((place for place in places if not _covers(place, taken)), places[0])


def leader(box: Corners, place: Corners) -> tuple[int, int, int, int] | None:
    """Return the shortest line from a box to a label apart from it; None if they touch."""
    x = _between((box[0], box[2]), (place[0], place[2]))
    y = _between((box[1], box[3]), (place[1], place[3]))
    return None if x[0] == x[1] and y[0] == y[1] else (x[0], y[0], x[1], y[1])


def _places(box: Corners, size: tuple[int, int], limits: tuple[int, int], farthest: int) -> Iterator[tuple[int, int]]:
    """Yield the top left corners that a label may have, the best first."""
    (width, height), (left, top, right, bottom) = size, box
    columns = [max(0, min(x, limits[0] - width - 1)) for x in (left, right - width, (left + right - width) // 2)]
    rows = [top, bottom - height, (top + bottom - height) // 2]
    for distance in range(0, farthest * height + 1, height):
        for y in (top - height - distance, bottom + distance):
            yield from ((x, y) for x in columns)
        for x in (right + distance, left - width - distance):
            yield from ((x, y) for y in rows)
        if not distance and width * height <= _SHARE_INSIDE * (right - left) * (bottom - top):
            yield from ((x, y) for y in rows[:2] for x in (left, right - width))


def _covers(place: Corners, taken: Sequence[Corners]) -> bool:
    return any(
        place[0] < other[2] and other[0] < place[2] and place[1] < other[3] and other[1] < place[3] for other in taken
    )


def _between(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    """Return where two intervals are nearest: twice their common middle if they overlap."""
    low, high = max(one[0], other[0]), min(one[1], other[1])
    if low <= high:
        return (low + high) // 2, (low + high) // 2
    return (one[1], other[0]) if one[1] < other[0] else (one[0], other[1])
