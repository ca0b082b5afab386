"""Fairness.

Whether the groups that people belong to get the same decisions, and the same errors. Equal numbers are not by
themselves justice, and unequal ones not by themselves a wrong: the section shows the size of each difference, how sure
it is, and where the data could not tell.
"""
