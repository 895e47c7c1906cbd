"""Images, wherever they are, and what a network sees in them."""
