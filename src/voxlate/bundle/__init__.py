"""All that inference needs of a trained model: recipe, network, weights, prepared cases, training statistics."""
