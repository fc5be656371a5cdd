"""What the README shows, runs: its Python, its two commands, its pictures."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from minigan.training import extensions, triggers

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("code", BLOCKS, ids=[f"block{i}" for i in range(len(BLOCKS))])
def test_python_blocks_print_what_their_comments_say(code, tmp_path):
    command, env = [sys.executable, "-W", "error", "-c", code], {**os.environ, "MINIGAN_OFFLINE": "1"}
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=env)
    assert result.returncode == 0, result.stderr
    expected = re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)
    assert expected and result.stdout.splitlines() == expected


def test_every_extension_and_trigger_is_named():
    modules = {"snapshot_writers", "util"}
    assert {*extensions.__all__, *triggers.__all__} - modules <= set(re.findall(r"`(\w+)`", TEXT))


def test_pictures_exist():
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", TEXT):
        assert (ROOT / picture).stat().st_size < 300_000


def test_the_two_commands_stand_there_for_ci():
    assert '\n    python -m pip install -e ".[test]" && minigan train\n' in TEXT
    assert "\n    python -m pytest\n" in TEXT
