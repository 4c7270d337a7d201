"""How good is a scan, and what does it show? Measured rules first, then heads that learned on simulated scans."""
