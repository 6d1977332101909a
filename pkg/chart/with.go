package chart

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/yaml"
)

// Addition is a chart that a release adds to those that its chart depends on.
type Addition struct {
	Chart *Chart
	// Version is the constraint that the release names; empty takes any.
	Version string
	// Alias is the name under which it gets its values; empty means its own.
	Alias string
	Range diag.Range
}

// With returns c with further subcharts, as helmfile adds the dependencies of a release to its chart (chartify 0.28,
// ReadAdhocDependencies and UpdateRequirements): they stand in charts/ and in Chart.yaml, with the condition NAME.enabled under
// their alias or name. Nothing of c changes.
func With(c *Chart, additions []Addition) (*Chart, diag.Diagnostics) {
	if len(additions) == 0 {
		return c, nil
	}
	metadata, ds := metadataMap(c)
	if ds.HasErrors() {
		return nil, ds
	}
	dependencies, _ := metadata["dependencies"].([]any)
	dependencies = slices.Clone(dependencies)
	// What Chart.yaml says hides requirements.yaml, of a chart with apiVersion v1.
	files := slices.Clone(c.Files)
	if text, ok := c.File("requirements.yaml"); ok {
		if old, err := yaml.Decode(text); err == nil {
			if m, ok := old.(map[string]any); ok {
				l, _ := m["dependencies"].([]any)
				dependencies = append(dependencies, l...)
			}
		}
		files = slices.DeleteFunc(files, func(f File) bool { return f.Name == "requirements.yaml" || f.Name == "requirements.lock" })
	}
	taken := map[string]string{}
	for _, f := range files {
		if parts := strings.SplitN(f.Name, "/", 3); len(parts) == 3 && parts[0] == "charts" {
			taken[parts[1]] = "the chart's own"
		}
	}
	for _, a := range additions {
		name, version := a.Chart.Name, a.Version
		if version == "" {
			version = a.Chart.Version // which also fits a pre-release
		}
		if !compatible(a.Chart.Version, version) {
			ds = append(ds, invalid(a.Range, fmt.Sprintf("the dependency %s is of version %s, which is not in %q. Correct the version.", name, a.Chart.Version, version)))
			continue
		}
		called := a.Alias
		if called == "" {
			called = name
		}
		entry := map[string]any{"name": name, "version": version, "condition": called + ".enabled"}
		if a.Alias != "" {
			entry["alias"] = a.Alias
		}
		dependencies = append(dependencies, entry)
		// One chart under several aliases is there once.
		dir := name
		for i := 2; taken[dir] != "" && taken[dir] != a.Chart.Digest; i++ {
			dir = fmt.Sprintf("%s-%d", name, i)
		}
		if taken[dir] == a.Chart.Digest {
			continue
		}
		taken[dir] = a.Chart.Digest
		for _, f := range a.Chart.Files {
			f.Shown = a.Chart.Shown(f.Name)
			f.Name = path.Join("charts", dir, f.Name)
			files = append(files, f)
		}
	}
	if ds.HasErrors() {
		return nil, ds
	}
	metadata["dependencies"] = dependencies
	text, err := yaml.Marshal(metadata)
	if err != nil {
		return nil, diag.Diagnostics{invalid(c.Range, fmt.Sprintf("Chart.yaml can't be written with dependencies: %v. Correct it.", err))}
	}
	for i := range files {
		if files[i].Name == "Chart.yaml" {
			files[i].Data = text
		}
	}
	out := *c
	return assembled(&out, files)
}

// compatible reports whether a version is in a range, as Helm reads both.
func compatible(version, constraint string) bool {
	c, err := semver.NewConstraint(constraint)
	if err != nil {
		return false
	}
	v, err := semver.NewVersion(version)
	return err == nil && c.Check(v)
}

// metadataMap reads Chart.yaml.
func metadataMap(c *Chart) (map[string]any, diag.Diagnostics) {
	text, _ := c.File("Chart.yaml")
	v, err := yaml.Decode(bytes.TrimSpace(text))
	m, ok := v.(map[string]any)
	if err != nil || !ok {
		return nil, diag.Diagnostics{invalid(c.Range, "Chart.yaml is no map. Correct it.")}
	}
	return m, nil
}

// assembled gives the chart other files, and what follows from them.
func assembled(c *Chart, files []File) (*Chart, diag.Diagnostics) {
	c.shown = map[string]string{}
	for _, f := range files {
		if f.Shown != "" {
			c.shown[f.Name] = f.Shown
		}
	}
	loaded, err := helmLoad(files)
	if err != nil {
		return nil, diag.Diagnostics{invalid(c.Range, fmt.Sprintf("Helm can't load the chart that is made of %s: %v. Correct it.", c.Display, err))}
	}
	if problem := uninstallable(loaded); problem != "" {
		return nil, diag.Diagnostics{invalid(c.Range, problem)}
	}
	c.Files, c.Digest = files, digest(files)
	c.Name, c.Version, c.AppVersion = loaded.Metadata.Name, loaded.Metadata.Version, loaded.Metadata.AppVersion
	c.KubeVersion = loaded.Metadata.KubeVersion
	if c.Metadata, err = json.Marshal(loaded.Metadata); err != nil {
		panic(fmt.Sprintf("chart: metadata that was read from YAML does not become JSON: %v", err))
	}
	c.Origin.Version = c.Version
	if c.Origin.Source == "" {
		c.Origin = Origin{Source: StackSource, Version: c.Version, SHA256: c.Digest}
	}
	return c, nil
}
