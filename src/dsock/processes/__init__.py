"""Several processes as one node: a parent that starts and watches them, and what they share."""
