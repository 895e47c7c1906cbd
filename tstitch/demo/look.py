"""Style of the page; everything it needs is in it."""

CSS = """
.gradio-container { max-width: 1240px !important; margin: 0 auto !important; }
#title h1 { font-size: 1.9rem; letter-spacing: -0.02em; margin: 0.4rem 0 0.2rem; }
#title p { font-size: 1.02rem; color: var(--body-text-color-subdued); margin: 0; }
.ts-line { margin: 0; padding: 0.55rem 0.8rem; border-radius: 8px; font-size: 0.95rem; }
.ts-bad { background: #fdecea; color: #8c1d18; }
.ts-busy { background: #eef4fb; color: #174a7c; }
.ts-hint { color: var(--body-text-color-subdued); text-align: center; padding: 4.5rem 1rem; }
.ts-chosen p { margin: 0 0 0.6rem; font-size: 1.02rem; }
.ts-bar { display: flex; gap: 2px; height: 16px; }
.ts-bar i { flex: 1; border-radius: 2px; }
.ts-ends { display: flex; gap: 1rem; justify-content: center; font-size: 0.82rem;
  color: var(--body-text-color-subdued); margin: 0.25rem 0 0.8rem; }
.ts-ends > span:first-child { margin-right: auto; }
.ts-ends > span:last-child { margin-left: auto; }
.ts-key i, .ts-number th i { display: inline-block; width: 0.7em; height: 0.7em; border-radius: 2px;
  margin-right: 0.35em; }
.ts-cards { display: flex; flex-wrap: wrap; gap: 0.8rem; }
.ts-cards figure { margin: 0; flex: 0 1 150px; min-width: 90px; }
.ts-cards img { width: 100%; border-radius: 8px; image-rendering: pixelated; display: block; }
.ts-cards figcaption { font-size: 0.82rem; text-align: center; margin-top: 0.25rem;
  color: var(--body-text-color-subdued); }
.ts-scroll { overflow-x: auto; }
.ts-table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
.ts-table th, .ts-table td { padding: 2px 3px; text-align: center; border: 0; font-size: 0.86rem;
  font-weight: 400; }
.ts-table th[scope=row] { text-align: left; padding-right: 0.7rem; max-width: 9rem;
  color: var(--body-text-color-subdued); }
.ts-table img { width: 100%; min-width: 48px; max-width: 96px; border-radius: 5px; margin: 0 auto;
  image-rendering: pixelated; display: block; }
.ts-head th { vertical-align: bottom; font-weight: 600 !important; }
.ts-head small { display: block; font-weight: 400; font-size: 0.72rem;
  color: var(--body-text-color-subdued); min-height: 1.1em; }
.ts-table .ts-mark { background: #0072B226; }
.ts-wait { display: block; aspect-ratio: 1; min-width: 48px; border-radius: 5px;
  background: var(--background-fill-secondary); }
.ts-curve svg { width: 100%; height: auto; max-width: 620px; display: block; }
.dark .ts-curve { background: #f6f7f9; border-radius: 8px; }
.dark .ts-bad { background: #5c1f1b; color: #ffe5e2; }
.dark .ts-busy { background: #1d3450; color: #d7e7fa; }
"""
TITLE = """# T-Stitch
A small denoiser takes the first, noisy steps of every image and a large one the rest: the fraction
decides where the one hands over to the other."""
HINT = '<p class="ts-hint">Press <b>Make images</b>: the same noise, at every fraction.</p>'
ABOUT_TABLE = """### The same noise at every fraction
Steps are those that each denoiser ran of an image. Times are of this machine, measured once over
the images of a column; speed is against fraction 0."""
ABOUT_CURVE = """### Where the two disagree
How far the small denoiser's prediction is from the large one's, relative to the latter, along the
large one's own trajectory: mean over these images."""
