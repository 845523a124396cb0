"""What we promise, against every backend, with two API nodes and two workers."""
