"""Command lines: Hydra composes the configuration, every bad input ends in one line and exit 2.

The only file of the application that knows Hydra and OmegaConf.
"""

import difflib
import inspect
import io
import logging
import os
import pydoc
import re
import shlex
import string
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from contextlib import ExitStack, nullcontext, redirect_stderr, redirect_stdout
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from tstitch.config.keys import dotted_keys
from tstitch.runtime import launched, lifeline, siblings, threads, workers
from tstitch.runtime.errors import UserError

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
RESUMING = ("sample", "sweep", "reproduce", "train", "train_text", "distil")
SHARED = "sample"  # the command whose work independent processes share out
SWEEPS = "runs/multirun"  # as in configs/hydra/quiet.yaml
RANK = int(os.environ.get("RANK", "0"))
WORLD_SIZE = int(os.environ.get("WORLD_SIZE", "1"))
log = logging.getLogger(__name__)
QUOTING = "cannot be parsed; quote values that hold = ~ , # & ! ' ( ) [ ] or { }: "
PLAIN = frozenset(string.ascii_letters + string.digits + "_./-+%@: ")  # need no quotes
CONFIG_ERRORS = (HydraException, OmegaConfBaseException)


def command(config_name: str, task: str) -> None:
    """Runs a task on the composed configuration and exits with its code.

    Args:
        config_name: root file in configs/, without its ending.
        task: MODULE:FUNCTION; gets plain dicts and lists, raises UserError for bad input. It is
            imported, and torch with it, only once the command line is understood.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises instead of printing and exiting
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    _start_log()
    lifeline.end_with_parent()
    threads.prepare_command()
    sys.argv[1:] = map(_quoted, sys.argv[1:])
    captured = io.StringIO()
    failures: list[BaseException] = []
    try:
        _refuse_another_clone(sys.argv[0])
        if config_name != SHARED:
            workers.refuse_tasks(config_name)
        with ExitStack() as streams, tempfile.TemporaryDirectory() as scratch:
            _arrange_output(streams, captured, scratch)
            run = _Job(config_name, task, streams, failures)
            hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name=config_name)(run)()
        if failures:
            raise failures[0]
        _leave()
    except UserError as error:
        _end(str(error))
    except CONFIG_ERRORS as error:
        _end(describe(error, config_name))
    except ValueError as error:
        if failures:  # a defect of the task, not what Hydra says of its arguments
            raise
        _end(describe(error, config_name))
    except RuntimeError as error:
        if failures:
            raise
        _end(launched.one_line(error), 1)
    except SystemExit as stop:  # argparse: an unknown --flag
        if stop.code:
            _end(captured.getvalue().strip().splitlines()[-1].split("error: ")[-1])
    except KeyboardInterrupt:
        if RANK == 0 and config_name in RESUMING:
            print("stopped; the same command goes on from here", file=sys.stderr, flush=True)
        sys.exit(130)


class _Job:
    """What Hydra calls for each point: here, or away in a process of a launcher that pickles it.

    Such a process pickles it again to be queued once more.
    """

    _away = _submits = False

    def __init__(
        self, config_name: str, task: str, streams: ExitStack, failures: list[BaseException]
    ) -> None:
        self._config_name, self._task = config_name, task
        self._streams, self._failures = streams, failures

    def __call__(self, config: DictConfig) -> None:
        if self._away:
            self._run_away(config)
            return
        self._streams.close()
        try:
            if not self._failures:  # of a multirun, the jobs after a failed one are left out
                self._run(config)
        except BaseException as error:  # kept from Hydra, which would print it itself
            self._failures.append(error)

    def __getstate__(self) -> dict[str, Any]:
        if WORLD_SIZE > 1:
            raise UserError("hydra/launcher: one process submits the jobs; leave torchrun out")
        if not (self._away or self._submits) and "submitit" in sys.modules:
            self._submits = True
            log.info("jobs are submitted; their logs: .submitit/ in hydra.sweep.dir (%s)", SWEEPS)
        return {"_config_name": self._config_name, "_task": self._task, "_away": True}

    def _run(self, config: DictConfig) -> None:
        threads.announce()
        plain = to_plain(config)
        resolve_name(self._task)(plain)

    def _run_away(self, config: DictConfig) -> None:
        _start_log()
        try:
            if self._config_name != SHARED:
                workers.refuse_tasks(self._config_name)
            self._run(config)
        except (UserError, *CONFIG_ERRORS) as error:
            message = str(error)
            if not isinstance(error, UserError):
                message = describe(error, self._config_name)
            print(f"error: {message}", file=sys.stderr)
            launched.failed(2)
            raise UserError(message) from None  # for who submitted it
        except Exception as error:
            traceback.print_exc()
            launched.failed(1)
            raise RuntimeError(f"{type(error).__name__}: {error}; see the job's log") from None


def _start_log() -> None:
    logging.basicConfig(format="%(message)s")
    logging.getLogger("tstitch").setLevel(logging.ERROR if RANK else logging.INFO)


def _refuse_another_clone(script: str) -> None:
    clone = siblings.other_clone(script)
    if clone is not None:
        raise UserError(
            f"{script}: lies in {clone}, but the tstitch that is installed is {siblings.ROOT}'s; "
            f"run pip install -e . there, or set PYTHONPATH={clone}"
        )


def compose(config_name: str, overrides: list[str]) -> dict[str, Any]:
    """The configuration that the command line with these overrides would see.

    Raises:
        UserError: an override that Hydra refuses.
    """
    # Within a command Hydra is at work on this same folder already.
    inside = GlobalHydra.instance().is_initialized()
    try:
        with (
            nullcontext()
            if inside
            else hydra.initialize_config_dir(str(CONFIGS), version_base="1.3")
        ):
            return to_plain(hydra.compose(config_name, [*map(_quoted, overrides)]))
    except (*CONFIG_ERRORS, ValueError) as error:
        raise UserError(describe(error, config_name)) from error


def given_words() -> list[str]:
    """Within a command its overrides as they were typed; of a multirun, those of this job."""
    return [*HydraConfig.get().overrides.task]


def chosen_option(group: str) -> str:
    """Within a command the file of a configuration group that it was given, or its default."""
    return str(HydraConfig.get().runtime.choices[group])


def options(group: str) -> list[str]:
    """Within a command the files of a configuration group, those of --config-dir included."""
    loader = GlobalHydra.instance().config_loader()
    return sorted(loader.get_group_options(group, ObjectType.CONFIG))


def override(key: str, value: str) -> str:
    """An override that gives a key this very text, whatever characters it holds."""
    # Backslashes count only before a quotation mark, and the closing one is one too.
    escaped = re.sub(r'(\\+)("|$)', r"\1\1\2", value).replace('"', r"\"")
    return f'{key}="{escaped}"'


def _quoted(word: str) -> str:
    """Quotes a value that Hydra's grammar has no letters for but that cannot mean anything else."""
    key, _, value = word.partition("=")
    others = set(value) - PLAIN
    plain = others and not any(letter.isascii() for letter in others)
    return override(key, value) if plain and key.isascii() else word


def _quoting(word: str) -> str:
    """What to write in place of an override that cannot be parsed."""
    key, equals, value = word.partition("=")
    if not equals or not value or value[0] in "[{'\"$":
        return f"{word}: {QUOTING}'key=\"a=b\"'"
    return f"{word}: {QUOTING}{shlex.quote(override(key, value))}"


def to_plain(config: DictConfig) -> dict[str, Any]:
    """Dicts, lists and scalars, interpolations resolved, missing values refused."""
    plain: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    return plain


def instantiate(
    section: Any, path: str, offered: Mapping[str, Any] | None = None, **extra: Any
) -> Any:
    """Builds the object that a section's `_target_` names.

    Args:
        section: mapping with `_target_` and the constructor's arguments.
        path: dotted name of the section, for messages.
        offered: keyword arguments for constructors that take them; the section's come first.
        extra: further keyword arguments.

    Raises:
        UserError: no such class, an argument it does not know, or a value it refuses.
    """
    if not isinstance(section, dict) or not isinstance(section.get("_target_"), str):
        raise UserError(f"{path}={section!r}: needs a section with _target_ and its arguments")
    target = locate(section["_target_"], f"{path}._target_")
    arguments = {k: v for k, v in section.items() if not k.startswith("_")}
    if offered:
        arguments = {k: v for k, v in offered.items() if _takes(target, k)} | arguments
    try:
        return target(**arguments, **extra)
    except TypeError as error:
        unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        missing = re.search(r"missing .* argument[s]?: (.+)$", str(error))
        if unknown:
            known = ", ".join(n for n in inspect.signature(target).parameters if n not in extra)
            raise UserError(f"{path}.{unknown[1]}: unknown key; choose from {known}") from error
        if missing:
            raise UserError(f"{path}: give a value for {missing[1]}") from error
        raise _unfit(section, path, error) from error
    except ValueError as error:
        raise UserError(f"{path}.{error}") from error
    except Exception as error:  # sizes of nothing or less; files that classes of users want
        raise _unfit(section, path, error) from error


def locate(name: Any, field: str) -> Callable[..., Any]:
    """The class or function of a dotted name, which a field of the configuration has.

    Raises:
        UserError: there is none.
    """
    try:
        target = pydoc.locate(name) if isinstance(name, str) else None
    except Exception as error:  # what its module raises
        raise UserError(f"{field}={name}: {' '.join(str(error).split())}") from error
    if target is None:
        raise UserError(f"{field}={name}: no such class; give MODULE.CLASS")
    if not callable(target):
        raise UserError(f"{field}={name}: is no class; give MODULE.CLASS")
    return target


def identified(section: Any) -> Any:
    """A checked section whose `_target_` is what it names, by whatever path it was given.

    A class or function has its package's own name if the package offers it, else that of the
    module it is defined in.
    """
    if not isinstance(section, Mapping):
        return section
    values = {key: identified(value) for key, value in section.items()}
    if isinstance(values.get("_target_"), str):
        target = locate(values["_target_"], "_target_")
        module, name = target.__module__, getattr(target, "__qualname__", None)
        package = module.partition(".")[0]
        if name is not None:
            offered = getattr(sys.modules[package], name, None) is target
            values["_target_"] = f"{package if offered else module}.{name}"
    return values


def not_a(section: Any, path: str, kind: str) -> UserError:
    """The error for a `_target_` of another kind; the caller raises it."""
    return UserError(f"{path}._target_={section['_target_']}: is no {kind}")


def _takes(target: Callable[..., Any], name: str) -> bool:
    """Whether a constructor has an argument of this name; those of C types cannot be seen."""
    try:
        parameters = inspect.signature(target).parameters
    except ValueError:
        return False
    every = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    return every or name in parameters


def describe(error: Exception, config_name: str) -> str:
    """One line for an error of Hydra's: field, value and remedy."""
    text = str(error)
    if isinstance(error, OverrideParseException):
        return _quoting(error.override)
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key}: missing; give it a value"
    if "Interpolation key 'pair." in text:
        return "evaluation=pair: no pair here; choose evaluation=inception or fashion_mnist"
    if isinstance(error, OmegaConfBaseException) and error.full_key:
        return f"{error.full_key}: {text.splitlines()[0]}"
    if text.startswith("Config group override must be"):
        return f"{text}; name a file of the group, e.g. sampler=ddim"
    ambiguous = re.search(r"Ambiguous value for argument '([^=']+)=([^']*)'", text)
    if ambiguous:
        key, value = ambiguous[1], ambiguous[2]
        text = shlex.quote(override(key, value))
        return f"{key}={value}: write a list as {key}=[{value}], or one text as {text}"
    key = re.search(r"Could not override '([^']+)'", text)
    if key and (CONFIGS / key[1].partition("@")[0]).is_dir():
        return (
            f"{key[1]}: scripts/{config_name}.py takes none; leave it out, and choose a pair that "
            "brings none along"
        )
    if key:
        return _unknown_key(key[1], config_name)
    group = re.search(r"Could not find '([^']+)'", text)
    options = re.search(r"Available options in '[^']*':\n((?:\t\S+\n?)+)", text)
    if group and options:
        name, _, value = group[1].rpartition("/")
        if value in ("submitit_local", "submitit_slurm"):
            return f"{name}={value}: is not installed; run pip install -e '.[cluster]'"
        return f"{name}={value}: choose one of {', '.join(options[1].split())}"
    return " ".join(text.split("Config search path")[0].split("\nSee https://")[0].split())


def _unfit(section: dict[str, Any], path: str, error: Exception) -> UserError:
    line = " ".join(str(error).split())
    return UserError(f"{path}: {section['_target_']} cannot be built of these values ({line})")


def _unknown_key(key: str, config_name: str) -> str:
    try:
        with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
            known = dotted_keys(OmegaConf.to_container(hydra.compose(config_name)), "")
    except (*CONFIG_ERRORS, ValueError):
        known = []
    close = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {close[0]}? " if close and close[0] != key else ""
    kind = "hydra" if key.startswith("hydra.") else "job"
    return f"{key}: unknown key; {hint}--cfg {kind} lists all keys"


def _arrange_output(streams: ExitStack, captured: io.StringIO, scratch: str) -> None:
    """While Hydra runs: argparse's usage text is captured, ranks above 0 are silent."""
    streams.enter_context(redirect_stderr(captured))
    if RANK:
        streams.enter_context(redirect_stdout(io.StringIO()))
        # Hydra writes multirun.yaml into its sweep directory on every rank.
        os.environ["TSTITCH_SWEEP_DIR"] = scratch


def _end(message: str, code: int = 2) -> None:
    """Prints the line on rank 0, lets every rank get here, and exits."""
    if RANK == 0:
        print(f"error: {message}", file=sys.stderr, flush=True)
    if WORLD_SIZE > 1:
        from tstitch.runtime import distributed

        distributed.meet("error")
    _leave()
    sys.exit(code)


def _leave() -> None:
    """Leaves the process group: one that is torn down at exit aborts the process."""
    if WORLD_SIZE > 1:
        from tstitch.runtime import distributed

        distributed.stop()
