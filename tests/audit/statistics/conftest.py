"""Property tests draw the same examples on every machine, and a busy machine does not fail them."""

from hypothesis import settings

settings.register_profile("fairwitness", deadline=None, derandomize=True)
settings.load_profile("fairwitness")
