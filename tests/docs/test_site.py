"""The site that `make docs` builds: its menu, its search, and what it loads."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from rotation.cli.commands import rotation
from tests.artifacts.template import Template
from tests.docs.test_docs import DOCS, PAGES, ROOT_PAGES
from tests.paths import ROOT


def menu(entries: dict[str, Any]) -> Iterator[Path]:
    """Every page below an entry of the menu."""
    for subtree in entries.get("subtrees", []):
        for entry in subtree["entries"]:
            if "glob" in entry:
                yield from ROOT.glob(entry["glob"])
            else:
                yield ROOT / f"{entry['file']}.md"
                yield from menu(entry)


def test_every_page_has_one_place_in_the_menu() -> None:
    """A new page gets its line in docs/site/contents.yml, and in the table of docs/README.md."""
    contents = yaml.safe_load((DOCS / "site" / "contents.yml").read_text())
    listed = [ROOT / f"{contents['root']}.md", *menu(contents)]
    assert sorted(listed) == sorted([*ROOT_PAGES, *PAGES])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the site, built anew; a warning of Sphinx fails it."""
    folder = tmp_path_factory.mktemp("site")
    command = ["make", "docs", f"SITE={folder}"]
    built = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=900
    )
    assert (built.returncode, built.stderr) == (0, "")
    return folder


@pytest.mark.slow
class TestSite:
    """What readers get."""

    def test_it_opens_at_the_page_that_asks_who_the_reader_is(self, site: Path) -> None:
        """index.html leads to docs/README.html, without a server."""
        [target] = re.findall(r'url=([^"]+)"', (site / "index.html").read_text())
        assert "Who are you?" in (site / target).read_text()

    @pytest.mark.parametrize(
        ("stems", "page"),
        [
            (("awspend", "stuck"), "docs/runbooks/stuck-rotation"),
            (("leak",), "docs/runbooks/leaked-key"),
            (("cost",), "docs/cost"),
        ],
        ids=["AWSPENDING stuck", "leaked", "cost"],
    )
    def test_the_search_finds(self, site: Path, stems: tuple[str, ...], page: str) -> None:
        """The index, which lies beside the pages, has the words of the page that is looked for."""
        index = (site / "searchindex.js").read_text()
        found = json.loads(index.removeprefix("Search.setIndex(").removesuffix(")"))
        number = found["docnames"].index(page)
        for stem in stems:
            pages = [found[words].get(stem, []) for words in ("terms", "titleterms")]
            assert any(number in (few if isinstance(few, list) else [few]) for few in pages)

    def test_it_needs_no_network(self, site: Path) -> None:
        """No page, style or image loads anything from another place."""
        loads = r"<(?:script|img|link|iframe)\b[^>]*(?:src|href)=\"(?:https?:)?//[^\"]*"
        pages = sorted(site.rglob("*.html"))
        assert len(pages) > len(PAGES)
        assert [found for page in pages for found in re.findall(loads, page.read_text())] == []
        found = [one for kind in ("*.css", "*.svg") for one in site.rglob(kind)]
        styles = "".join(style.read_text() for style in found)
        assert re.findall(r"(?:url\(|@import )[\"']?(?:https?:)?//[^)]*", styles) == []

    def test_every_command_and_option_is_in_the_reference(self, site: Path) -> None:
        """Each command has its section, with its options and nothing that it does not take."""
        page = (site / "docs" / "commands.html").read_text()
        sections = dict(
            re.findall(r'<section id="(rotation[\w-]*)">(.*?)</section>', page, re.DOTALL)
        )
        for name, command in commands(rotation, "rotation"):
            told = sections.pop(name.replace(" ", "-"))
            options = [one for one in command.params if isinstance(one, click.Option)]
            names = {name for one in options for name in [*one.opts, *one.secondary_opts]}
            shown = re.findall(r"<dt>(.*?)</dt>", told, re.DOTALL)
            assert set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", " ".join(shown))) == names
        assert sections == {}

    def test_every_parameter_of_the_template_is_in_the_reference(self, site: Path) -> None:
        """Each has its place, with its default."""
        page = (site / "docs" / "parameters.html").read_text()
        named = re.findall(r"<dt><code[^>]*><span class=\"pre\">(\w+)</span></code></dt>", page)
        assert sorted(named) == sorted(Template.read().document["Parameters"])


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """The command and all below it, by name."""
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            assert found is not None
            yield from commands(found, f"{name} {below}")
