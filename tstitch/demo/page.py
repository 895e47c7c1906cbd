"""The page, made with Gradio: controls, and what they set off."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple
from typing import Any

import gradio as gr

from tstitch.demo import look, pictures
from tstitch.demo.answers import EMPTY, answers
from tstitch.demo.explorer import IN_TURN, Explorer, defaults
from tstitch.demo.settings import MOST_IMAGES, DemoSettings
from tstitch.notebook.sampler import LoadedSampler
from tstitch.runtime.errors import UserError

FRACTION = 0.4  # that the page begins with
ONE_AT_A_TIME: dict[str, Any] = {"concurrency_id": "networks", "concurrency_limit": 1}


def build_page(
    explorer: Explorer, pair: str, pairs: Sequence[str], settings: DemoSettings
) -> gr.Blocks:
    """The page with its events.

    Args:
        explorer: answers it; has loaded `pair`.
        pair: that it begins with.
        pairs: that it offers.
    """
    first = explorer.sampler(pair)
    with gr.Blocks(analytics_enabled=False, title="T-Stitch") as page:
        gr.Markdown(look.TITLE, elem_id="title")
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                chosen_pair = gr.Dropdown([*pairs], value=pair, label="Pair", elem_id="pair")
                own = _own_controls(first)
                images = gr.Slider(
                    1, MOST_IMAGES, value=settings.images, step=1, label="Images", elem_id="images"
                )
                seed = gr.Number(0, label="Seed", precision=0, elem_id="seed")
                button = gr.Button("Make images", variant="primary", elem_id="make")
            with gr.Column(scale=3):
                fraction = gr.Slider(
                    0, 1, value=FRACTION, step=0.05, elem_id="fraction",
                    label="Fraction: part of the way that the small denoiser takes",
                )  # fmt: skip
                line = gr.HTML(elem_id="line")
                chosen = gr.HTML(look.HINT, elem_id="chosen")
        gr.Markdown(look.ABOUT_TABLE, elem_classes="ts-about")
        strip = gr.HTML(elem_id="strip")
        with gr.Row():
            with gr.Column(scale=2, min_width=280):
                gr.Markdown(look.ABOUT_CURVE, elem_classes="ts-about")
            with gr.Column(scale=3):
                curve = gr.HTML(elem_id="curve")

        inputs = [fraction, chosen_pair, *own, images, seed]
        outputs = [line, chosen, strip, curve]
        every = _event(explorer, settings.fractions, every=True)
        button.click(every, inputs, outputs, show_progress="hidden", **ONE_AT_A_TIME)
        one = _event(explorer, settings.fractions, every=False)
        fraction.change(
            one, inputs, outputs,
            show_progress="hidden", trigger_mode="always_last", **ONE_AT_A_TIME,
        )  # fmt: skip

        def choose(name: str) -> list[Any]:
            try:
                return [*_own_controls(explorer.sampler(name)), *astuple(EMPTY)]
            except UserError as error:
                line = pictures.message(str(error), bad=True)
                return [*[gr.skip()] * len(own), line, *[gr.skip()] * (len(outputs) - 1)]

        chosen_pair.input(choose, chosen_pair, [*own, *outputs], **ONE_AT_A_TIME)
    return page


def _own_controls(sampler: LoadedSampler) -> list[Any]:
    """What a pair decides of the page: class, prompt, steps, guidance."""
    steps, guidance = defaults(sampler)
    names, texts = list(sampler.class_names), sampler.takes_prompts
    return [
        gr.Dropdown(
            [IN_TURN] if texts else [IN_TURN, *names], value=IN_TURN, label="Class",
            allow_custom_value=True, visible=not texts, elem_id="class",
        ),
        gr.Textbox(
            names[0] if texts else "", label="Prompt", visible=texts, elem_id="prompt", lines=2
        ),
        gr.Slider(2, max(100, steps), value=steps, step=1, label="Steps", elem_id="steps"),
        gr.Slider(
            1, max(10, guidance), value=guidance, step=0.1, label="Guidance", elem_id="guidance"
        ),
    ]  # fmt: skip


def _event(
    explorer: Explorer, fractions: Sequence[float], every: bool
) -> Callable[..., Iterator[list[Any]]]:
    def answer(
        fraction: float | None,
        pair: str,
        label: str,
        prompt: str,
        steps: int | None,
        guidance: float | None,
        images: int | None,
        seed: int | None,
    ) -> Iterator[list[Any]]:
        if fraction is None and not every:  # another one is being typed
            yield [gr.skip()] * len(astuple(EMPTY))
            return
        condition = prompt if explorer.sampler(pair).takes_prompts else label
        given = (pair, condition or "", images, steps, guidance, seed)
        for state in answers(explorer, fractions, fraction, every, *given):
            yield [*astuple(state)]

    return answer
