"""All that inference needs: recipe, network, weights, preparation settings, training statistics."""
