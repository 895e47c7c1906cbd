"""Ends a torchrun worker whose launcher died: torchrun's workers outlive a killed launcher."""

import os
import threading
import time

POLL_S = 0.5


def end_with_parent() -> None:
    """Starts a daemon thread that ends this process when its parent is gone (torchrun only).

    os._exit is safe here: every file of a run appears by rename, whole or not at all.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
