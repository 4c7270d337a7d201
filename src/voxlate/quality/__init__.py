"""Quality control: grades scans by measured rules and by a network trained on simulated scans."""
