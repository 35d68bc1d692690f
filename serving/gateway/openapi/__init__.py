"""What the gateway says of itself: OpenAPI documents of what it serves now, and the page that shows them."""
