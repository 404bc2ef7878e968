"""What an experiment holds, and two of them side by side."""
