"""Explanation.

What the model's answers rest on. Attributions are computed for the model that is audited, checked against it row by
row, and reported for the columns that people would recognise.
"""
