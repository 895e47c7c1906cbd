"""Numbers that compare images with real ones, each with its interval."""
