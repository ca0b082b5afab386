"""Privacy.

Whether the model gives away whom it was trained on. Attacks are run as an outsider would run them, and every success
rate is measured on rows that the attack was not tuned on.
"""
