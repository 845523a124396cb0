"""`make release`: what is built from the tree, and how we know that it is good."""
