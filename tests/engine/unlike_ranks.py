"""Started by torchrun: every rank would compute in another precision."""

import os

from tstitch.config.cli import compose
from tstitch.maker.parse import parse_experiment
from tstitch.run.shared_models import SharedModels
from tstitch.runtime import distributed
from tstitch.runtime.errors import UserError

dtype = ("fp32", "bf16")[int(os.environ["RANK"])]
try:
    SharedModels(parse_experiment(compose("sample", [f"run.dtype={dtype}"])))
except UserError as error:
    print(error)
distributed.barrier()
distributed.stop()
