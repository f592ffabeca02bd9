"""The pages: one for each flow, every command in them can be typed, every link leads somewhere."""

import re
import shlex

import pytest

from deployments.cli import _parameters, _parser
from deployments.flow_runner import check_parameters, known_flows
from deployments.prefect_yaml import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
INDEX = ROOT / "docs" / "README.md"
# In prose and in blocks: from the word to the end of the code, of the line or its comment.
COMMAND = re.compile(r"(?:^|[`\s/])(nightshift (?:[a-z]+)(?: [^`\n#]*)?)(?:`|\n|#)")


def commands():
    found = []
    for page in PAGES:
        text = page.read_text().replace("\\\n", " ")
        code = re.findall(r"`[^`\n]+`|^ {4,}\S.*\n", text, re.MULTILINE)
        found += [(page.name, match) for piece in code for match in COMMAND.findall(piece)]
    return found


@pytest.mark.parametrize(("page", "command"), commands())
def test_every_command_of_a_page_can_be_typed(page, command):
    words = shlex.split(command)[1:]
    try:
        # A command that is only named, without its arguments, must be there.
        options = _parser().parse_args(words if words[1:] else [*words, "--help"])
    except SystemExit as ended:
        if ended.code:
            pytest.fail(f"{page}: '{command}' is no command")
        return
    if words[0] == "run":
        check_parameters(options.flow, _parameters(options.parameters))


def test_the_pages_name_many_commands():
    assert {command.split()[1] for _, command in commands()} >= {"init", "check", "run", "deploy", "backups"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_and_every_named_page_is_there(page):
    text = page.read_text()
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert "://" in link or (page.parent / link).exists(), link
    for named in re.findall(r"`(docs/[a-z_]+\.md)`", text):
        assert (ROOT / named).exists(), named


@pytest.mark.parametrize("name", known_flows())
def test_every_flow_has_a_page_that_names_its_parameters(name):
    text = (ROOT / "docs" / f"{name}.md").read_text()
    for key in check_parameters(name, {"system": "demo"}).parameters.properties:
        assert re.search(rf"`[^`\n]*\b{key}\b|^ {{4,}}.*\b{key}=", text, re.MULTILINE), f"{name}.md does not name {key}"


def test_the_index_and_the_readme_lead_to_every_page():
    listed = re.findall(r"\]\(([a-z_]+\.md)\)", INDEX.read_text())
    assert sorted(listed) == sorted(page.name for page in PAGES if page.parent == INDEX.parent and page != INDEX)
    assert "docs/README.md" in (ROOT / "README.md").read_text()
