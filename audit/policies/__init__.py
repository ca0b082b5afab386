"""Policy packs: gates as data, named in a plan by `[policy] extends`."""
