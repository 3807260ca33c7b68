"""Groups of labels that images cannot tell apart: proposed by the audit, confirmed by a person, always asked about."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import GalleryError
from ..gallery import Gallery
from ..label_settings import LOOK_ALIKES, Groups, encoded, joined, read_groups
from ..labels import NEGATIVE, spellings


def look_alikes(gallery: Gallery) -> Groups:
    """Return the confirmed groups.

    Raises:
        GalleryError: the gallery cannot be read.
    """
    return read_groups(gallery.settings().get(LOOK_ALIKES))


def confirm_look_alikes(gallery: Gallery, labels: Sequence[str], *, author: str = "", note: str = "") -> Groups:
    """Record that images cannot tell labels apart, and return all groups. Groups that share a label become one.

    Objects that get one of these labels are `ambiguous` from the next image on.

    Raises:
        GalleryError: there are fewer than two labels, the gallery lacks one, or it cannot be written.
    """
    with gallery.change(author=author, note=note or f"look-alikes: {', '.join(labels)}") as change:
        group = {_label_of_items(gallery, label) for label in labels}
        if NEGATIVE in group:
            raise GalleryError(f"{NEGATIVE} marks items that are not products: expected labels of products")
        if len(group) < 2:
            raise GalleryError("expected two labels or more that images cannot tell apart")
        groups = joined([*read_groups(change.settings().get(LOOK_ALIKES)), tuple(group)])
        change.set(LOOK_ALIKES, encoded(groups))
    return groups


def separate_look_alikes(gallery: Gallery, labels: Sequence[str], *, author: str = "", note: str = "") -> Groups:
    """Take labels out of their groups, and return the groups that are left.

    Raises:
        GalleryError: a label is in no group, or the gallery cannot be written.
    """
    with gallery.change(author=author, note=note or f"no longer look-alikes: {', '.join(labels)}") as change:
        before = read_groups(change.settings().get(LOOK_ALIKES))
        for label in labels:
            if not any(spelling in group for group in before for spelling in spellings(label)):
                raise GalleryError(f"{label!r} is in no group of look-alikes")
        separate = {spelling for label in labels for spelling in spellings(label)}
        left = (tuple(label for label in group if label not in separate) for group in before)
        groups = tuple(group for group in left if len(group) > 1)
        change.set(LOOK_ALIKES, encoded(groups) if groups else None)
    return groups


def _label_of_items(gallery: Gallery, label: str) -> str:
    """Return a label as its items spell it."""
    items = gallery.items(label)
    if not items:
        raise GalleryError(f"no item has the label {label!r}; `gallery list` lists the labels")
    return items[0].label
