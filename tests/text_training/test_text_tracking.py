"""scripts/train_text.py with tracking=wandb, offline: a run for each stage."""

import tracked


def test_every_stage_is_a_run(tmp_path, made):
    """Catches: stages whose steps overlap in one run, measures or the preview that are not sent,
    runs of what was finished before.
    """
    folder, sent = tmp_path / "text", tmp_path / "tracking"
    tracking = ("tracking=wandb", "tracking.mode=offline", f"tracking.dir={sent}")
    stages = ("encoder", "vae", "cache", "small")
    made(folder, f"text.stages=[{','.join(stages)}]", *tracking)
    names = {place: tracked.part_of(place)[1] for place in tracked.offline_runs(sent)}
    assert sorted(names.values()) == [str(folder / s) for s in ("encoder", "small", "vae")]
    for place, name in names.items():
        rows = tracked.history(place)
        assert [row["_step"] for row in rows] == [1, 2, 3, 4]
        assert all({"loss", "learning_rate", "images_per_s"} <= row.keys() for row in rows), name
        own = [[k for k in row if k not in ("_step", "preview")] for row in rows]
        assert len(own[0]) < len(own[1]) and len(own[2]) < len(own[3])  # measured at each second
        pictures = list(place.glob("files/media/images/preview_4_*.png"))
        assert bool(pictures) == name.endswith("small")
    made(folder, "text.stages=[encoder,vae]", *tracking)
    assert tracked.offline_runs(sent) == sorted(names)
