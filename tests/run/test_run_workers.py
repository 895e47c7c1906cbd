"""Independent workers that share a run: the same bytes, whoever comes, dies or comes again."""

import shutil
import subprocess
import time

import pytest

from tstitch.config.cli import compose
from tstitch.run import worker
from tstitch.run.claims import ALIVE, FOLDER
from tstitch.run.finish import run_finish
from tstitch.run.generate import run_sampling
from tstitch.runtime.errors import UserError

LONG = ("run.num_images=60", "run.batch_size=2", "sampler.steps=20")


@pytest.fixture
def start(tiny, script_line, environment, tmp_path):
    """start(variables, *arguments): scripts/sample.py as a worker; killed when the test ends."""
    started: list[subprocess.Popen] = []

    def run(variables: dict[str, str], *arguments: str) -> subprocess.Popen:
        words = script_line("sample.py", *tiny, *arguments)
        with open(tmp_path / f"{len(started)}.log", "w") as log:
            own = environment | variables
            started.append(subprocess.Popen(words, env=own, stdout=log, stderr=log))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.wait()


def task(number: int, count: int) -> dict[str, str]:
    """Variables of srun."""
    return {"SLURM_STEP_NUM_TASKS": str(count), "SLURM_PROCID": str(number)}


def job(number: int, count: int) -> dict[str, str]:
    """Variables of sbatch --array."""
    return {"SLURM_ARRAY_TASK_COUNT": str(count), "SLURM_ARRAY_TASK_ID": str(number)}


def logs(folder) -> str:
    return "\n".join(path.read_text() for path in sorted(folder.glob("*.log")))


@pytest.mark.slow
def test_two_tasks_of_srun(start, whole, measured, tmp_path):
    """Catches: both at every batch, a lock that one waits for, a file that both write."""
    run = tmp_path / "run"
    both = [start(task(n, 2), f"run.dir={run}", *measured) for n in range(2)]
    assert [process.wait(900) for process in both] == [0, 0], logs(tmp_path)
    assert (run / "samples.npz").read_bytes() == (whole / "samples.npz").read_bytes()
    assert (run / "evaluation.json").is_file() and (run / "report.md").is_file()
    assert not (run / FOLDER).exists()


def test_alone_late_and_growing(tiny, whole, images, monkeypatch, tmp_path):
    """Catches: a worker that waits for others that never come, samples again what is there, or
    cannot extend a run."""
    for name, value in job(3, 5).items():
        monkeypatch.setenv(name, value)
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    before = (run / "shards").stat().st_mtime_ns
    run_sampling(compose("sample", [*tiny, f"run.dir={run}"]))
    assert (run / "shards").stat().st_mtime_ns == before
    run_sampling(compose("sample", [*tiny, f"run.dir={run}", "run.num_images=30"]))
    assert (images(run)[:24] == images(whole)).all() and len(images(run)) == 30


def test_a_damaged_shard_is_made_anew(tiny, whole, monkeypatch, tmp_path):
    """Catches: a worker that trusts names, and ends at what it cannot pack."""
    for name, value in job(0, 2).items():
        monkeypatch.setenv(name, value)
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    (run / "samples.npz").unlink()
    (run / "shards" / "00000008-00000016.npz").write_bytes(b"damaged")
    run_sampling(compose("sample", [*tiny, f"run.dir={run}"]))
    assert (run / "samples.npz").read_bytes() == (whole / "samples.npz").read_bytes()


def test_refusals(refusal, whole, monkeypatch, tmp_path):
    """Catches: images of a living worker removed, or a run begun under it."""
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    (run / FOLDER).mkdir()
    (run / FOLDER / f"elsewhere-1-2{ALIVE}").touch()
    message = refusal(run, "run.num_images=32")
    assert "1 worker(s) of a job share it (elsewhere-1-2)" in message
    for name, value in task(0, 2).items():
        monkeypatch.setenv(name, value)
    assert refusal(run, "run.overwrite=true").startswith("run.overwrite=true: workers of a job")
    assert "belongs to another run" in refusal(run, "run.seed=5")
    shutil.rmtree(run / "shards")  # the others are at their first batch
    (run / "samples.npz").unlink()
    assert "belongs to another run" in refusal(run, "run.seed=5")


def test_finish(run_script, whole, tmp_path):
    """Catches: a run whose last worker died before it was packed, and nothing that packs it."""
    run = tmp_path / "run"
    run.mkdir()
    shutil.copytree(whole / "shards", run / "shards")
    shutil.copy(whole / "config.yaml", run)
    done = run_script("finish.py", f"dir={run}")
    assert done.returncode == 0, done.stderr
    assert (run / "samples.npz").read_bytes() == (whole / "samples.npz").read_bytes()
    made = (run / "shards" / "00000008-00000016.npz").stat().st_mtime_ns
    text = (run / "config.yaml").read_text()
    assert "overwrite: false" in text
    (run / "config.yaml").write_text(text.replace("overwrite: false", "overwrite: true"))
    (run / "samples.npz").unlink()
    run_finish({"dir": str(run)})  # of a run that began with run.overwrite=true
    assert (run / "shards" / "00000008-00000016.npz").stat().st_mtime_ns == made
    (run / "samples.npz").unlink()
    (run / "shards" / "00000008-00000016.npz").unlink()
    done = run_script("finish.py", f"dir={run}")
    assert done.returncode == 2 and f"dir={run}: 8 of 24 images are missing" in done.stderr
    with pytest.raises(UserError, match=f"^dir={tmp_path}: has no config"):
        run_finish({"dir": str(tmp_path)})


def test_packed_images_stay(tiny, images, monkeypatch, tmp_path):
    """Catches: images of samples.npz alone sampled again to extend it; workers that look at a
    damaged one for ever."""
    for name, value in job(0, 2).items():
        monkeypatch.setenv(name, value)
    run, write, made = tmp_path / "run", worker.write_shard, []

    def noted(folder, unit, shard) -> None:
        made.append(unit.first)
        write(folder, unit, shard)

    def extended(count: int) -> set[int]:
        made.clear()
        words = (f"run.dir={run}", "run.keep_shards=false", f"run.num_images={count}")
        run_sampling(compose("sample", [*tiny, *words]))
        return set(made)

    monkeypatch.setattr(worker, "write_shard", noted)
    assert extended(16) == {0, 8} and not list((run / "shards").iterdir())
    before = images(run)
    assert extended(24) == {16} and (images(run)[:16] == before).all()
    content = bytearray((run / "samples.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (run / "samples.npz").write_bytes(content)
    assert extended(24) == {0, 8, 16} and (images(run)[:16] == before).all()


@pytest.mark.slow
def test_five_workers_of_which_two_die(start, sample, until, tmp_path):
    """Catches: batches lost with a worker that is killed, or a requeued one that is kept out."""
    expected = (sample(tmp_path / "one", *LONG) / "samples.npz").read_bytes()
    run = tmp_path / "run"
    five = [start(job(n, 5), f"run.dir={run}", *LONG) for n in range(5)]
    until(lambda: len(list(run.glob("shards/*.npz"))) >= 3, five[0])
    five[1].kill()
    five[2].terminate()
    time.sleep(1)
    again = start(job(1, 5), f"run.dir={run}", *LONG)
    codes = [process.wait(900) for process in (five[0], five[3], five[4], again)]
    assert codes == [0] * 4 and five[2].wait(60) == 130, logs(tmp_path)
    assert (run / "samples.npz").read_bytes() == expected
    assert len(list((run / "shards").iterdir())) == 30
