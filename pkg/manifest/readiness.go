package manifest

// Readiness is what is known of whether an object does what it is there for.
type Readiness struct {
	Ready bool `json:"ready"`
	// Failed says that waiting does not help.
	Failed bool `json:"failed,omitempty"`
	// Message says what is missing, and why as far as that is known; empty for what is ready.
	Message string `json:"message,omitempty"`
}
