package schema

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/value"
)

// How a keyword's value holds subschemas.
type holds string

const (
	data       holds = "data"
	one        holds = "schema"
	list       holds = "schemas"
	named      holds = "named schemas"
	oneOrList  holds = "schema or schemas"
	namedOrNot holds = "named schemas or lists"
)

// want is what the value of a keyword must be. Its words complete "the keyword wants …".
type want string

const (
	wantAny      want = "anything"
	wantText     want = "a string"
	wantBoolean  want = "true or false"
	wantCount    want = "a whole number that is not negative"
	wantNumber   want = "a number"
	wantPositive want = "a number above 0"
	wantNames    want = "a list of strings"
	wantList     want = "a list"
	wantMap      want = "a map"
	wantLists    want = "a map of lists of strings"
	wantType     want = "a type or a list of types"
	wantSchema   want = "a schema: a map, true or false"
	wantSchemas  want = "a list of schemas with at least one of them"
	wantNamed    want = "a map of schemas"
	wantSecret   want = "true, false, or the expression that generates the secret"
	wantMerge    want = "append, unique or {key: NAME}"
	wantMessage  want = "a message that says what to write instead"
)

// The drafts that a keyword belongs to, where it is not in both.
const (
	only07   = "draft-07"
	only2020 = "draft 2020-12"
)

// keyword is what is known of one keyword.
type keyword struct {
	holds holds
	want  want
	// draft is the one draft that gives the keyword an effect; empty where both do.
	draft string
	// of is the type of values that it is about, in JSON Schema's words; empty where that is any.
	of string
	// note says that it describes and does not check.
	note bool
}

// keywords are those of both drafts, of this package, and of editors.
var keywords = map[string]keyword{
	"$schema": {data, wantText, "", "", true}, "$id": {data, wantText, "", "", true}, "$comment": {data, wantText, "", "", true},
	"$vocabulary": {data, wantMap, only2020, "", true},
	"$ref":        {data, wantText, "", "", false}, "$anchor": {data, wantText, "", "", true},
	"$dynamicRef": {data, wantText, only2020, "", false}, "$dynamicAnchor": {data, wantText, only2020, "", true},
	"$defs": {named, wantNamed, "", "", true}, "definitions": {named, wantNamed, "", "", true},

	"properties":            {named, wantNamed, "", "object", false},
	"patternProperties":     {named, wantNamed, "", "object", false},
	"additionalProperties":  {one, wantSchema, "", "object", false},
	"unevaluatedProperties": {one, wantSchema, only2020, "object", false},
	"propertyNames":         {one, wantSchema, "", "object", false},
	"dependentSchemas":      {named, wantNamed, only2020, "object", false},
	"dependentRequired":     {data, wantLists, only2020, "object", false},
	"dependencies":          {namedOrNot, wantNamed, "", "object", false},
	"required":              {data, wantNames, "", "object", false},
	"minProperties":         {data, wantCount, "", "object", false},
	"maxProperties":         {data, wantCount, "", "object", false},

	"items":            {oneOrList, wantSchema, "", "array", false},
	"prefixItems":      {list, wantSchemas, only2020, "array", false},
	"additionalItems":  {one, wantSchema, only07, "array", false},
	"unevaluatedItems": {one, wantSchema, only2020, "array", false},
	"contains":         {one, wantSchema, "", "array", false},
	"minContains":      {data, wantCount, only2020, "array", false},
	"maxContains":      {data, wantCount, only2020, "array", false},
	"minItems":         {data, wantCount, "", "array", false},
	"maxItems":         {data, wantCount, "", "array", false},
	"uniqueItems":      {data, wantBoolean, "", "array", false},

	"allOf": {list, wantSchemas, "", "", false}, "anyOf": {list, wantSchemas, "", "", false}, "oneOf": {list, wantSchemas, "", "", false},
	"not": {one, wantSchema, "", "", false}, "if": {one, wantSchema, "", "", false},
	"then": {one, wantSchema, "", "", false}, "else": {one, wantSchema, "", "", false},

	"type": {data, wantType, "", "", false}, "enum": {data, wantList, "", "", false}, "const": {data, wantAny, "", "", false},

	"pattern":          {data, wantText, "", "string", false},
	"format":           {data, wantText, "", "", false},
	"minLength":        {data, wantCount, "", "string", false},
	"maxLength":        {data, wantCount, "", "string", false},
	"contentEncoding":  {data, wantText, "", "string", true},
	"contentMediaType": {data, wantText, "", "string", true},
	"contentSchema":    {one, wantSchema, only2020, "string", true},
	"minimum":          {data, wantNumber, "", "number", false},
	"maximum":          {data, wantNumber, "", "number", false},
	"exclusiveMinimum": {data, wantNumber, "", "number", false},
	"exclusiveMaximum": {data, wantNumber, "", "number", false},
	"multipleOf":       {data, wantPositive, "", "number", false},

	"title": {data, wantText, "", "", true}, "description": {data, wantText, "", "", true},
	"default": {data, wantAny, "", "", true}, "examples": {data, wantList, "", "", true},
	"deprecated": {data, wantBoolean, "", "", true},
	"readOnly":   {data, wantBoolean, "", "", true}, "writeOnly": {data, wantBoolean, "", "", true},

	"x-secret": {data, wantSecret, "", "", true}, "x-merge": {data, wantMerge, "", "array", true},
	"x-deprecated": {data, wantMessage, "", "", true},

	"markdownDescription": {data, wantText, "", "", true}, "defaultSnippets": {data, wantAny, "", "", true},
	"enumDescriptions": {data, wantNames, "", "", true}, "deprecationMessage": {data, wantText, "", "", true},
	"errorMessage": {data, wantAny, "", "", true}, "doNotSuggest": {data, wantBoolean, "", "", true},
}

// foreign are keywords of other drafts and of OpenAPI, with what to write instead.
var foreign = map[string]string{
	"id":               "It is of draft-04. Write $id",
	"extends":          "It is of draft-03. Write allOf",
	"disallow":         "It is of draft-03. Write not",
	"divisibleBy":      "It is of draft-03. Write multipleOf",
	"$recursiveRef":    "It is of draft 2019-09. Write $dynamicRef",
	"$recursiveAnchor": "It is of draft 2019-09. Write $dynamicAnchor",
	"nullable":         `It is of OpenAPI. Write type: [TYPE, "null"]`,
	"example":          "It is of OpenAPI. Write examples, with a list",
	"discriminator":    "It is of OpenAPI. Write a const for its property in each alternative",
	"externalDocs":     "It is of OpenAPI. Put the address into the description",
	"xml":              "It is of OpenAPI. Remove it",
}

// types are the words of the keyword type.
var types = []string{"null", "boolean", "integer", "number", "string", "array", "object"}

// fits reports whether a keyword's value is what is wanted, as far as that shows without looking at subschemas.
func (w want) fits(v *value.Node) bool {
	switch w {
	case wantText:
		return v.Kind == value.String
	case wantMessage:
		return v.Text() != ""
	case wantBoolean:
		return v.Kind == value.Boolean
	case wantCount:
		n, ok := numeral(v)
		return ok && n >= 0 && n == math.Trunc(n)
	case wantNumber:
		_, ok := numeral(v)
		return ok
	case wantPositive:
		n, ok := numeral(v)
		return ok && n > 0
	case wantNames:
		return v.Kind == value.List && !slices.ContainsFunc(v.Items, func(n *value.Node) bool { return n.Kind != value.String })
	case wantList:
		return v.Kind == value.List
	case wantSchemas:
		return v.Kind == value.List && len(v.Items) > 0
	case wantMap, wantNamed:
		return v.Kind == value.Map
	case wantLists:
		return v.Kind == value.Map && !slices.ContainsFunc(v.Fields, func(f value.Field) bool { return !wantNames.fits(f.Value) })
	case wantType:
		return v.Kind == value.String || wantNames.fits(v) && len(v.Items) > 0
	case wantSchema:
		return v.Kind == value.Map || v.Kind == value.Boolean
	case wantSecret:
		return v.Kind == value.Boolean || v.Kind == value.String
	case wantMerge:
		return strategyOf(v) != nil
	}
	return true
}

// inWords says what a value of the schema is: a short scalar by itself, else its kind.
func inWords(v *value.Node) string {
	const long = 40
	text := plainText(v)
	switch {
	case v.Kind == value.Map, v.Kind == value.List, len(text) > long, strings.Contains(text, "\n"):
		return article(string(v.Kind))
	case v.Kind == value.String:
		return fmt.Sprintf("%q", v.Text())
	}
	return text
}

func numeral(v *value.Node) (float64, bool) {
	switch n := v.Scalar.(type) {
	case int64:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}

// checkKeyword reports a keyword whose value is not what it wants, and returns false.
func (r *reader) checkKeyword(sh *shape, field value.Field, k keyword) bool {
	v, wanted := field.Value, k.want
	if field.Key == "items" && v.Kind == value.List {
		if !r.schema.draft07 {
			r.report(diag.SchemaOtherDraft, field.KeyRange,
				"a list of schemas under items is of draft-07, and this schema is of draft 2020-12. Write prefixItems.")
			return false
		}
		wanted = wantSchemas
	}
	if !wanted.fits(v) {
		advice := "Correct it."
		switch {
		case strings.HasPrefix(field.Key, "exclusive") && v.Kind == value.Boolean:
			advice = "A boolean is of draft-04; write the limit itself, such as " + field.Key + ": 0."
		case field.Key == "required" && v.Kind == value.Boolean:
			advice = "A boolean is of draft-03; name the keys in the schema of the map that has them, such as required: [name]."
		case v.Kind == value.Null:
			advice = "Write one, or remove the keyword."
		}
		r.report(diag.SchemaWrongType, v.Origin.Range, "%q wants %s, and this is %s. %s", field.Key, wanted, inWords(v), advice)
		return false
	}
	switch field.Key {
	case "type":
		return r.checkTypes(v)
	case "enum":
		if len(v.Items) == 0 {
			r.report(diag.SchemaInvalid, v.Origin.Range, "an enum without values allows nothing. List the values, or remove it.")
			return false
		}
	}
	return true
}

// checkTypes reports words that are no types.
func (r *reader) checkTypes(v *value.Node) bool {
	nodes := v.Items
	if v.Kind == value.String {
		nodes = []*value.Node{v}
	}
	ok := true
	for _, n := range nodes {
		if slices.Contains(types, n.Text()) {
			continue
		}
		ok = false
		advice := "Write one of " + strings.Join(types, ", ") + "."
		near := diag.Nearest(n.Text(), types)
		switch n.Text() {
		case "map", "dict":
			near = "object"
		case "list":
			near = "array"
		case "int":
			near = "integer"
		case "float":
			near = "number"
		}
		if near != "" {
			advice = fmt.Sprintf("Did you mean %q?", near)
		}
		r.report(diag.SchemaInvalid, n.Origin.Range, "%q is no type of JSON Schema. %s", n.Text(), advice)
	}
	return ok
}

// unknownKeyword warns of a keyword without a meaning. Those that start with x- are free, unless they are nearly ours.
func (r *reader) unknownKeyword(field value.Field) {
	if advice, ok := foreign[field.Key]; ok {
		r.warn(diag.SchemaOtherDraft, field.KeyRange, "%q has no effect in this schema. %s.", field.Key, advice)
		return
	}
	extension := strings.HasPrefix(field.Key, "x-")
	known := slices.DeleteFunc(slices.Collect(maps.Keys(keywords)), func(k string) bool {
		return strings.HasPrefix(k, "x-") != extension
	})
	near := diag.Nearest(field.Key, known)
	if extension && near == "" {
		return
	}
	advice := "Remove it, or start it with x-."
	if near != "" {
		advice = fmt.Sprintf("Did you mean %q?", near)
	}
	r.warn(diag.SchemaUnknownKeyword, field.KeyRange, "%q is no keyword of JSON Schema and has no effect. %s", field.Key, advice)
}
