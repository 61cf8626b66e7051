"""What a scrape costs, as ratios against something else in the same run."""
