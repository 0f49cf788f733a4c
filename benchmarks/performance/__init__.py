"""What a step costs in time and memory, beside the sum of its passes, plain Adam, and other implementations of SAM."""
