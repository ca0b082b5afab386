"""Runnable examples, each with its `audit.toml`."""
