"""ALFWorld: household tasks in text, played on the true engine (textworld with the package's domain and grammar)."""
