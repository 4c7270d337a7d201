"""From tissue to image: sequences, contrast agent, scanners, artefacts, CT."""
