"""The rules that keep the code readable, as tests: dependencies, sizes, globals, configurations."""

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import hydra
import pytest
import yaml
from omegaconf import OmegaConf

from tstitch.config.cli import CONFIGS, to_plain

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("tstitch", "models", "samplers", "evaluation")
LOWER = {"models", "samplers", "evaluation"}
MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_SCRIPT_LINES = 400, 60, 30
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))
# tstitch.config.cli.instantiate hands a section's keys on to the class that the section names.
# What stands in for methods of diffusers takes what they take.
KEYWORDS_ALLOWED = {
    ("tstitch/config/cli.py", "instantiate"),
    ("tstitch/pipeline_runs/decoding.py", "marked"),
    ("tstitch/pipelines/hook.py", "new_forward"),
    ("tstitch/pipelines/recorder.py", "step"),
    ("tstitch/pipelines/together.py", "method"),
    ("tstitch/pipelines/together.py", "_compile"),
    ("tstitch/pipelines/together.py", "_cache_context"),
}
# Modules that import a package of an extra.
OF_EXTRAS = {"tstitch.demo.page": "gradio", "tstitch.demo.serving": "gradio"}
DRAWS = {"rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial"}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def source_of(node: ast.ImportFrom, path: Path) -> str:
    """The module that `from ... import` names, dots in front of it resolved."""
    folders = path.relative_to(ROOT).parts[: -node.level] if node.level else ()
    return ".".join([*folders, *([node.module] if node.module else [])])


@cache
def imports(path: Path) -> frozenset[str]:
    """Dotted names that a file imports, inside functions too; `from a import b` gives a and a.b."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = source_of(node, path)
            found.add(source)
            found.update(f"{source}.{alias.name}" for alias in node.names)
    return frozenset(found)


def within(name: str, modules: Sequence[str]) -> bool:
    """Whether a name is one of the modules, or something in it."""
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def importers(*modules: str) -> set[str]:
    """Files of packages and scripts that import one of the modules, or something in it."""
    return {
        name_of(path)
        for path in (*FILES, *SCRIPTS)
        for name in imports(path)
        if within(name, modules)
    }


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def dotted(node: ast.AST) -> str:
    """`torch.distributed.barrier` of such an expression, '' of any other."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def test_every_package_is_seen():
    """Catches: rules that hold because a renamed folder is empty."""
    assert {path.relative_to(ROOT).parts[0] for path in FILES} == set(PACKAGES)
    assert SCRIPTS and len(FILES) > 30


@pytest.mark.parametrize("package", sorted(LOWER))
def test_lower_packages_stand_alone(package):
    """Catches: a sampler that knows a network, a metric that knows a run directory."""
    forbidden = {*PACKAGES, "scripts"} - {package}
    for path in (ROOT / package).rglob("*.py"):
        used = {name.split(".")[0] for name in imports(path)} & forbidden
        assert not used, f"{name_of(path)} imports {', '.join(used)}"


def test_scripts_and_tests_are_imported_by_nothing():
    """Catches: logic that lives in an entry point."""
    assert not importers("scripts", "tests")


def test_scripts_only_know_the_application():
    """Catches: entry points that reach past tstitch."""
    assert not importers(*LOWER) & {name_of(path) for path in SCRIPTS}


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_scripts_are_short(path):
    """Catches: logic that no other code can call."""
    assert len(path.read_text().splitlines()) < MAX_SCRIPT_LINES


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def needs() -> dict[str, set[str]]:
    """Modules that each module imports, inside functions too."""
    modules = {module_of(path): path for path in FILES}
    edges = {}
    for module, path in modules.items():
        found = imports(path) & modules.keys()
        # `from package import submodule` needs the submodule, not what else the package imports.
        packages = {name for name in found if modules[name].name == "__init__.py"}
        found -= {p for p in packages if only_submodules(path, p, modules)}
        edges[module] = found - {module}
    return edges


def check_no_cycle(edges: dict[str, set[str]]) -> None:
    finished: set[str] = set()

    def visit(node: str, trail: tuple[str, ...]) -> None:
        assert node not in trail, " -> ".join((*trail, node))
        if node not in finished:
            for follower in sorted(edges[node]):
                visit(follower, (*trail, node))
            finished.add(node)

    for node in edges:
        visit(node, ())


def test_no_import_cycles():
    """Catches: two files that need each other, also through imports inside functions."""
    check_no_cycle(needs())


def room_of(module: str, package: str) -> str | None:
    """The folder directly in a package that holds a module; the package itself of its own files."""
    if module != package and not module.startswith(f"{package}."):
        return None
    room = ".".join(module.split(".")[: package.count(".") + 2])
    return room if (ROOT / room.replace(".", "/")).is_dir() else package


# Packages with folders of their own.
WITH_ROOMS = sorted(
    {module_of(path.parent.parent / "__init__.py") for path in FILES if path.name == "__init__.py"}
    - {""}
)


@pytest.mark.parametrize("package", WITH_ROOMS)
def test_no_cycles_of_folders(package):
    """Catches: rooms that need each other, each file of which is in no cycle."""
    edges: dict[str, set[str]] = {}
    for module, followers in needs().items():
        room, *others = (room_of(name, package) for name in (module, *followers))
        if room is not None:
            edges.setdefault(room, set()).update({*others} - {room, None})
    assert len(edges) > 1
    check_no_cycle(edges)


# What knows a maker of images by its protocol alone.
MACHINERY = ("maker", "run", "sweep", "benchmark", "scoring", "schedules", "notebook", "demo")
NETWORKS_AND_SAMPLERS = ("samplers", "models", "tstitch.pair", "tstitch.sampling")
# Noise by index, schedules of steps, and files of weights are neither.
NEITHER = (
    "samplers.randomness", "samplers.stitch", "models.download", "tstitch.pair.weights",
    "tstitch.pair.presence",
)  # fmt: skip
# What a benchmark compares our denoisers with.
COMPARED = {"tstitch/benchmark/peers.py", "tstitch/benchmark/diffusers_dit.py"}


def test_runs_know_neither_network_nor_sampler():
    """Catches: a run, sweep, report, score or benchmark that works for one maker of images only."""
    found = {
        (name_of(path), name)
        for room in MACHINERY
        for path in (ROOT / "tstitch" / room).rglob("*.py")
        for name in imports(path)
        if within(name, NETWORKS_AND_SAMPLERS) and not within(name, NEITHER)
    }
    assert {path for path, _ in found} == COMPARED, found


@pytest.mark.parametrize(("package", "beside"), [("evaluation", set()), ("tstitch", {"api.py"})])
def test_packages_are_rooms(package, beside):
    """Catches: files that pile up again beside the rooms."""
    assert {path.name for path in (ROOT / package).glob("*.py")} == {"__init__.py"} | beside


def only_submodules(path: Path, package: str, modules: dict[str, Path]) -> bool:
    """True if a file takes nothing but submodules from a package."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and source_of(node, path) == package:
            if any(f"{package}.{alias.name}" not in modules for alias in node.names):
                return False
        elif isinstance(node, ast.Import) and any(a.name == package for a in node.names):
            return False
    return True


def test_one_home_of_torch_distributed():
    """Catches: a collective outside the file that knows about plain python."""
    home = {"tstitch/runtime/distributed.py"}
    assert importers("torch.distributed") == home
    for path in (*FILES, *SCRIPTS):
        uses = [n for n in ast.walk(tree(path)) if dotted(n).startswith("torch.distributed")]
        assert not uses or name_of(path) in home, f"{name_of(path)}:{uses[0].lineno}"


def test_one_home_of_hydra():
    """Catches: DictConfig objects that wander through the application."""
    assert {n for n in importers("hydra", "omegaconf") if not n.startswith("scripts/")} == {
        "tstitch/config/cli.py"
    }


def test_one_home_of_wandb():
    """Catches: tracking calls all over the place."""
    assert len(importers("wandb")) <= 1


def test_files_and_functions_are_short():
    """Catches: files and functions that no screen holds."""
    for path in [*FILES, *SCRIPTS]:
        assert len(path.read_text().splitlines()) <= MAX_FILE_LINES, name_of(path)
        for node in functions(path):
            lines = node.end_lineno - node.lineno + 1
            assert lines <= MAX_FUNCTION_LINES, f"{name_of(path)}: {node.name}"


def test_signatures_name_their_arguments():
    """Catches: **kwargs, which swallow a misspelt argument."""
    for path in [*FILES, *SCRIPTS]:
        found = {(name_of(path), node.name) for node in functions(path) if node.args.kwarg}
        assert found <= KEYWORDS_ALLOWED


def test_no_edits_of_the_import_path():
    """Catches: sys.path changed so that imports work from one directory only."""
    for path in [*FILES, *SCRIPTS]:
        assert all(dotted(node) != "sys.path" for node in ast.walk(tree(path))), name_of(path)


def test_source_is_ascii_and_says_what_it_is():
    """Catches: a file without a docstring, look-alike characters in code."""
    for path in FILES:
        assert path.read_text(encoding="utf-8").isascii(), name_of(path)
        assert path.name == "__init__.py" or ast.get_docstring(tree(path)), name_of(path)


@pytest.mark.parametrize("path", sorted((ROOT / "samplers").rglob("*.py")), ids=name_of)
def test_samplers_draw_from_generators(path):
    """Catches: torch's or numpy's global generator, which knows nothing of an image's index."""
    for node in ast.walk(tree(path)):
        name = dotted(node.func) if isinstance(node, ast.Call) else ""
        module, _, function = name.rpartition(".")
        where = f"{name_of(path)}:{getattr(node, 'lineno', 0)}: {name}"
        if module == "torch":
            assert not function.endswith("_like") or not function.startswith("rand"), where
            if function in DRAWS:
                assert any(k.arg == "generator" for k in node.keywords), where
            assert function not in ("manual_seed", "seed"), where
        if module in ("np.random", "numpy.random"):
            assert function in ("default_rng", "Generator", "PCG64", "SeedSequence"), where
            assert node.args or node.keywords, where
    assert "random" not in imports(path)


IMPORT_ALL = """
import contextlib, importlib, io, logging, os, sys
import numpy as np
import torch, timm.layers, timm.models.vision_transformer, tqdm, hydra  # may do as they like
import diffusers.hooks, diffusers.modular_pipelines  # too

def state():
    return {
        "dtype": torch.get_default_dtype(), "device": torch.get_default_device(),
        "precision": torch.get_float32_matmul_precision(), "grad": torch.is_grad_enabled(),
        "cudnn": (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "threads": torch.get_num_threads(), "rng": torch.get_rng_state().sum().item(),
        "numpy": np.random.get_state()[1].sum(), "environment": dict(os.environ),
        "path": list(sys.path), "log": (logging.root.level, len(logging.root.handlers)),
        "hook": sys.excepthook, "cwd": os.getcwd(), "streams": (sys.stdout, sys.stderr),
    }

before = state()
for name in sys.argv[1:]:
    importlib.import_module(name)
after = state()
print([key for key in before if before[key] != after[key]])
"""


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_importing_prints_and_changes_nothing():
    """Catches: a precision, a seed, a handler or an environment variable set by an import."""
    missing = {name for name, extra in OF_EXTRAS.items() if find_spec(extra) is None}
    done = run_python(IMPORT_ALL, *({module_of(path) for path in FILES} - missing))
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", ""), done.stderr


def test_heavy_imports_wait():
    """Catches: a command line that spends its first seconds on what it may not need."""
    heavy = ["diffusers", "transformers", "matplotlib", "wandb", "scipy", "pandas", "gdown"]
    code = f"import sys, tstitch.run.generate; print([m for m in {heavy} if m in sys.modules])"
    done = run_python(code)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_command_line_is_parsed_without_torch():
    """Catches: seconds of waiting for --help or for a misspelt key."""
    code = "import sys, tstitch.config.cli; print('torch' in sys.modules)"
    assert run_python(code).stdout == "False\n"


def test_nothing_of_ours_is_ignored_by_git():
    """Catches: a pattern such as data/ that keeps configs/data out of every clone."""
    files = [*FILES, *SCRIPTS, *CONFIGS.rglob("*.yaml"), *(ROOT / "tests").rglob("*.py")]
    command = ["git", "check-ignore", *(name_of(path) for path in files)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == ""


PLAIN = {"hydra", "miniature", "paper", "scale"}  # groups of values alone
ROOTS = sorted(path.stem for path in CONFIGS.glob("*.yaml"))


def defaults_of(root: str) -> list:
    return yaml.safe_load((CONFIGS / f"{root}.yaml").read_text()).get("defaults", [])


def own_groups(root: str) -> list[str]:
    """Configuration groups in the defaults of a root file, `optional` and `override` aside."""
    entries = [entry for entry in defaults_of(root) if isinstance(entry, dict)]
    names = [name.split()[-1] for entry in entries for name in entry]
    return [name.removeprefix("/").split("@")[0] for name in names]


def groups_of(root: str) -> list[str]:
    """Also those of root files that are included."""
    included = [name for entry in defaults_of(root) if entry in ROOTS for name in groups_of(entry)]
    return own_groups(root) + included


def chooses_sampler(path: Path) -> bool:
    """Whether a pair brings its own sampler, which roots that do not sample have no place for."""
    if path.parent.name not in ("pair", "shared"):
        return False
    defaults = yaml.safe_load(path.read_text()).get("defaults", [])
    shared = [entry.split("@")[0] for entry in defaults if isinstance(entry, str)]
    return any("override /sampler" in name for entry in defaults for name in entry) or any(
        chooses_sampler(path.parent / f"{name}.yaml") for name in shared if name != "_self_"
    )


# Of groups that a root has from `sample`, the first option is enough.
OPTIONS = [
    (root, group, path.stem)
    for root in ROOTS
    for group in groups_of(root)
    if group != "hydra"
    for number, path in enumerate(sorted((CONFIGS / group).glob("*.yaml")))
    if number == 0 or group in own_groups(root)
    # `evaluation=pair` hands on what a pair includes.
    if (group, path.stem) != ("evaluation", "pair") or "pair" in groups_of(root)
    if "sampler" in groups_of(root) or not chooses_sampler(path)
]


def composed(root: str, overrides: list[str]) -> dict:
    """The configuration, every value that must be given being 1."""
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = hydra.compose(root, overrides)
        if missing := OmegaConf.missing_keys(config):
            config = hydra.compose(root, [*overrides, *(f"{key}=1" for key in missing)])
        return to_plain(config)


def sections(config) -> Iterator[dict]:
    """Mappings with a `_target_`, at any depth."""
    if isinstance(config, dict):
        if "_target_" in config:
            yield config
        config = list(config.values())
    if isinstance(config, list):
        for value in config:
            yield from sections(value)


def check_targets(config: dict) -> int:
    """Every `_target_` must exist and know the keys beside it."""
    count = 0
    for section in sections(config):
        target = hydra.utils.get_object(section["_target_"])
        known = inspect.signature(target).parameters
        unknown = {key for key in section if not key.startswith("_")} - known.keys()
        assert not unknown, f"{section['_target_']}: {unknown}"
        assert "**kwargs" not in known
        count += 1
    return count


@pytest.mark.parametrize("root", ROOTS)
def test_root_has_a_script_and_composes(root):
    """Catches: a root file that no script uses, a group that was renamed."""
    assert (ROOT / "scripts" / f"{root}.py").is_file()
    # Without groups there is nothing to choose a class for.
    assert check_targets(composed(root, [])) > 0 or not set(groups_of(root)) - PLAIN


@pytest.mark.parametrize(("root", "group", "option"), OPTIONS)
def test_option_composes(root, group, option):
    """Catches: a file of configs/ that rots because no test runs it, a misspelt _target_ or key."""
    check_targets(composed(root, [f"{group}={option}"]))


@pytest.mark.parametrize("option", sorted(p.stem for p in (CONFIGS / "denoiser").glob("*.yaml")))
def test_denoiser_composes(option):
    """Catches: a denoiser that no pair names, and a _target_ of it that does not exist."""
    config = composed("sample", [f"denoiser@pair.denoisers.small={option}"])
    keys = config["pair"]["denoisers"]["small"].keys()
    assert keys - {"process"} == {"network", "weights", "sha256"}
    assert check_targets(config) > 0


def test_every_option_is_covered():
    """Catches: a group that no root file offers, whose files are dead."""
    used = {group for _, group, _ in OPTIONS} | {"hydra", "denoiser"}
    assert {path.name for path in CONFIGS.iterdir() if path.is_dir()} == used
