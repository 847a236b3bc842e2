"""What every module leans on and that knows no module."""
