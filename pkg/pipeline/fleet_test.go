package pipeline_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// fleet is the size of a generated values repository. A cluster has all generic layers, those of its cloud and its own:
// the real thing at scale, with 30 to 60 lines a layer and some 2,500 leaves a tree when there are 100 layers.
type fleet struct {
	clouds, clusters int
	// settings, apps and teams are generic layers; perCloud and perCluster stand in the folders of the hierarchy.
	settings, apps, teams, perCloud, perCluster int
	// keys multiplies the keys of an application's layer; 0 is 1.
	keys int
}

// hundredLayers is a fleet of the given number of clusters with 100 layers each.
func hundredLayers(clusters int) fleet {
	return fleet{clouds: 4, clusters: clusters, settings: 10, apps: 20, teams: 30, perCloud: 25, perCluster: 15}
}

func (f fleet) layers() int { return f.settings + f.apps + f.teams + f.perCloud + f.perCluster }

// files is how many layer files the repository has.
func (f fleet) files() int {
	return f.settings + f.apps + f.teams + f.clouds*f.perCloud + f.clusters*f.perCluster
}

// write writes the repository, with a stack of its own whose schema names every key, and returns its directory.
func (f fleet) write(tb testing.TB) string {
	tb.Helper()
	dir := tb.TempDir()
	put := func(name, text string) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(tb, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(tb, os.WriteFile(path, []byte(text), 0o644))
	}
	put("otomi.yaml", "version: 1\nstack: stack\n")
	put("stack/schema/values.schema.yaml", f.schema())
	put("stack/runlevels/10-apps.yaml", "releases: []\n")
	put("env/clusters.yaml", f.registry())
	for i := range f.settings {
		put(fmt.Sprintf("env/settings%02d.yaml", i), f.settingsLayer(i))
	}
	for i := range f.apps {
		put(fmt.Sprintf("env/apps/app%02d.yaml", i), f.appLayer(i, "generic", 0))
	}
	for i := range f.teams {
		put(fmt.Sprintf("env/teams/team%02d.yaml", i), f.teamLayer(i))
	}
	for c := range f.clouds {
		for i := range f.perCloud {
			put(fmt.Sprintf("env/clouds/cloud%d/layer%02d.yaml", c, i), f.appLayer(i%f.apps, fmt.Sprintf("cloud%d", c), i/f.apps))
		}
	}
	for k := range f.clusters {
		folder := fmt.Sprintf("env/clouds/cloud%d/cluster%04d", k%f.clouds, k)
		for i := range f.perCluster {
			put(fmt.Sprintf("%s/layer%02d.yaml", folder, i), f.appLayer((i+k)%f.apps, fmt.Sprintf("cluster%04d", k), i%3))
		}
	}
	return dir
}

func (f fleet) registry() string {
	var b strings.Builder
	b.WriteString("clouds:\n")
	for c := range f.clouds {
		fmt.Fprintf(&b, "  cloud%d:\n    domain: cloud%d.example.com\n    clusters:\n", c, c)
		for k := c; k < f.clusters; k += f.clouds {
			fmt.Fprintf(&b, "      cluster%04d: { kubeContext: cluster%04d, k8sVersion: \"1.36\", region: region-%d }\n", k, k, k%7)
		}
	}
	return b.String()
}

func (f fleet) settingsLayer(i int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# What every cluster has, part %d.\nplatform:\n  part%02d:\n    enabled: true\n    owner: platform-team\n", i, i)
	for k := range 30 {
		fmt.Fprintf(&b, "    setting%02d: %s\n", k, []string{`"text of some length"`, "42", "true", "1.5"}[k%4])
	}
	b.WriteString("    hosts:\n      - one.example.com\n      - two.example.com\n")
	return b.String()
}

// appLayer says something about an application: all of it in the generic layer, a part of it in a more specific one.
func (f fleet) appLayer(i int, from string, part int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Application %d, as %s has it.\napps:\n  app%02d:\n    enabled: true\n    image:\n      repository: registry.example.com/app%02d\n      tag: \"1.%d.0\"\n", i, from, i, i, part)
	fmt.Fprintf(&b, "    replicas: %d\n    resources:\n      requests: { cpu: 100m, memory: 128Mi }\n      limits: { cpu: \"1\", memory: 256Mi }\n    config:\n", 1+part)
	for k := range 24 * max(1, f.keys) {
		fmt.Fprintf(&b, "      key%02d: %s-%d\n", (k+part*8)%(32*max(1, f.keys)), from, k)
	}
	return b.String()
}

func (f fleet) teamLayer(i int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "teams:\n  team%02d:\n    title: Team %d\n    contact: team%02d@example.com\n    members: [one, two, three]\n    services:\n", i, i, i)
	for s := range 4 {
		fmt.Fprintf(&b, "      service%d:\n        image: registry.example.com/team%02d/service%d\n        replicas: 2\n        port: 8080\n        env:\n          LOG_LEVEL: info\n          TEAM: team%02d\n          REGION: here\n", s, i, s, i)
	}
	return b.String()
}

// schema is closed everywhere, names every key of the applications, and has some 700 properties at four applications'
// worth of definitions shared by reference.
func (f fleet) schema() string {
	var b strings.Builder
	b.WriteString(`$schema: https://json-schema.org/draft/2020-12/schema
type: object
additionalProperties: false
required: [cluster]
$defs:
  name: { type: string, pattern: "^[a-z][a-z0-9-]*$" }
  quantity: { type: string, pattern: "^[0-9]+(m|Mi|Gi)?$" }
  amounts:
    type: object
    additionalProperties: false
    properties:
      cpu: { $ref: "#/$defs/quantity" }
      memory: { $ref: "#/$defs/quantity" }
  service:
    type: object
    additionalProperties: false
    required: [image]
    properties:
      image: { type: string, minLength: 1 }
      replicas: { type: integer, minimum: 0, default: 1 }
      port: { type: integer, minimum: 1, maximum: 65535 }
      protocol: { enum: [http, grpc, tcp], default: http }
      env: { type: object, additionalProperties: { type: string } }
properties:
  cluster:
    type: object
    additionalProperties: false
    required: [id, provider, name, domain]
    properties:
      id: { type: string }
      provider: { $ref: "#/$defs/name" }
      name: { $ref: "#/$defs/name" }
      domain: { type: string, format: hostname }
      region: { type: string }
  teams:
    type: object
    propertyNames: { $ref: "#/$defs/name" }
    additionalProperties:
      type: object
      additionalProperties: false
      properties:
        title: { type: string }
        contact: { type: string, format: email }
        members: { type: array, items: { type: string }, uniqueItems: true, x-merge: append }
        services: { type: object, additionalProperties: { $ref: "#/$defs/service" } }
  platform:
    type: object
    additionalProperties:
      type: object
      properties:
        enabled: { type: boolean }
        owner: { type: string }
        hosts: { type: array, items: { type: string, format: hostname } }
  apps:
    type: object
    additionalProperties: false
    properties:
`)
	for i := range f.apps {
		fmt.Fprintf(&b, "      app%02d:\n        type: object\n        additionalProperties: false\n        properties:\n", i)
		b.WriteString("          enabled: { type: boolean, default: false }\n          replicas: { type: integer, minimum: 0, maximum: 50 }\n")
		b.WriteString("          image: { type: object, additionalProperties: false, properties: { repository: { type: string }, tag: { type: string } } }\n")
		b.WriteString("          resources: { type: object, additionalProperties: false, properties: { requests: { $ref: \"#/$defs/amounts\" }, limits: { $ref: \"#/$defs/amounts\" } } }\n")
		b.WriteString("          config:\n            type: object\n            additionalProperties: false\n            properties:\n")
		for k := range 32 * max(1, f.keys) {
			fmt.Fprintf(&b, "              key%02d: { type: string, description: \"Key %d.\", maxLength: 100 }\n", k, k)
		}
	}
	return b.String()
}
