"""Reports: pure functions of the evidence. Same evidence, same bytes."""
