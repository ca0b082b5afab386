"""House rules of a bank, as a plugin of Fairwitness."""
