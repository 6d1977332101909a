package openapi

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
)

// schema is a schema in the dialect of Kubernetes: that of its OpenAPI document, and that of custom resource definitions.
// Kubernetes reads more keywords of definitions than these only in rules between fields (x-kubernetes-validations) and for
// lists that are sets or maps.
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
	s.compile()
	return s
}

// compile compiles the patterns of a schema and those in it.
func (s *schema) compile() {
	if s == nil {
		return
	}
	if s.Pattern != "" {
		s.pattern, _ = regexp.Compile(s.Pattern) // the server refuses a definition with one that does not compile
	}
	for _, p := range s.Properties {
		p.compile()
	}
	s.Items.compile()
	if s.Additional != nil {
		s.Additional.schema.compile()
	}
	for _, list := range [][]*schema{s.AllOf, s.AnyOf, s.OneOf} {
		for _, sub := range list {
			sub.compile()
		}
	}
	s.Not.compile()
}

// hasDefault reports whether the server fills the field in where it is absent.
func (s *schema) hasDefault() bool {
	return s != nil && len(s.Default) > 0 && string(s.Default) != "null"
}

// definitionName is the name that a reference of the OpenAPI document leads to.
func definitionName(ref string) string { return strings.TrimPrefix(ref, "#/definitions/") }
