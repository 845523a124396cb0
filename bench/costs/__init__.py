"""What Redis and the nodes spend on each operation, and the formulas that add it up."""
