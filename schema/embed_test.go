package schema_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v5"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/redkubes/otomi/schema"
)

const name = "values.schema.yaml"

// keywords are those the schema uses. A misspelt one means nothing to a validator, so it would go unnoticed.
var keywords = []string{
	"$schema", "$ref", "$defs", "title", "description", "type", "properties", "additionalProperties", "propertyNames",
	"required", "items", "uniqueItems", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum", "default",
	"examples", "x-secret",
}

func TestEmbedsWhatIsInTheFolder(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(".")
	require.NoError(t, err)
	var want, got []string
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".go") {
			want = append(want, entry.Name())
		}
	}
	embedded, err := schema.FS.ReadDir(".")
	require.NoError(t, err)
	for _, entry := range embedded {
		got = append(got, entry.Name())
	}
	require.Equal(t, want, got)
}

func TestCompiles(t *testing.T) {
	t.Parallel()
	require.NotNil(t, compile(t, document(t)))
}

// Every key says what it means, nothing that is not named gets in, and no keyword is misspelt.
func TestIsDescribedAndClosed(t *testing.T) {
	t.Parallel()
	walk("", document(t), func(path string, node map[string]any) {
		for keyword := range node {
			require.Contains(t, keywords, keyword, "%s has a keyword that is not known here", path)
		}
		require.NotEmpty(t, node["description"], "%s has no description", path)
		description, _ := node["description"].(string)
		require.True(t, strings.HasSuffix(description, "."), "%s: a description ends in a full stop: %s", path, description)
		if node["type"] == "object" || node["properties"] != nil {
			extra, said := node["additionalProperties"]
			require.True(t, said, "%s is open: say additionalProperties", path)
			require.NotEqual(t, true, extra, "%s is open", path)
		}
		if pattern, ok := node["pattern"].(string); ok {
			_, err := regexp.Compile(pattern)
			require.NoError(t, err, path)
			require.True(t, strings.HasPrefix(pattern, "^") && strings.HasSuffix(pattern, "$"), "%s: anchor %s", path, pattern)
		}
		if _, ok := node["properties"]; !ok && node["x-secret"] == nil {
			require.True(t, node["type"] != nil || node["$ref"] != nil, "%s has no type", path)
		}
	})
}

// A default or an example that the schema itself refuses would be a trap. A default {} stands for what its keys default
// to, so it may lack what is required.
func TestDefaultsAndExamplesAreValid(t *testing.T) {
	t.Parallel()
	doc := document(t)
	walk("", doc, func(path string, node map[string]any) {
		texts, _ := node["examples"].([]any)
		if value, ok := node["default"]; ok {
			texts = append(slices.Clone(texts), value)
		}
		if len(texts) == 0 {
			return
		}
		part := map[string]any{"$defs": doc["$defs"]}
		for keyword, value := range node {
			if keyword != "$defs" {
				part[keyword] = value
			}
		}
		compiled := compile(t, part)
		for _, text := range texts {
			require.NoError(t, compiled.Validate(text), "%s: %v", path, text)
		}
	})
}

func TestAcceptsAndRefuses(t *testing.T) {
	t.Parallel()
	const image = "image: {repository: nginx, tag: '1'}"
	compiled := compile(t, document(t))
	// Each value, and the place that is refused: "" for none, "/" for the root.
	for values, refused := range map[string]string{
		"{}":                        "",
		"teams: {}":                 "",
		"teams: {alpha: {}}":        "",
		"teams: {Alpha: {}}":        "/teams/Alpha",
		"teams: {a--b-: {}}":        "/teams/a--b-",
		"teams: {alpha: null}":      "/teams/alpha",
		"teams: {alpha: {qota: 1}}": "/teams/alpha",
		"team: {}":                  "/",
		"teams: {alpha: {quota: {cpu: 2, memory: 1.5Gi}}}":                            "",
		"teams: {alpha: {quota: {cpu: 0.5}}}":                                         "",
		"teams: {alpha: {quota: {cpu: 1G}}}":                                          "/teams/alpha/quota/cpu",
		"teams: {alpha: {quota: {memory: 8}}}":                                        "/teams/alpha/quota/memory",
		"teams: {alpha: {services: {web: {}}}}":                                       "/teams/alpha/services/web",
		"teams: {alpha: {services: {web: {" + image + "}}}}":                          "",
		"teams: {alpha: {services: {web: {" + image + ", replicas: '2'}}}}":           "/teams/alpha/services/web/replicas",
		"teams: {alpha: {services: {web: {" + image + ", env: {A: 1}}}}}":             "/teams/alpha/services/web/env/A",
		"teams: {alpha: {services: {web: {" + image + ", env: {A-B: x}}}}}":           "/teams/alpha/services/web/env/A-B",
		"teams: {alpha: {services: {web: {image: {repository: nginx, tag: 1.29}}}}}":  "/teams/alpha/services/web/image/tag",
		"teams: {alpha: {services: {web: {image: {repository: 'nginx:1', tag: a}}}}}": "",
		"cluster: {k8sVersion: '1.34', domain: demo.example.com}":                     "",
		"cluster: {k8sVersion: 1.34}":                                                 "/cluster/k8sVersion",
		"cluster: {domain: 'https://example.com'}":                                    "/cluster/domain",
		"platform: {preflight: {targets: [example.com]}}":                             "/platform/preflight/targets/0",
	} {
		var tree any
		require.NoError(t, yaml.Unmarshal([]byte(values), &tree))
		err := compiled.Validate(tree)
		if refused == "" {
			require.NoError(t, err, values)
			continue
		}
		var invalid *jsonschema.ValidationError
		require.ErrorAs(t, err, &invalid, values)
		leaf := invalid
		for len(leaf.Causes) > 0 {
			leaf = leaf.Causes[0]
		}
		require.Equal(t, strings.TrimSuffix(refused, "/"), leaf.InstanceLocation, "%s: %s", values, leaf.Message)
	}
}

// The key of secrets is marked wherever it stands.
func TestSecretsAreMarked(t *testing.T) {
	t.Parallel()
	var marked []string
	walk("", document(t), func(path string, node map[string]any) {
		if node["x-secret"] != nil {
			marked = append(marked, path)
		}
	})
	require.Equal(t, []string{"/$defs/service/properties/secretEnv/additionalProperties"}, marked)
}

// walk visits every schema of a document, the root first and otherwise in the order of their paths.
func walk(path string, node map[string]any, visit func(string, map[string]any)) {
	visit(path, node)
	for _, keyword := range []string{"$defs", "properties"} {
		children, _ := node[keyword].(map[string]any)
		names := make([]string, 0, len(children))
		for name := range children {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			walk(fmt.Sprintf("%s/%s/%s", path, keyword, name), children[name].(map[string]any), visit)
		}
	}
	if child, ok := node["additionalProperties"].(map[string]any); ok && child["$ref"] == nil {
		walk(path+"/additionalProperties", child, visit)
	}
}

func document(t *testing.T) map[string]any {
	t.Helper()
	text, err := schema.FS.ReadFile(name)
	require.NoError(t, err)
	var doc map[string]any
	require.NoError(t, yaml.UnmarshalStrict(text, &doc))
	return doc
}

func compile(t *testing.T, doc map[string]any) *jsonschema.Schema {
	t.Helper()
	text, err := json.Marshal(doc)
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.AssertFormat = true
	require.NoError(t, c.AddResource("values.json", strings.NewReader(string(text))))
	compiled, err := c.Compile("values.json")
	require.NoError(t, err)
	return compiled
}
