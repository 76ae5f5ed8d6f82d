"""What an export came to, as one page."""
