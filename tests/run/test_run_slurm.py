"""A real Slurm of two nodes on this machine, where it is installed and may be started."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

TOOLS = ("slurmctld", "slurmd", "srun", "sbatch", "munged")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.geteuid() != 0 or not all(map(shutil.which, TOOLS)),
        reason="needs root, and apt-get install slurm-wlm munge",
    ),
]
STATES = ("COMPLETED", "FAILED")  # of the points of a sweep, below
CONF = """ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
AuthType=auth/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MpiDefault=none
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1 RealMemory=4000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1 RealMemory=4000
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def start_munge() -> None:
    """The daemon by which Slurm's processes know each other."""
    key = "/etc/munge/munge.key"
    if not os.path.exists(key):
        with open(key, "wb") as file:
            file.write(os.urandom(1024))
        os.chmod(key, 0o400)
        shutil.chown(key, "munge", "munge")
    for folder in ("/run/munge", "/var/log/munge"):
        os.makedirs(folder, exist_ok=True)
        shutil.chown(folder, "munge", "munge")
    if subprocess.run(["munge", "-n"], capture_output=True).returncode:
        subprocess.run(["su", "-s", "/bin/sh", "munge", "-c", shutil.which("munged")], check=True)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """slurm(*command): a finished command of the cluster."""
    folder, host = tmp_path_factory.mktemp("slurm"), socket.gethostname()
    (folder / "state").mkdir()
    conf = folder / "slurm.conf"
    conf.write_text(CONF.format(host=host, folder=folder, ports=free_ports(3)))
    own = os.environ | {"SLURM_CONF": str(conf), "OMP_NUM_THREADS": "1"}
    try:
        start_munge()
        for words in (["slurmctld"], ["slurmd", "-N", "n1"], ["slurmd", "-N", "n2"]):
            subprocess.run(words, env=own, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError, LookupError) as error:
        pytest.skip(f"Slurm is installed and does not start here: {error}")

    def run(*command: str, cwd: Path | None = None) -> subprocess.CompletedProcess:
        return subprocess.run(
            command, env=own, cwd=cwd, capture_output=True, text=True, timeout=600
        )

    try:
        end = time.monotonic() + 60
        while run("sinfo", "-h", "-t", "idle", "-o", "%D").stdout.strip() != "2":
            if time.monotonic() > end:
                log = folder / "slurmctld.log"
                pytest.skip(f"Slurm's nodes do not come up here: {log.read_text()[-500:]}")
            time.sleep(1)
        yield run
    finally:
        run("scancel", "--user=root")
        for name in ("n1", "n2", "slurmctld"):
            pid = folder / f"{name}.pid"
            if pid.exists():
                os.kill(int(pid.read_text()), 15)


def test_two_nodes(slurm, tiny, script_line, whole, tmp_path):
    """Catches: tasks of srun that wait for a lock or for each other, or make other bytes."""
    run = tmp_path / "run"
    words = script_line("sample.py", *tiny, f"run.dir={run}")
    done = slurm("srun", "-N", "2", "-n", "2", *words)
    assert done.returncode == 0, done.stderr
    assert (run / "samples.npz").read_bytes() == (whole / "samples.npz").read_bytes()
    assert not (run / "workers").exists()


def test_array(slurm, tiny, script_line, whole, tmp_path):
    """Catches: the same of a job array, one task of which begins when the run is done."""
    run = tmp_path / "run"
    words = " ".join(f"'{w}'" for w in script_line("sample.py", *tiny, f"run.dir={run}"))
    options = ("--array=0-2", "--wait", f"--output={tmp_path}/%a.log", f"--wrap={words}")
    done = slurm("sbatch", *options)
    logs = [path.read_text() for path in sorted(tmp_path.glob("*.log"))]
    assert done.returncode == 0 and len(logs) == 3, (done.stderr, logs)
    assert (run / "samples.npz").read_bytes() == (whole / "samples.npz").read_bytes()


def test_torchrun_in_one_task_per_node(slurm, tiny, script_line, whole, tmp_path):
    """Catches: processes of torchrun taken for independent workers because srun started it."""
    run = tmp_path / "run"
    words = script_line("sample.py", *tiny, f"run.dir={run}", processes=2)
    done = slurm("srun", "-N", "1", "-n", "1", *words)
    assert done.returncode == 0, done.stderr
    assert (run / "samples.npz").read_bytes() == (whole / "samples.npz").read_bytes()


def test_points_submitted_by_a_launcher(slurm, tiny, script_line, whole, until, tmp_path):
    """Catches: points of an array that are taken for workers of one run, a point that failed and
    that Slurm takes for completed, a submitter that does not say so."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="not installed")
    launcher = ("hydra/launcher=submitit_slurm", "hydra.launcher.timeout_min=15")
    words = ("run.dir=null", f"run.root={tmp_path}/runs", "run.overwrite=true")
    points = "stitch.fraction=0.4,7"
    done = slurm(*script_line("sample.py", "-m", *launcher, *tiny, *words, points), cwd=tmp_path)
    line = "error: stitch.fraction=7: choose a number from 0 to 1"
    assert done.returncode == 2 and done.stderr.splitlines()[-1] == line, done.stderr
    [run] = (tmp_path / "runs" / "fashion_mnist").iterdir()
    assert (run / "samples.npz").read_bytes() == (whole / "samples.npz").read_bytes()
    [log] = (tmp_path / "runs" / "multirun" / ".submitit").glob("*_1/*.err")
    array = log.parent.name.removesuffix("_1")

    def states() -> list[bool]:
        shown = (slurm("scontrol", "show", "job", f"{array}_{point}").stdout for point in range(2))
        return [f"JobState={state}" in text for state, text in zip(STATES, shown, strict=True)]

    until(lambda: all(states()))  # the submitter needs not wait for Slurm
