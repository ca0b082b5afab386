"""Bias of language models.

Whether a model of language has taken up stereotypes: which words it holds to belong together, which of two sentences
it finds likelier when only the person in it is another, and whom it suspects when it is not told. What a model says of
sentences written for a test is a warning, not a measure of the harm that its use does.
"""
