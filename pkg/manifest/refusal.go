package manifest

// RefusalReason says why a cluster did not take an object.
type RefusalReason string

const (
	// RefusedInvalid: the object breaks a rule of its kind or of an admission policy.
	RefusedInvalid RefusalReason = "invalid"
	// RefusedImmutable: the object is fine, but the one that is there can't become it.
	RefusedImmutable RefusalReason = "immutable"
	// RefusedForbidden: the user may not do this.
	RefusedForbidden RefusalReason = "forbidden"
	// RefusedNoNamespace: the object's namespace is not there.
	RefusedNoNamespace RefusalReason = "no-namespace"
	// RefusedTerminating: the object's namespace is being deleted.
	RefusedTerminating RefusalReason = "terminating"
	// RefusedUnknownKind: the cluster does not serve the object's kind in its version.
	RefusedUnknownKind RefusalReason = "unknown-kind"
	// RefusedConflict: the object was written since it was read, or is there already.
	RefusedConflict RefusalReason = "conflict"
	// RefusedRehearsal: an admission webhook takes no dry run, so that nobody knows what becomes of the object until it is applied.
	RefusedRehearsal RefusalReason = "no-dry-run"
)

// Refusal is the error of a cluster that understood a request about an object and declined it: asking again changes
// nothing until the object or the cluster does. Message never holds the body of a Secret, nor a whole part of
// any other object.
type Refusal struct {
	ID      ID
	Reason  RefusalReason
	Message string
	// Fields are the fields that the cluster complains of, as it names them ("spec.selector", "spec.ports[0].nodePort"), each once.
	Fields []string
}

// Error is the object and the message.
func (r *Refusal) Error() string { return r.ID.String() + ": " + r.Message }

// Unheld is the error of a write that was not sent, because the run does not hold the lease of its cluster any more: no other
// write of it will be sent, either.
type Unheld struct {
	// Reason says what became of the lease.
	Reason string
}

// Error says what was not done, and why.
func (e *Unheld) Error() string { return e.Reason + ": nothing more is written" }
