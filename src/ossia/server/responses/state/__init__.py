"""What responses leave behind: runs that can be followed, stored history, conversations."""
