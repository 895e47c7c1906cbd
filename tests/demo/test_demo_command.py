"""The command before there is a page: bad settings, no Gradio."""

import pytest

HIDDEN = 'raise ModuleNotFoundError("No module named gradio", name="gradio")\n'


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("demo.port=70000", "error: demo.port=70000: choose a whole number from 0 to 65535"),
        ("demo.fractions=[0,2]", "error: demo.fractions=[0, 2]: give a list of numbers"),
        ("stitch.fraction=0.3", "error: stitch.fraction=0.3: fractions are chosen by demo"),
        ("pair=nothing", "error: pair=nothing: choose one of"),
        ("", "error: gradio: is not installed; run pip install -e '.[demo]'"),
    ],
)
def test_one_line(run_script, environment, tmp_path, word, line, monkeypatch):
    """Catches: a traceback, or a page that opens and cannot work."""
    (tmp_path / "gradio.py").write_text(HIDDEN)
    monkeypatch.setitem(environment, "PYTHONPATH", str(tmp_path))
    done = run_script("demo.py", *([word] if word else []))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(line) and done.stderr.count("\n") == 1
