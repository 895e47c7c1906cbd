"""The page's server: on this machine alone, and nothing is fetched from another."""

import logging
import socket

import gradio as gr
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tstitch.demo import look
from tstitch.demo.settings import DemoSettings
from tstitch.runtime.errors import UserError

HOST = "127.0.0.1"
FONTS = ("system-ui", "sans-serif")  # of the browser's machine: none is fetched
# The browser itself refuses what a page, or a part of Gradio, would fetch from elsewhere.
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'"
)
log = logging.getLogger(__name__)


class FromHereOnly:
    """Puts the policy on every answer.

    Args:
        app: whose answers these are.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Content-Security-Policy"] = POLICY
            await send(message)

        await self._app(scope, receive, sending)


def serve(page: gr.Blocks, settings: DemoSettings) -> None:
    """Answers until Ctrl-C.

    Raises:
        UserError: the port is taken.
    """
    port = settings.port or _free_port()
    try:
        _, address, _ = page.launch(
            server_name=HOST,
            server_port=port,
            inbrowser=settings.browser,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            ssr_mode=False,
            mcp_server=False,
            footer_links=[],
            theme=gr.themes.Default(
                primary_hue="blue", neutral_hue="slate", font=[*FONTS], font_mono=["monospace"]
            ),
            css=look.CSS,
            app_kwargs={"middleware": [Middleware(FromHereOnly)]},
        )
    except OSError as error:
        raise UserError(
            f"demo.port={port}: is taken; choose another, or 0 for any that is free"
        ) from error
    log.info("%s (Ctrl-C ends it)", address)
    page.block_thread()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
