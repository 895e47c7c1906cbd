"""What README and docs say of the project: its folders, files, modules and links are there."""

import re
import subprocess
from pathlib import Path
from pkgutil import resolve_name

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PACKAGES = ("tstitch", "models", "samplers", "evaluation")
# Their one line says what their folders hold.
WITHOUT_FOLDERS = ("docs", "tests", "models/pretrained")
NAME = re.compile(rf"(?<![\w./-])(?:{'|'.join(PACKAGES)})(?:\.\w+)+")
PATH = re.compile(
    rf"(?<![\w./-])(?:configs|docs|scripts|tests|{'|'.join(PACKAGES)})/[\w.-]+(?:/[\w.-]+)*"
)
PLACEHOLDER = re.compile(r"\b[A-Z]+\b")  # as in configs/paper/NAME.yaml
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")


def tracked(*patterns: str) -> list[str]:
    """Files that git has or would add, from the root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in done.stdout.splitlines() if (ROOT / name).is_file()]


DOCUMENTS = tracked("*.md")


def test_the_tree_names_every_folder():
    """Catches: a room that is added, moved or removed without a word in the docs."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    [tree] = re.findall(r"## Folders\n\n```\n(.*?)```", text, re.DOTALL)
    named, above = [], []
    for line in tree.splitlines():
        indent, name = re.match(r"( *)([\w.]+)/ +\S", line).groups()
        above[len(indent) // 2 :] = [name]
        named.append("/".join(above))
    there = {
        folder.as_posix()
        for name in tracked()
        for folder in Path(name).parents
        if folder != Path(".") and not folder.as_posix().startswith(".")
    }
    below = {f for f in there for without in WITHOUT_FOLDERS if f.startswith(f"{without}/")}
    assert sorted(named) == sorted(there - below)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_names_of_modules_and_classes(document):
    """Catches: a module that moved and is still named by its old place."""
    keys = {
        f"evaluation.{key}"
        for path in (ROOT / "configs" / "evaluation").glob("*.yaml")
        for key in yaml.safe_load(path.read_text())
    }
    gone = []
    for name in sorted(set(NAME.findall((ROOT / document).read_text())) - keys):
        if name.endswith((".json", ".md", ".npz", ".py")) or PLACEHOLDER.search(name):
            continue
        try:
            resolve_name(name)
        except (ImportError, AttributeError):
            gone.append(name)
    assert not gone


def test_paths():
    """Catches: a file that moved and is still named by its old place, in comments too."""
    gone = {
        f"{place}: {path}"
        for place in tracked("*.md", "*.py", "*.yaml")
        for path in (path.rstrip(".") for path in PATH.findall((ROOT / place).read_text()))
        if not PLACEHOLDER.search(path) and not (ROOT / path).exists()
    }
    assert not gone


def anchors(path: Path) -> set[str]:
    """Names of the headings of a document, as GitHub links to them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links(document):
    """Catches: a link to a file that is not there, or to a heading that was renamed."""
    place = ROOT / document
    for path, anchor in LINK.findall(CODE.sub("", place.read_text())):
        target = place.parent / path if path else place
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


def test_the_index_names_every_page():
    """Catches: a page that no reader finds."""
    index = (ROOT / "docs" / "index.md").read_text()
    pages = [p.name for p in (ROOT / "docs").iterdir() if p.suffix in (".md", ".ipynb")]
    assert not [name for name in pages if name != "index.md" and f"({name})" not in index]


def test_files_of_clusters():
    """Catches: a file that is no YAML, a pod that is no worker, a command that is gone."""
    files = {p.stem: yaml.safe_load(p.read_text()) for p in (ROOT / "docs/cluster").glob("*.yaml")}
    job = files["kubernetes"]["spec"]
    assert job["completionMode"] == "Indexed" and job["completions"] == job["parallelism"] > 1
    [container] = job["template"]["spec"]["containers"]
    assert (ROOT / container["command"][-1]).is_file()
    assert files["skypilot"]["run"].split()[1] == container["command"][-1]
