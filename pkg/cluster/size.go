package cluster

import (
	"encoding/json"
	"fmt"

	v1 "k8s.io/api/core/v1"

	"github.com/redkubes/otomi/pkg/manifest"
)

// maxRecord is how many bytes the data of a Secret may have (k8s.io/api/core/v1.MaxSecretSize).
const maxRecord = v1.MaxSecretSize

// tooLargeError is the size of a record that no Secret can hold.
type tooLargeError int

func (e tooLargeError) Error() string { return "the record is too large" }

func sizeOf(s *v1.Secret) int {
	size := 0
	for _, v := range s.Data {
		size += len(v)
	}
	return size
}

// tooLarge says what makes a record too large. It is sent to no server, whose own answer names no part of it.
func tooLarge(s manifest.Stored, size int) error {
	hooks := 0
	for _, h := range s.Hooks {
		hooks += len(h.Text)
	}
	values, defaults := sizeOfJSON(s.Values), sizeOfJSON(s.Chart.Values)
	remedy := "Split the chart into several releases"
	if values+defaults > 0 {
		remedy = "Leave the values out of it with --record-values=omit, or split the chart into several releases"
	}
	return fmt.Errorf("the record of release %s is too large: %s compressed, and a Secret holds %s; before compression its manifest has %s, "+
		"hooks %s, notes %s, values %s, and the chart's default values %s. %s",
		s.Key(), bytesOf(size), bytesOf(maxRecord), bytesOf(len(s.Text)), bytesOf(hooks), bytesOf(len(s.Notes)), bytesOf(values), bytesOf(defaults), remedy)
}

// sizeOfJSON is how much room a tree takes; an empty one takes none.
func sizeOfJSON(tree map[string]any) int {
	if len(tree) == 0 {
		return 0
	}
	text, err := json.Marshal(tree)
	if err != nil {
		return 0 // and then it is not what is too large
	}
	return len(text)
}

// bytesOf is a size as people read it.
func bytesOf(n int) string {
	if n < 10<<10 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%d KiB", (n+1023)/1024)
}
