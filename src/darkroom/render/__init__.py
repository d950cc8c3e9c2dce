"""HOW to render: requests in, images and records out. The only room that imports torch."""
