"""A recommender of books on made-up readers, audited for what it shows to whom."""
