"""What became of this, over a time: errors, capacity, performance, and a page a week."""
