"""The embedded example: an audit of a mortgage approval model on real decisions."""
