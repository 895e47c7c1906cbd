"""`scripts/demo.py`: from configuration to a page that answers until it is ended."""

import os
from typing import Any

from tstitch.config.cli import chosen_option, given_words
from tstitch.demo.choices import pairs_here
from tstitch.demo.explorer import Explorer
from tstitch.demo.settings import DemoSettings
from tstitch.notebook.words import sampling_words
from tstitch.runtime.errors import UserError


def run_demo(config: dict[str, Any]) -> None:
    """Serves the page until Ctrl-C.

    Raises:
        UserError: bad input, no Gradio, or no free port.
    """
    settings = DemoSettings.parse(config["demo"])
    pair, words = chosen_option("pair"), sampling_words(given_words(), "demo")
    # Gradio would report that it is used, and look for a newer version.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    try:
        from tstitch.demo.page import build_page
        from tstitch.demo.serving import serve
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise UserError("gradio: is not installed; run pip install -e '.[demo]'") from error
    explorer = Explorer(pair, words)
    pairs = list(dict.fromkeys([pair, *pairs_here()]))
    serve(build_page(explorer, pair, pairs, settings), settings)
