package report

// Redacted is a text without the secrets that the voice hides.
func (r *Reporter) Redacted(text string) string { return r.err.text(text) }
