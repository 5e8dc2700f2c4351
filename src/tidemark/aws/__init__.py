"""What belongs to AWS alone."""
