"""Numbers and surfaces that need a trained model: sharpness, representations, forgetting, curvature, loss surfaces."""
