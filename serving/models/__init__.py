"""Models as they lie on disk or in a bucket: versions, cards, configuration, status, and what is to be known of them."""
