"""Numbers that compare a run's images with those of another run, made of the same noise."""
