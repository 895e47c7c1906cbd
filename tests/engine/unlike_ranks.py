"""Started by torchrun: every rank would compute in another precision."""

import os

from tstitch import distributed
from tstitch.cli import compose
from tstitch.errors import UserError
from tstitch.experiment import parse_experiment
from tstitch.resources import Resources

dtype = ("fp32", "bf16")[int(os.environ["RANK"])]
try:
    Resources(parse_experiment(compose("sample", [f"run.dtype={dtype}"])))
except UserError as error:
    print(error)
distributed.barrier()
distributed.stop()
