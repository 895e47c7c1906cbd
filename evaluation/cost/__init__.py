"""What images take: time, arithmetic, and the machine behind it."""
