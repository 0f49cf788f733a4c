"""What is run: the registry of benchmarks, the one training loop, and one JSON record per run."""
