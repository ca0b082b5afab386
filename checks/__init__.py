"""Checks: one file each, one folder a concern. A file is registered by being here; `_name.py` is not a check."""
