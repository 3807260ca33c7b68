"""The manual is true: its examples run, its links lead somewhere, its reference has every command and option."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from importlib import metadata
from pathlib import Path
from typing import Any, get_args

import pytest

import shitu_edge
from shitu_edge import Bundle, DecisionPolicy
from shitu_edge.bundle import DetectorSpec
from shitu_edge.results import Decision, DropReason

pytest.importorskip("docs.reference", reason="the manual is in the checkout alone")

from docs import reference

from .shell import Shell

PROJECT = Path(__file__).parents[1]
SAMPLES = PROJECT / "examples" / "samples"
PAGES = [
    PROJECT / name
    for name in ("README.md", "CONTRIBUTING.md", "export/README.md", *sorted(map(str, PROJECT.glob("docs/*.md"))))
]
BUILDS_SHOP = re.compile(r"gallery build shop\.gallery")

LANGUAGES = {
    "sh": ["bash", "-euo", "pipefail", "-c"],
    "python": [sys.executable, "-c"],
    "json": [],
    "text": [],
    "toml": [],
}
"""What runs the blocks of a language; nothing runs data and output."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: where it begins, the language, why it is not run (None if it is), and its content."""

    place: str
    language: str
    reason: str | None
    content: str


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page; the first line is a language, then perhaps `not run: REASON`."""
    text = page.read_text(encoding="utf-8")
    for match in re.finditer(r"^```([^\n`]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        language, _, reason = match[1].partition(" not run: ")
        yield Block(f"{_name(page)}:{text[: match.start()].count(chr(10)) + 1}", language, reason or None, match[2])


def _name(page: Path) -> str:
    return page.relative_to(PROJECT).as_posix()


def runnable(page: Path) -> list[Block]:
    return [block for block in blocks(page) if LANGUAGES.get(block.language) and block.reason is None]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery of the samples, for pages that do not build one."""
    gallery = tmp_path_factory.mktemp("shop") / "shop.gallery"
    command = ["gallery", "build", str(gallery), str(SAMPLES / "gallery"), "--crop"]
    subprocess.run([sys.executable, "-m", "shitu_edge", *command], check=True, cwd=PROJECT, capture_output=True)
    return gallery


@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)], ids=_name)
def test_examples_run(page: Path, shop: Path, tmp_path: Path) -> None:
    _lay_out(tmp_path)
    if not any(BUILDS_SHOP.search(block.content) for block in runnable(page)):
        shutil.copy(shop, tmp_path)
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": programs, "PYTHONPATH": str(PROJECT)}
    for block in runnable(page):
        done = subprocess.run(
            [*LANGUAGES[block.language], block.content],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{block.place}\n{done.stdout}"


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_blocks_name_a_language(page: Path) -> None:
    assert [block.place for block in blocks(page) if block.language not in LANGUAGES] == []


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_examples_name_commands_and_options_that_exist(page: Path) -> None:
    known = {" ".join(words): command for words, command in reference.commands()}
    for call in _calls(page):
        words = shlex.split(call, comments=True)
        command = max((name for name in known if f"{' '.join(words)} ".startswith(f"{name} ")), key=len)
        rest = words[len(command.split()) :]
        if rest and getattr(known[command], "commands", {}):
            assert rest[0].startswith("-"), f"no such command: {call}"
        options = {word.partition("=")[0] for word in rest if re.match("--?[a-z]", word)}
        assert options <= _options(known[command]), call


def test_the_text_names_options_that_exist() -> None:
    known = set().union(*(_options(command) for _, command in reference.commands()))
    for page in PAGES:
        if page.parent.name != "export":  # which is about another program
            named = set(re.findall(r"`(--[a-z][\w-]*)", _without_blocks(page)))
            assert named <= known, _name(page)


def test_the_reference_is_that_of_the_command_line() -> None:
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page(), "python -m docs.reference --write"
    assert max(map(len, reference.page().splitlines())) <= reference.WIDTH


def test_the_reference_has_every_command_and_option_of_the_help(shell: Shell) -> None:
    """By what `--help` prints, not by the objects that the page is generated from."""
    sections = dict(re.findall(r"^## ([\w -]+)\n(.*?)(?=^## |\Z)", reference.page(), re.MULTILINE | re.DOTALL))
    of_all = set(re.findall(r"`(--?[a-z]+)`", reference.page().partition("\n## ")[0]))
    assert of_all == {"-h", "--help", "-v", "--verbose", "-q", "--quiet"}
    json_keys = sections.pop("JSON")
    seen = []
    waiting = [[reference.PROGRAM]]
    while waiting:
        words = waiting.pop()
        seen.append(" ".join(words))
        _, _, listed = shell(*words[1:], "--help").out.partition("\nOptions:\n")
        options, _, subcommands = listed.partition("\nCommands:\n")
        for names in re.findall(r"^  (-.+?)(?:  |$)", options, re.MULTILINE):
            for name in re.findall(r"(?<!\S)--?[a-z][\w-]*", names):
                assert name in of_all or f"`{name}" in sections[seen[-1]], f"{seen[-1]} {name}"
        waiting += [[*words, name] for name in re.findall(r"^  ([\w-]+)", subcommands, re.MULTILINE)]
    assert sorted(seen) == sorted(sections)
    called = {" ".join(words[1:]) for words, command in reference.commands() if command.params}
    assert set(re.findall(r"^- `([\w -]+)`: ", json_keys, re.MULTILINE)) == called - {""}
    assert len(seen) > 30


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in _anchors(target), link


def test_the_manual_shows_the_till_as_it_is() -> None:
    till = (PROJECT / "examples" / "point_of_sale.py").read_text(encoding="utf-8")
    assert till in (PROJECT / "docs" / "python.md").read_text(encoding="utf-8")


def test_the_manual_names_every_decision_reason_and_error() -> None:
    answers = (PROJECT / "docs" / "getting-good-answers.md").read_text(encoding="utf-8")
    missing = [word for word in (*get_args(Decision), *get_args(DropReason)) if f"| `{word}` |" not in answers]
    python = (PROJECT / "docs" / "python.md").read_text(encoding="utf-8")
    errors = [name for name in shitu_edge.__all__ if name.endswith("Error")]
    missing += [name for name in errors if f"`{name}`" not in python]
    assert missing == []


def test_the_manual_shows_the_policy_of_the_built_in_bundle() -> None:
    page = (PROJECT / "docs" / "getting-good-answers.md").read_text(encoding="utf-8")
    manifest = Bundle.open("shitu-small").manifest
    ours, theirs = manifest.policy, DecisionPolicy()
    default = {field.name: field.default for field in fields(DetectorSpec)}
    rows = {
        "lowest detection score": (manifest.detector.score_threshold, default["score_threshold"]),
        "boxes looked at": (manifest.detector.max_boxes, default["max_boxes"]),
        "similarity that gets a name": (ours.similarity_threshold, theirs.similarity_threshold),
        "required lead over the next label": (ours.margin, theirs.margin),
        "nearest items that decide": (ours.neighbors, theirs.neighbors),
        "overlap (IoU) above which the weaker item is dropped": (ours.suppression_iou, theirs.suppression_iou),
    }
    assert [name for name, (a, b) in rows.items() if f"| {name} | {a:g} | {b:g} |" not in page] == []
    assert (ours.vote, theirs.vote, ours.whole_image, theirs.whole_image) == (False, False, "fallback", "always")


def test_the_architecture_is_that_of_the_folders() -> None:
    package = PROJECT / "shitu_edge"
    page = (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w./-]+(?:\.py|/))`", page))
    roots = [
        PROJECT,
        package,
        package / "gallery",
        PROJECT / "docs",
        PROJECT / "training",
        PROJECT / "export/shitu_edge_export",
    ]
    assert [path for path in named if not any((root / path).exists() for root in roots)] == []
    rooms = {path.name + "/" * path.is_dir() for path in package.iterdir() if not path.name.startswith((".", "_"))}
    assert {room for room in rooms if room.endswith((".py", "/"))} - named == set()


def test_pip_is_asked_only_for_what_is_published() -> None:
    """Neither distribution of this project is on PyPI: both are installed from the checkout."""
    published = {re.split(r"[^\w-]", line)[0].lower() for line in metadata.requires("shitu-edge") or ()}
    for path in [*PAGES, *PROJECT.glob("shitu_edge/**/*.py"), *PROJECT.glob("export/**/*.py")]:
        for command in re.findall(r"pip install ([^`\n)#]+)", path.read_text(encoding="utf-8")):
            words = iter(command.split())
            for word in words:
                if word in ("-r", "--requirement", "--only-binary", "--no-binary"):
                    next(words)  # its value
                elif not word.startswith("-"):
                    package = word.strip("'\",;.:")
                    known = package.startswith(("{", "[")) or package in ("", *published)
                    assert known, f"{path}: pip install {command}"
                    break


def _lay_out(folder: Path) -> None:
    """Put into a folder what the manual takes for the reader's own."""
    (folder / "examples").symlink_to(PROJECT / "examples")
    shutil.copytree(SAMPLES / "gallery", folder / "products")
    shutil.copytree(SAMPLES / "scenes", folder / "photos", ignore=shutil.ignore_patterns("*.json"))
    shutil.copy(SAMPLES / "scenes" / "counter.jpg", folder)
    shutil.copy(SAMPLES / "gallery" / "Oat drink 1 l" / "1.jpg", folder / "oat.jpg")
    (folder / "labeled").symlink_to(folder / "products")
    (folder / "new").mkdir()
    shutil.copy(folder / "oat.jpg", folder / "new")


def _calls(page: Path) -> Iterator[str]:
    """Yield the calls of `shitu-edge` in a page's shell blocks, also of those that are not run, and in its text."""
    start = rf"{reference.PROGRAM} "
    for block in blocks(page):
        if block.language == "sh":
            yield from (line.strip() for line in block.content.splitlines() if line.strip().startswith(start))
    yield from (" ".join(code.split()) for code in re.findall(rf"`({start}[^`]+)`", _without_blocks(page)))


def _options(command: Any) -> set[str]:
    return {"-h", "--help"}.union(*(param.opts + param.secondary_opts for param in command.params))


def _without_blocks(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as forges make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
