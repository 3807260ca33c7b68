"""Local features of the photos in a gallery: found once in their kept pictures, and remembered."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import closing, contextmanager, suppress

import numpy as np

from ..errors import DamagedError, ImageError
from ..gallery import Origin
from ..gallery.layers import Layers
from ..gallery.store.feature_file import FeatureFile
from ..imaging.agreement import agreements
from ..imaging.geometry import Pixels
from ..imaging.local_features import METHOD, NO_FEATURES, LocalFeatures, can_find_features, find_features
from .decode import DEFAULT_LIMITS, decode
from .extract import crop

MOST_IN_MEMORY = 1500
"""Photos. 200 key points take 27 kB, so all of them 40 MB."""
_AT_ONCE = 64
_EVERY_PIXEL = 1 << 30


class PhotoFeatures:
    """The local features of the photos of a gallery and its local layer. Safe from several threads.

    They are kept in a file next to each gallery, found again where they are missing or damaged, and the latest ones are
    kept in memory. `method` names how they are made.
    """

    method = METHOD

    def __init__(self, layers: Layers) -> None:
        self._layers = layers
        self._files = [FeatureFile(path, METHOD) for path in layers.files()]
        """The central gallery's, then the local layer's."""
        self._latest: OrderedDict[bytes, LocalFeatures] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, ids: Sequence[int], most_new: int | None = None) -> dict[int, LocalFeatures]:
        """Return the features of items by id, in the order of `ids`; items without a picture are left out.

        Args:
            ids: negative ones are of the local layer.
            most_new: leave out the others when so many were not in memory or on disk, as finding them takes time.

        Raises:
            GalleryError: the gallery cannot be read.
        """
        keys = self._layers.picture_keys(ids)
        found: dict[bytes, LocalFeatures] = {}
        with self._lock:
            for key in keys.values():
                if key in self._latest:
                    self._latest.move_to_end(key)
                    found[key] = self._latest[key]
        for file, some in zip(self._files, _by_layer(keys), strict=False):
            stored = file.read([key for key in some.values() if key not in found])
            found.update(_sound(stored))
        new = [item for item in ids if item in keys and keys[item] not in found][:most_new]
        found.update((keys[item], features) for item, features in self._find(new, keys))
        self._remember(found)
        return {item: found[keys[item]] for item in ids if item in keys and keys[item] in found}

    def inliers(self, asking: int, candidates: Sequence[int]) -> list[int]:
        """Return how many points the photo of an item has in common with those of others; 0 without a picture."""
        found = self.of([asking, *candidates])
        mine = found.get(asking, NO_FEATURES)
        photos = [found.get(item, NO_FEATURES) for item in candidates]
        return [len(one) for one in agreements(mine.points_xy, mine.rows(), photos)]

    def with_picture(self, ids: Sequence[int]) -> list[int]:
        """Return those items that have a picture."""
        keys = self._layers.picture_keys(ids)
        return [item for item in ids if item in keys]

    def complete(
        self,
        pause: Callable[[], None] = lambda: None,
        progress: Callable[[int, int], None] = lambda *_: None,
        workers: Executor | None = None,
    ) -> None:
        """Find what is missing on disk, of all items, and forget what belongs to none.

        Args:
            pause: called between the items.
            progress: called with the number of items done and all.
            workers: threads to find features in; None for the caller's alone.

        Raises:
            GalleryError: the gallery cannot be read.
        """
        ids = [item.id for item in self._layers.items()]
        keys = self._layers.picture_keys(ids)
        for file, some in zip(self._files, _by_layer(keys), strict=False):
            file.keep_only(some.values())
        for start in range(0, len(ids), _AT_ONCE):
            part = {item: keys[item] for item in ids[start : start + _AT_ONCE] if item in keys}
            for file, some in zip(self._files, _by_layer(part), strict=False):
                there = file.read(list(some.values()))
                for _ in self._find([item for item, key in some.items() if key not in there], keys, workers):
                    pause()
            progress(min(len(ids), start + _AT_ONCE), len(ids))
            pause()

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()

    def _find(
        self, items: Sequence[int], keys: dict[int, bytes], workers: Executor | None = None
    ) -> Iterator[tuple[int, LocalFeatures]]:
        """Find features in pictures, and keep them on disk."""
        if not items:
            return
        origins = self._origins(items)
        mine = [item for item in items if item in origins]
        rows: dict[int, bytes] = {}
        found = (workers.map if workers else map)(_of_picture, [origins[item] for item in mine])
        for item, features in zip(mine, found, strict=True):
            rows[item] = features.to_bytes()
            yield item, features
        for file, some in zip(self._files, _by_layer(rows), strict=False):
            if some:
                file.write({keys[item]: content for item, content in some.items()})

    def _origins(self, items: Sequence[int]) -> dict[int, Origin]:
        """Return how items were made, without damaged ones: recognition needs no pictures, and `gallery verify` tells.

        Raises:
            GalleryError: the gallery cannot be read.
        """
        try:
            return self._layers.origins(items)
        except DamagedError:
            half = len(items) // 2
            return {**self._origins(items[:half]), **self._origins(items[half:])} if half else {}

    def _remember(self, found: dict[bytes, LocalFeatures]) -> None:
        with self._lock:
            self._latest.update(found)
            while len(self._latest) > MOST_IN_MEMORY:
                self._latest.popitem(last=False)


@contextmanager
def opened_photos(layers: Layers) -> Iterator[PhotoFeatures | None]:
    """Give the features of a gallery's photos, and close their files at the end; None without OpenCV."""
    if not can_find_features():
        yield None
        return
    with closing(PhotoFeatures(layers)) as photos:
        yield photos


def _sound(stored: dict[bytes, bytes]) -> Iterator[tuple[bytes, LocalFeatures]]:
    """Yield stored features, without those that none are."""
    for key, content in stored.items():
        with suppress(ValueError):
            yield key, LocalFeatures.from_bytes(content)


def _by_layer(values: dict[int, bytes]) -> tuple[dict[int, bytes], dict[int, bytes]]:
    """Return what belongs to items of the central gallery, and to those of the local layer."""
    local = {item: value for item, value in values.items() if item < 0}
    return {item: value for item, value in values.items() if item >= 0}, local


def product_pixels(origin: Origin) -> Pixels | None:
    """Return the product (h, w, 3) uint8 RGB in a kept picture, without its margin; None if it cannot be decoded."""
    try:
        pixels_rgb = decode(origin.picture, enough_side=_EVERY_PIXEL, limits=DEFAULT_LIMITS).pixels_rgb
    except ImageError:
        return None
    if origin.product_xyxy is None:
        return pixels_rgb
    return crop(pixels_rgb, np.rint(np.array(origin.product_xyxy, np.float32)))


def _of_picture(origin: Origin) -> LocalFeatures:
    """Return the features of the product in a kept picture; none if it cannot be decoded."""
    pixels_rgb = product_pixels(origin) if origin.picture else None
    return NO_FEATURES if pixels_rgb is None else find_features(pixels_rgb)
