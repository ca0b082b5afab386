"""A neural network in PyTorch, trained when the audit starts, on data that come with scikit-learn."""
