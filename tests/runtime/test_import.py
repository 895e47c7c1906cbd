"""`from tstitch import load` wherever it is written: the packages found are this project's."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLACES = """
from tstitch import load
import evaluation, models, samplers
print(*(module.__file__ for module in (evaluation, models, samplers)))
"""
SAMPLE = f"""{PLACES}
words = [f"pair.denoisers.{{name}}.weights=random" for name in ("small", "large")]
print(load("fashion_mnist", "sampler.steps=2", *words)([0]).shape)
"""


def run(folder: Path, *arguments: str, path: Path = ROOT) -> subprocess.CompletedProcess:
    """Python in a folder; the clone is on the path as an installation would put it: last."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    (folder / "site").mkdir(exist_ok=True)
    sites = [str(path), *(entry for entry in sys.path if entry.endswith("-packages"))]
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment | {"PYTHONPATH": os.pathsep.join(sites), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def shadows(tmp_path) -> Path:
    """A project with files of our packages' names, as DiT's own checkout has."""
    (tmp_path / "models.py").write_text("DiT_models = {}\n")
    (tmp_path / "samplers.py").write_text("raise SystemExit('of another project')\n")
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation" / "__init__.py").write_text("")
    return tmp_path


@pytest.mark.parametrize("start", ["script", "-c"])
def test_in_a_folder_with_files_of_our_names(shadows, start):
    """Catches: ModuleNotFoundError, or another project's code run, because the current folder comes
    first."""
    (shadows / "script.py").write_text(SAMPLE)
    done = run(shadows, *(["script.py"] if start == "script" else ["-c", PLACES]))
    assert done.returncode == 0, done.stderr
    names = ("evaluation", "models", "samplers")
    places = " ".join(str(ROOT / name / "__init__.py") for name in names)
    assert done.stdout == places + ("\n(1, 28, 28, 3)\n" if start == "script" else "\n")


def test_a_models_folder_of_another_project(tmp_path):
    """Catches: FileNotFoundError for the digests of the shipped weights."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").write_text("")
    code = "from tstitch.pair.weights import shipped_digests; print(len(shipped_digests()) > 0)"
    done = run(tmp_path, "-c", code)
    assert done.stdout == "True\n", done.stderr


def test_a_package_that_is_in_use_is_named(shadows):
    """Catches: an error deep in an import that does not say what is in the way."""
    done = run(shadows, "-c", "import models; from tstitch import load")
    line = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1 and line.startswith("ImportError: tstitch has a package models, ")
    assert f"({shadows / 'models.py'}): import tstitch before it" in line


def test_above_a_clone_called_tstitch(tmp_path):
    """Catches: "unknown location", the clone's folder taken for the package."""
    (tmp_path / "tstitch").symlink_to(ROOT)
    done = run(tmp_path, "-c", "from tstitch import load; print(load.__module__)")
    assert (done.stdout, done.stderr) == ("tstitch.api\n", "")


@pytest.mark.slow
def test_editable_installation_above_a_clone_called_tstitch(tmp_path):
    """Catches: an installation that finds our packages only after every folder on the path."""
    venv.create(tmp_path / "venv", with_pip=True)
    own = next((tmp_path / "venv" / "lib").glob("python*")) / "site-packages"
    sites = [entry for entry in sys.path if entry.endswith("-packages")]
    (own / "others.pth").write_text("\n".join(sites) + "\n")
    clone = tmp_path / "tstitch"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    install = [python, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "-e"]
    subprocess.run([*install, str(clone)], check=True)
    code = "import tstitch; print(tstitch.__file__, tstitch.__version__, tstitch.load.__module__)"
    done = subprocess.run([python, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    version = done.stdout.split()[1] if done.stdout else done.stderr
    assert done.stdout == f"{clone / 'tstitch' / '__init__.py'} {version} tstitch.api\n"


def test_run_from_a_clone_that_is_not_installed(tmp_path):
    """Catches: PackageNotFoundError when all images have been sampled."""
    words = [f"pair.denoisers.{name}.weights=random" for name in ("small", "large")]
    words += ["sampler.steps=2", "run.num_images=4", "run.device=cpu", "evaluation=none"]
    clone = tmp_path / "clone"  # no metadata beside the packages, as an installation has
    clone.mkdir()
    for name in ("tstitch", "models", "samplers", "evaluation", "configs", "scripts"):
        (clone / name).symlink_to(ROOT / name)
    script = str(clone / "scripts" / "sample.py")
    code = (
        "import importlib.metadata as m, runpy, sys\n"
        "real = m.version\n"
        "def version(name):\n"
        "    if name == 'tstitch': raise m.PackageNotFoundError(name)\n"
        "    return real(name)\n"
        "m.version = version\n"
        f"sys.argv = [{script!r}, *{words!r}, 'run.dir=run']\n"
        f"runpy.run_path({script!r}, run_name='__main__')\n"
    )
    done = run(tmp_path, "-c", code, path=clone)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "report.md").is_file()


def test_a_script_of_another_clone_is_refused(tmp_path):
    """Catches: the code and weights of the installed clone in place of the one that was meant."""
    other = tmp_path / "other"
    for name in ("tstitch/__init__.py", "scripts/sample.py"):
        (other / name).parent.mkdir(parents=True)
        (other / name).write_text((ROOT / name).read_text())
    done = run(tmp_path, str(other / "scripts" / "sample.py"), "run.num_images=2")
    assert done.returncode == 2 and not list(tmp_path.glob("runs/*"))
    (line,) = done.stderr.strip().splitlines()
    assert f"lies in {other}" in line and str(ROOT) in line and f"PYTHONPATH={other}" in line
