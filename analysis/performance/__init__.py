"""What was measured of the time and memory of a step: targets, tables, a figure, and a model that predicts more."""
