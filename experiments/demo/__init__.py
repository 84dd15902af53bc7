"""The demo: a simulated plate from raw images to a page, and the same of a real export."""
