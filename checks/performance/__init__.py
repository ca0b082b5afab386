"""Performance.

How often the model is right on the labelled data, and how well its scores rank and calibrate. Every other concern is
read against this: a model that is fair and useless is still useless.
"""
