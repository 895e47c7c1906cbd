"""What a student's folder says of its plan and its training."""

from tstitch.files.record import Record

PLAN = "tiue.json"  # beside the config.json of the U-Net


class StudentRecord(Record):
    """How a student makes images, and how it was trained."""

    arm: str
    encoder: str
    timesteps: tuple[int, ...]
    clean: bool
    teacher: str
    guidance: float  # of the scores; a student is sampled without
    kl_weight: float
    kl_form: str
    fake: str
    steps: int
    captions_seen: int
    seed: int
