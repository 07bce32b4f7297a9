"""The README shows what is true: its example runs, its links lead somewhere, its figures are filled in."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = ["README.md", "CONTRIBUTING.md", *(p.relative_to(ROOT).as_posix() for p in ROOT.glob("docs/*.md"))]


def test_example_runs(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert blocks
    for block in blocks:
        assert len(block.splitlines()) <= 12
        done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stdout.strip()


def test_is_short() -> None:
    assert len(README.splitlines()) <= 150


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files(document: str) -> None:
    path = ROOT / document
    text = path.read_text(encoding="utf-8")
    targets = [t for t in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in t]
    missing = [t for t in targets if not (path.parent / t).exists()]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS)
def test_named_files_exist(document: str) -> None:
    """A path in code type, such as `envs/tasks/reach.py`, is one that can be opened."""
    text = (ROOT / document).read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|md|sh|toml|xml|txt))`", text))
    missing = {n for n in named if not (ROOT / n).exists()}
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_figure_is_missing(document: str) -> None:
    assert "@" * 2 not in (ROOT / document).read_text(encoding="utf-8")
