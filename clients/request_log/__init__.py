"""Files of a request log, as those find and read them who score, replay or judge them."""
