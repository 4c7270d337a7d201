"""Lesions of the brain and grades of lumbar discs: what is drawn, where, and how much contrast agent is taken up."""
