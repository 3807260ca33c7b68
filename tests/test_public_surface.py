"""What a program outside may rely on: every name that it meets is exported, and wrong arguments are refused by name."""

from __future__ import annotations

import ast
import inspect
import math
import subprocess
import sys
from collections import abc
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_origin

import numpy as np
import pytest

import shitu_edge
from shitu_edge import (
    Bundle,
    DecodeLimits,
    Gallery,
    GalleryError,
    ImageError,
    Manifest,
    Network,
    OptionError,
    Recognizer,
    ShituError,
    add_images,
    build_gallery,
    bundle,
    replace_images,
)
from shitu_edge import errors as error_module
from tests.test_recognizer import RED, product, scene

PROJECT = Path(__file__).parents[1]
EXPORTED: dict[str, Any] = {name: getattr(shitu_edge, name) for name in shitu_edge.__all__}


def _public_functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Functions, methods and properties that are exported, without constructors of what only `open` makes."""
    for name, value in EXPORTED.items():
        if inspect.isfunction(value):
            yield name, value
        for attribute, found in inspect.getmembers(value) if inspect.isclass(value) else ():
            member: Any = found.fget if isinstance(found, property) else getattr(found, "__func__", found)
            member = inspect.unwrap(member) if callable(member) else member
            of_ours = inspect.isfunction(member) and member.__module__.startswith("shitu_edge")
            if of_ours and (not attribute.startswith("_") or attribute == "__iter__"):
                yield f"{name}.{attribute}", member


_NOT_OURS = {"Any", "Literal", "ArrayLike", "NDArray"}


def _names_of_ours(annotation: object, scope: dict[str, Any]) -> Iterator[str]:
    """Classes and aliases in an annotation that shitu-edge defines, but for names of arrays and callbacks."""
    for node in ast.walk(ast.parse(str(annotation), mode="eval")):
        if not isinstance(node, ast.Name) or node.id not in scope or node.id in _NOT_OURS:
            continue
        value = scope[node.id]
        if inspect.isclass(value):
            if value.__module__.startswith("shitu_edge"):
                yield node.id
        elif not inspect.ismodule(value) and get_origin(value) not in (np.ndarray, abc.Callable):
            yield node.id


@pytest.mark.parametrize(("name", "function"), list(_public_functions()), ids=lambda value: str(value)[:60])
def test_every_name_in_a_public_signature_is_exported(name: str, function: Callable[..., Any]) -> None:
    annotations = function.__annotations__.values()
    found = {one for annotation in annotations for one in _names_of_ours(annotation, function.__globals__)}
    assert found <= set(shitu_edge.__all__), name


def test_every_field_of_a_result_is_exported() -> None:
    """Classes that `bundle.json` alone names are exported by `shitu_edge.bundle`."""
    for value in EXPORTED.values():
        if inspect.isclass(value) and "__dataclass_fields__" in vars(value):
            exported = set(shitu_edge.__all__) | set(vars(bundle) if value in (Manifest, Network) else ())
            scope = vars(sys.modules[value.__module__])
            for annotation in inspect.get_annotations(value).values():
                assert set(_names_of_ours(annotation, scope)) <= exported, value


def test_every_error_is_exported() -> None:
    raised = {
        name for name, value in vars(error_module).items() if inspect.isclass(value) and issubclass(value, Exception)
    }
    assert raised <= set(shitu_edge.__all__)
    assert all(issubclass(getattr(shitu_edge, name), ShituError) for name in raised)


def test_the_manual_names_every_export() -> None:
    page = (PROJECT / "docs" / "python.md").read_text("utf-8")
    assert [name for name in shitu_edge.__all__ if f"`{name}" not in page] == []


def test_the_till_passes_mypy_strict(tmp_path: Path) -> None:
    """With what a gallery file can do, and no assertion of types."""
    if find_spec("mypy") is None:
        pytest.skip("mypy is not installed")
    program = tmp_path / "till.py"
    program.write_text(
        "from shitu_edge import Detection, GalleryItem, NewGalleryItem, Recognizer\n\n\n"
        "def tidy(recognizer: Recognizer, image: str) -> list[GalleryItem]:\n"
        "    gallery = recognizer.gallery\n"
        "    gallery.add([NewGalleryItem('tea', image, recognizer.embed_product(image))], author='ada')\n"
        "    gallery.rename('tea', 'Tea 100 g')\n"
        "    gallery.history.rollback(gallery.revision - 1)\n"
        "    best: Detection = next(iter(recognizer.detect(image)))\n"
        "    recognizer.enroll('cocoa', image, best.box_xyxy, source='shelf 3', author='ada', note='new')\n"
        "    answer = recognizer.recognize(image, threshold=0.7, margin=0.05, whole_image='never')\n"
        "    for item in answer.items:\n"
        "        pixels = answer.crop(item)\n"
        "        recognizer.enroll(item.label or 'unknown', pixels)\n"
        "        recognizer.embed(image, [item.box_xyxy, best.box_xyxy])\n"
        "    return gallery.items()\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "examples/point_of_sale.py", str(program)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def recognizer(tiny_bundle: Path, tmp_path: Path) -> Iterator[Recognizer]:
    with Recognizer.open(tiny_bundle) as maker:
        gallery = maker.create_gallery(tmp_path / "shop.gallery")
    with gallery, Recognizer.open(tiny_bundle, gallery) as opened:
        opened.enroll("red", product(RED))
        yield opened


WRONG_CALLS: dict[str, Callable[[Recognizer], object]] = {
    "deadline_ms": lambda r: r.recognize(scene(), deadline_ms=-1),
    "max_boxes": lambda r: r.recognize(scene(), max_boxes=0),
    "detection_threshold": lambda r: r.detect(scene(), detection_threshold=-0.1),
    "threshold": lambda r: r.recognize(scene(), threshold=1.01),
    "margin": lambda r: r.recognize(scene(), margin=math.nan),
    "neighbors": lambda r: r.recognize(scene(), neighbors=0),
    "vote": lambda r: r.recognize(scene(), vote=1),  # type: ignore[arg-type]
    "suppression_iou": lambda r: r.recognize(scene(), suppression_iou=2),
    "whole_image": lambda r: r.recognize(scene(), whole_image="no"),  # type: ignore[arg-type]
    "decode_mode": lambda r: r.recognize(scene(), decode_mode="fast"),  # type: ignore[arg-type]
    "crop of embed": lambda r: r.embed(scene(), crop=0),  # type: ignore[arg-type]
    "crop of embed_product": lambda r: r.embed_product(product(RED), crop="no"),  # type: ignore[arg-type]
    "crop of enroll": lambda r: r.enroll("red", product(RED), crop=1),  # type: ignore[arg-type]
    "label": lambda r: r.enroll(b"red", product(RED)),  # type: ignore[arg-type]
    "source": lambda r: r.enroll("red", product(RED), source=Path("x")),  # type: ignore[arg-type]
    "author": lambda r: r.enroll("red", product(RED), author=None),  # type: ignore[arg-type]
    "note": lambda r: r.enroll("red", product(RED), note=5),  # type: ignore[arg-type]
    "path": lambda r: r.create_gallery(b"x"),  # type: ignore[arg-type]
    "threads": lambda _: Recognizer.open(threads=0),
    "engine": lambda _: Recognizer.open(engine="tensorrt"),  # type: ignore[arg-type]
    "precision": lambda _: Recognizer.open(precision="fp8"),
    "bundle": lambda _: Recognizer.open(b"x"),  # type: ignore[arg-type]
    "gallery": lambda _: Recognizer.open(gallery=b"shop.gallery"),  # type: ignore[arg-type]
    "gallery class": lambda _: Recognizer.open(gallery=Gallery),  # type: ignore[arg-type]
    "profile": lambda _: Recognizer.open(profile=5),  # type: ignore[arg-type]
    "cache": lambda _: Recognizer.open(cache=b"x"),  # type: ignore[arg-type]
    "limits": lambda _: Recognizer.open(limits=5),  # type: ignore[arg-type]
    "bundle of Bundle": lambda _: Bundle.open(5),  # type: ignore[arg-type]
    "max_pixels": lambda _: DecodeLimits(max_pixels=0),
    "max_bytes": lambda _: DecodeLimits(max_bytes="5"),  # type: ignore[arg-type]
    "path of build_gallery": lambda r: build_gallery(r, b"x", []),  # type: ignore[arg-type]
    "replace of build_gallery": lambda r: build_gallery(r, Path("x"), [], replace=1),  # type: ignore[arg-type]
    "crop of build_gallery": lambda r: build_gallery(r, Path("x"), [], crop="no"),  # type: ignore[arg-type]
    "gallery of add_images": lambda r: add_images(r, "x", []),  # type: ignore[arg-type]
    "gallery of replace_images": lambda r: replace_images(r, "x", "tea", []),  # type: ignore[arg-type]
    "images": lambda r: add_images(r, r.gallery, [Path("x")]),  # type: ignore[list-item]
}


@pytest.mark.parametrize("name", WRONG_CALLS)
def test_wrong_arguments_are_refused_by_name(recognizer: Recognizer, name: str) -> None:
    revision = recognizer.gallery.revision
    with pytest.raises(OptionError, match=rf"^{name.split()[0]}: expected [^\n]+, found [^\n]{{1,60}}$"):
        WRONG_CALLS[name](recognizer)
    assert recognizer.gallery.revision == revision


@pytest.mark.parametrize(
    "image", [5, None, ["a.jpg"], {}, object(), math.nan, np.zeros((8, 8)), np.zeros((0, 8, 3), np.uint8)]
)
def test_what_is_not_an_image_is_refused(recognizer: Recognizer, image: Any) -> None:
    for call in (recognizer.recognize, recognizer.detect, recognizer.embed, recognizer.embed_product):
        with pytest.raises(ImageError, match="expected a"):
            call(image)


def test_a_search_backend_is_searched_but_is_not_a_gallery_file(recognizer: Recognizer, tiny_bundle: Path) -> None:
    class Elsewhere:
        """Searches a gallery, as a database would."""

        meta = recognizer.gallery.meta
        search_with_revision = recognizer.gallery.search_with_revision
        close = staticmethod(lambda: None)

        def __str__(self) -> str:
            return "elsewhere"

    with Recognizer.open(tiny_bundle, Elsewhere()) as other:
        assert other.gallery_search is not None
        assert other.recognize(scene((1, 1, RED))).items
        with pytest.raises(GalleryError, match="elsewhere: is not a gallery file"):
            other.enroll("red", product(RED))
