package openapi

import (
	"bytes"
	"encoding/json"
	"regexp"
	"regexp/syntax"
	"strings"
)

// schema is a schema in the dialect of Kubernetes: that of its OpenAPI document, and that of custom resource definitions.
// Kubernetes reads more keywords of definitions than these only in rules between fields (x-kubernetes-validations).
type schema struct {
	Ref        string             `json:"$ref"`
	Type       string             `json:"type"`
	Format     string             `json:"format"`
	Required   []string           `json:"required"`
	Properties map[string]*schema `json:"properties"`
	Items      *schema            `json:"items"`
	Additional *additional        `json:"additionalProperties"`

	Nullable    bool `json:"nullable"`
	IntOrString bool `json:"x-kubernetes-int-or-string"`
	Embedded    bool `json:"x-kubernetes-embedded-resource"`
	Preserve    bool `json:"x-kubernetes-preserve-unknown-fields"`
	// ListType, MapKeys and MergeKey say how two versions of a list are brought together.
	ListType string   `json:"x-kubernetes-list-type"`
	MapKeys  []string `json:"x-kubernetes-list-map-keys"`
	MergeKey string   `json:"x-kubernetes-patch-merge-key"`

	Default          json.RawMessage `json:"default"`
	Enum             []any           `json:"enum"`
	Pattern          string          `json:"pattern"`
	Minimum          *float64        `json:"minimum"`
	Maximum          *float64        `json:"maximum"`
	ExclusiveMinimum bool            `json:"exclusiveMinimum"`
	ExclusiveMaximum bool            `json:"exclusiveMaximum"`
	MultipleOf       *float64        `json:"multipleOf"`
	MinLength        *int            `json:"minLength"`
	MaxLength        *int            `json:"maxLength"`
	MinItems         *int            `json:"minItems"`
	MaxItems         *int            `json:"maxItems"`
	MinProperties    *int            `json:"minProperties"`
	MaxProperties    *int            `json:"maxProperties"`

	AllOf []*schema `json:"allOf"`
	AnyOf []*schema `json:"anyOf"`
	OneOf []*schema `json:"oneOf"`
	Not   *schema   `json:"not"`

	// pattern is Pattern compiled; nil where there is none or it is no expression of Go's.
	pattern *regexp.Regexp
	// weight is about how many states it has; heavy says that it has too many to be compiled.
	weight int
	heavy  bool
}

// maxWeight bounds the states of one pattern, maxWeights those of all patterns of a schema: {1000} is a thousand in six bytes.
const (
	maxWeight  = 50_000
	maxWeights = 2_000_000
)

// weight is about how many states a pattern has.
func weight(re *syntax.Regexp) int {
	n := 1 + len(re.Rune)
	for _, sub := range re.Sub {
		n += weight(sub)
	}
	if re.Op == syntax.OpRepeat {
		n *= max(1, re.Min, re.Max)
	}
	return min(n, maxWeights)
}

// compilePattern compiles Pattern, if that is not too much.
func (s *schema) compilePattern(left *int) {
	re, err := syntax.Parse(s.Pattern, syntax.Perl)
	if err != nil {
		return // the server refuses a definition with one that does not compile
	}
	s.weight = weight(re)
	if s.heavy = s.weight > maxWeight || s.weight > *left; s.heavy {
		return
	}
	*left -= s.weight
	s.pattern, _ = regexp.Compile(s.Pattern)
}

// additional is the keyword additionalProperties: a schema, or whether there may be any.
type additional struct {
	any    bool
	schema *schema
}

// UnmarshalJSON reads either form.
func (a *additional) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		return json.Unmarshal(text, &a.schema)
	}
	return json.Unmarshal(text, &a.any)
}

// parse makes a schema of one that was read as JSON. It is nil where data is none.
func parse(data any) *schema {
	text, err := json.Marshal(data)
	if err != nil {
		return nil
	}
	s := &schema{}
	if err := json.Unmarshal(text, s); err != nil {
		return nil // the definition itself is checked as an object of its own
	}
	left := maxWeights
	s.compile(&left)
	return s
}

// compile compiles the patterns of a schema and those in it, of which there may be left states.
func (s *schema) compile(left *int) {
	if s == nil {
		return
	}
	if s.Pattern != "" {
		s.compilePattern(left)
	}
	for _, p := range s.Properties {
		p.compile(left)
	}
	s.Items.compile(left)
	if s.Additional != nil {
		s.Additional.schema.compile(left)
	}
	for _, list := range [][]*schema{s.AllOf, s.AnyOf, s.OneOf} {
		for _, sub := range list {
			sub.compile(left)
		}
	}
	s.Not.compile(left)
}

// hasDefault reports whether the server fills the field in where it is absent.
func (s *schema) hasDefault() bool {
	return s != nil && len(s.Default) > 0 && string(s.Default) != "null"
}

// definitionName is the name that a reference of the OpenAPI document leads to.
func definitionName(ref string) string { return strings.TrimPrefix(ref, "#/definitions/") }
