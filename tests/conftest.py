"""One thread per process: tests run in two processes, and start more."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
