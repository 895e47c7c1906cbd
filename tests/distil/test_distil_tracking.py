"""scripts/distil.py with tracking=wandb, offline."""

import tracked


def test_rows_and_previews(tmp_path, distilled, log_rows):
    """Catches: columns of log.csv or previews that are not sent."""
    folder, sent = tmp_path / "run", tmp_path / "tracking"
    tracking = ("tracking=wandb", "tracking.mode=offline", f"tracking.dir={sent}")
    preview = ("distil.preview.images=2", "distil.preview.steps=2", "distil.preview.every=1")
    distilled(folder, "distil.steps=2", *preview, *tracking)
    (place,) = tracked.offline_runs(sent)
    assert tracked.part_of(place)[1] == str(folder)[-128:]
    rows = log_rows(folder)
    for row, expected in zip(tracked.history(place), rows, strict=True):
        assert row["_step"] == int(expected.pop("step")) and row["images_per_s"] > 0
        assert {name: row[name] for name in expected} == {k: float(v) for k, v in expected.items()}
        assert list(place.glob(f"files/media/images/preview_{row['_step']}_*.png"))
