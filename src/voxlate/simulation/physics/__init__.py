"""Images from tissues: MR sequences, contrast agent, scanners, artefacts and CT."""
