"""Data quality.

Whether the data can carry what is said about the model: what is missing, what stands in them twice, how many of each
group there are, and whether a column gives the answer away.
"""
