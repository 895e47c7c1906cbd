"""Style of the page; everything it needs is in it."""

CSS = """
.gradio-container { max-width: 1240px !important; margin: 0 auto !important; }
#title h1 { font-size: 2rem; letter-spacing: -0.02em; margin: 0.2rem 0; }
#title p, .ts-about p { opacity: 0.75; margin: 0; font-size: 1rem; }
.ts-about h3 { margin: 0.9rem 0 0.2rem; font-size: 1.1rem; }
#line:not(:has(.ts-line)) { display: none; }
.ts-line { margin: 0; padding: 0.5rem 0.8rem; border-radius: 8px; font-size: 0.95rem; }
.ts-bad { background: #fdecea; color: #8c1d18; }
.ts-busy { background: #eef4fb; color: #174a7c; }
.ts-hint { opacity: 0.7; text-align: center; padding: 6rem 1rem; }
.ts-chosen p { margin: 0 0 0.6rem; font-size: 1.02rem; }
.ts-bar { display: flex; gap: 2px; height: 18px; }
.ts-bar i { flex: 1; border-radius: 2px; }
.ts-ends { display: flex; gap: 1rem; font-size: 0.85rem; margin: 0.25rem 0 0.8rem; opacity: 0.8; }
.ts-ends > span:first-child { margin-right: auto; }
.ts-ends > span:last-child { margin-left: auto; }
.ts-key i, .ts-number th i { display: inline-block; width: 0.7em; height: 0.7em; border-radius: 2px;
  margin-right: 0.35em; }
.ts-cards { display: flex; flex-wrap: wrap; gap: 0.8rem; }
.ts-cards figure { margin: 0; flex: 1 1 140px; min-width: 90px; max-width: 216px; }
.ts-cards img { width: 100%; border-radius: 8px; image-rendering: pixelated; display: block; }
.ts-cards figcaption { font-size: 0.85rem; text-align: center; margin-top: 0.25rem; opacity: 0.8; }
.ts-scroll { overflow-x: auto; }
.ts-table { border-collapse: collapse; width: 100%; min-width: 760px; table-layout: fixed;
  font-variant-numeric: tabular-nums; }
.ts-table, .ts-table tr, .ts-table th, .ts-table td { border: 0 !important; }
.ts-table th, .ts-table td { padding: 2px 3px !important; text-align: center; font-size: 0.87rem;
  font-weight: 400; }
.ts-table th[scope=row] { text-align: left; width: 8.6rem; opacity: 0.8; }
.ts-table img { width: 100%; max-width: 96px; border-radius: 5px; margin: 0 auto; display: block;
  image-rendering: pixelated; }
.ts-head th { vertical-align: bottom; font-weight: 600 !important; }
.ts-head small { display: block; font-weight: 400; font-size: 0.72rem; opacity: 0.8;
  min-height: 1.1em; }
.ts-table .ts-mark { background: #0072B226; }
.ts-wait { display: block; aspect-ratio: 1; border-radius: 5px;
  background: var(--background-fill-secondary); }
.ts-curve svg { width: 100%; height: auto; display: block; }
.dark .ts-curve { background: #f6f7f9; border-radius: 8px; }
.dark .ts-bad { background: #5c1f1b; color: #ffe5e2; }
.dark .ts-busy { background: #1d3450; color: #d7e7fa; }
"""
TITLE = """# T-Stitch
A small denoiser takes the first, noisy steps, a large one the rest; the fraction says how many."""
HINT = '<p class="ts-hint">Press <b>Make images</b>: the same noise, at every fraction.</p>'
ABOUT_TABLE = """### The same noise at every fraction
Steps are those that each denoiser ran; speed is against fraction 0. Times are measured once: what
else this machine does shows in them."""
ABOUT_CURVE = """### Where the two disagree
How far the small denoiser's prediction is from the large one's, relative to the latter, along the
large one's own trajectory; the mean over these images. The colour says who runs the step at the
chosen fraction."""
