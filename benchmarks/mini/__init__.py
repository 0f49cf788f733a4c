"""The miniature benchmarks: the paper's three settings on data that installed packages ship, for a laptop."""
