"""How the one pass over the data is executed."""
