"""What a long work says of itself, in a file and on a terminal."""

import os
import pty
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
WORK = """
import logging
from tstitch.runtime.progress import Progress
logging.basicConfig(format="%(message)s", level=logging.INFO)
with Progress("sampling", "images", 300, 60) as progress:
    for done in range(61, 301):
        progress.reach(done)
        if done == 200:
            progress.note("mse 0.1")
    progress.reach(250)
print("end", flush=True)
"""


def run(stderr) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", WORK]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=stderr, text=True)


def test_a_file_gets_lines():
    """Catches: carriage returns in log files, a line per batch, a rate that counts what was there
    before, a time left of a work that is done."""
    text = run(subprocess.PIPE).stderr
    lines = text.splitlines()
    assert "\r" not in text and len(lines) == 16, text
    assert lines[0].startswith("sampling: 75 of 300 images (25 %), ") and lines[0].endswith(" left")
    assert lines[-1].startswith("sampling: 300 of 300 images (100 %), ")
    assert "left" not in lines[-1] and lines[-1].endswith("/s, mse 0.1")


def test_a_terminal_gets_a_bar():
    """Catches: a bar that begins at nothing, or whose line the next output goes on with."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(ours, (24, 100))
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        assert run(theirs).stdout == "end\n"
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # how the other end being closed is told
            while part := terminal.read(1000):
                shown += part
    text = shown.decode()
    first = next(part for part in text.split("\r") if part.strip())
    assert "60/300" in first, text
    assert "300/300" in text and "mse 0.1" in text and text.endswith("\r\n")
