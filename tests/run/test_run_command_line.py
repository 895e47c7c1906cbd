"""The command itself: exit codes, one line on standard error, help."""

import pytest

LARGE = "pair.denoisers.large.weights"


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        (["sampler=absent"], "sampler=absent: choose one of"),
        (["run.dir=a=b"], "run.dir=a=b: cannot be parsed"),
        (["--steps", "5"], "unrecognized arguments: --steps"),
        pytest.param(
            ["stitch.fraction=1.2"], "stitch.fraction=1.2: choose", marks=pytest.mark.slow
        ),
        ([f"{LARGE}=nowhere.pt"], f"{LARGE}: 'nowhere.pt': no such file"),
    ],
    ids=["group", "grammar", "flag", "value", "weights"],
)
def test_error_is_one_line(tmp_path, command, arguments, start):
    """Catches: Hydra's or our traceback, usage text, an exit code other than 2."""
    ended = command(f"run.dir={tmp_path}/run", *arguments)
    lines = ended.stderr.splitlines()
    assert ended.returncode == 2
    assert len(lines) == 1 and lines[0].startswith(f"error: {start}"), ended.stderr
    assert ended.stdout == "" and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("argument", "start"),
    [
        pytest.param(
            "sampler=absent", "error: sampler=absent: choose one of", marks=pytest.mark.slow
        ),
        (f"{LARGE}=TEXT", f"error: {LARGE}: "),
    ],
    ids=["group", "weights"],
)
def test_error_is_one_line_under_torchrun(tmp_path, command, argument, start):
    """Catches: the line once per rank or never, and tracebacks of ours within torchrun's report.

    The weights fail after the process group has formed, the group name before."""
    (tmp_path / "large.pt").write_text("these are no weights")
    argument = argument.replace("TEXT", f"{tmp_path}/large.pt")
    ended = command(f"run.dir={tmp_path}/run", argument, processes=2)
    lines = (ended.stdout + ended.stderr).splitlines()
    ours = [text for text in lines if "error: " in text and start[7:] in text]
    assert ended.returncode != 0
    assert len(ours) == 1 and ours[0].startswith(start), ended.stderr
    assert not [text for text in lines if 'File "' in text and "/tstitch/" in text], ended.stderr
    assert "exitcode  : 2" in ended.stderr


@pytest.mark.parametrize("arguments", [["--cfg", "job"], ["--help"]], ids=["cfg", "help"])
def test_help_lists_the_sections(command, arguments):
    """Catches: output captured with the errors, and a help that does not show the keys."""
    ended = command(*arguments)
    assert ended.returncode == 0 and ended.stderr == ""
    for word in ("sampler", "stitch", "run", "num_images", "fraction"):
        assert word in ended.stdout
    if arguments[0] == "--cfg":
        assert "num_images: 24" in ended.stdout


def test_from_another_directory_naming_a_damaged_shard(tmp_path, command, whole):
    """Catches: configurations found relative to the working directory; warnings that Hydra's
    logging swallows; letters that its grammar does not know."""
    run = tmp_path / "\u00fcbung 1"
    (run / "shards").mkdir(parents=True)
    (run / "config.yaml").write_bytes((whole / "config.yaml").read_bytes())
    (run / "shards" / "00000008-00000016.npz").write_bytes(b"damaged")
    ended = command(f"run.dir={run.name}", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert f"shard {run.name}/shards/00000008-00000016.npz: unreadable" in ended.stderr
    assert f"{run.name}: grid.png" in ended.stderr
    assert (run / "samples.npz").read_bytes() == (whole / "samples.npz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [run.name]
