"""Inference on counts: intervals, multiplicity, resampling and power, as pure functions on float64 arrays.

Every function takes sufficient statistics, never rows. A denominator may be an effective one, (sum w)^2 / sum w^2
(Kish 1965, Survey Sampling), so counts are float64 throughout.
"""
