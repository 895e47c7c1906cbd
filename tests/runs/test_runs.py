"""python -m tstitch.runs: which runs there are."""

import json

from tstitch.config.cli import compose
from tstitch.run.generate import run_sampling
from tstitch.runs.__main__ import main

TINY = (
    "sampler=ddim", "sampler.steps=2", "run.num_images=2", "evaluation=none", "run.device=cpu",
    "stitch=decreasing",
)  # fmt: skip
METRICS = {
    "protocol": {
        "num_images": 64,
        "sampler": {"_target_": "samplers.DDIM", "steps": 5},
        "stitch": {"_target_": "samplers.LargeToSmall", "fraction": 0.4, "axis": None},
        "guidance": {"scale": 1.5},
    }
}


def test_runs_are_listed(tmp_path, capsys):
    """Catches: a run without evaluation or metrics that is left out or ends the list, files of
    runs that have other names or keys than what is read.
    """
    run = run_sampling(compose("sample", [*TINY, f"run.root={tmp_path}"]))
    assert run.name.startswith("ddim2-decreasing-steps")
    for name, files in {
        "measured": {
            "metrics.json": METRICS,
            "evaluation.json": {"metrics": {"fid": {"value": 7.25}}},
        },
        "begun": {},
        "no_run": None,
    }.items():
        folder = tmp_path / "fashion_mnist" / name
        (folder / "shards").mkdir(parents=True)
        for file, content in (files or {}).items():
            (folder / file).write_text(json.dumps(content))
        if files is not None:
            (folder / "config.yaml").write_text("")
    (tmp_path / "fashion_mnist" / "begun" / "shards" / "0.npz").write_bytes(b"")
    assert main([str(tmp_path)]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["images", "sampler", "schedule", "guidance", "FID", "directory"]
    cells = {line.rpartition("/")[2]: line.split() for line in lines}
    assert cells.keys() == {run.name, "measured", "begun"}
    assert cells["measured"][:-1] == ["64", "DDIM", "5", "LargeToSmall", "0.4", "1.5", "7.25"]
    assert cells["begun"][:-1] == ["unfinished,", "1", "shards"]
    assert cells[run.name][:4] == ["2", "DDIM", "2", "Decreasing"]
    assert cells[run.name][-1] == str(run)


def test_bad_folder(tmp_path, capsys):
    """Catches: a traceback, an empty table for a misspelt folder."""
    assert main([str(tmp_path / "nothing")]) == 2
    assert capsys.readouterr().err.startswith(f"error: folder={tmp_path}/nothing: is not there")
