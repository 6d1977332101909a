package report

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/runlevel"
	"github.com/redkubes/otomi/pkg/value"
	"github.com/redkubes/otomi/pkg/yaml"
)

// helmfileRelease is a release of helmfile's list, key by key.
type helmfileRelease struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Enabled   bool   `json:"enabled"`
	Installed bool   `json:"installed"`
	Labels    string `json:"labels"`
	Chart     string `json:"chart"`
	Version   string `json:"version"`
}

// HelmfileList prints the releases of state files as helmfile's list does: by namespace and name. The format is "json" or
// "table".
func (r *Reporter) HelmfileList(releases []runlevel.Release, format string) error {
	rows := make([]helmfileRelease, len(releases))
	for i, rel := range releases {
		var labels []string
		for _, k := range slices.Sorted(maps.Keys(rel.Labels)) {
			labels = append(labels, k+":"+rel.Labels[k])
		}
		rows[i] = helmfileRelease{
			Name: rel.Name, Namespace: rel.WrittenNamespace, Enabled: rel.Enabled, Installed: rel.Installed,
			Labels: strings.Join(labels, ","), Chart: rel.Chart, Version: rel.Version,
		}
	}
	slices.SortStableFunc(rows, func(a, b helmfileRelease) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	if format == "json" {
		text, err := json.Marshal(rows)
		if err != nil {
			return fmt.Errorf("writing the list: %w", err)
		}
		return r.Product(string(text) + "\n")
	}
	table := [][]string{{"NAME", "NAMESPACE", "ENABLED", "INSTALLED", "LABELS", "CHART", "VERSION"}}
	for _, l := range rows {
		table = append(table, []string{l.Name, l.Namespace, fmt.Sprint(l.Enabled), fmt.Sprint(l.Installed), l.Labels, l.Chart, l.Version})
	}
	return r.Product(columns(table))
}

// HelmfileBuild prints a state file as helmfile's build does: evaluated, with the state values. path is where the file is. Alone says that
// one file was given, to whose directory helmfile goes; with embed the values of releases are whole.
func (r *Reporter) HelmfileBuild(s *runlevel.State, path string, alone, embed bool) error {
	seen := path
	if alone {
		seen = filepath.Base(path)
	}
	document := s.Document
	if embed {
		document = s.Embedded()
	}
	fields := []value.Field{{Key: "filepath", Value: text(seen)}}
	for _, key := range []string{"helmBinary", "kustomizeBinary"} {
		if document.Get(key).Text() == "" {
			fields = append(fields, value.Field{Key: key, Value: text(strings.TrimSuffix(key, "Binary"))})
		}
	}
	for _, f := range document.Fields {
		if f.Value.Kind != value.Null {
			fields = append(fields, f)
		}
	}
	rendered, err := yaml.MarshalState(map[string]any{"renderedvalues": s.Values})
	if err != nil {
		return fmt.Errorf("writing %s: %w", s.File, err)
	}
	state, err := yaml.WriteState(value.NewMap(value.Origin{}, fields...))
	if err != nil {
		return fmt.Errorf("writing %s: %w", s.File, err)
	}
	return r.Product(fmt.Sprintf("---\n#  Source: %s\n\n%s%s", path, state, rendered))
}

func text(s string) *value.Node { return value.NewScalar(value.Origin{}, s) }

// HelmfileEnv prints the environments of state files as helmfile's print-env does. paths are where the files are.
func (r *Reporter) HelmfileEnv(states []*runlevel.State, paths []string, format string) error {
	documents := make([]map[string]any, len(states))
	for i, s := range states {
		documents[i] = map[string]any{"filePath": paths[i], "name": s.Environment.Name, "values": s.Values}
		if s.Environment.KubeContext != "" {
			documents[i]["kubeContext"] = s.Environment.KubeContext
		}
	}
	if format == "json" {
		text, err := json.MarshalIndent(documents, "", "  ")
		if err != nil {
			return fmt.Errorf("writing the environments: %w", err)
		}
		return r.Product(string(text) + "\n")
	}
	var b bytes.Buffer
	for i, d := range documents {
		if i > 0 {
			b.WriteString("---\n")
		}
		text, err := yaml.MarshalState(d)
		if err != nil {
			return fmt.Errorf("writing the environments: %w", err)
		}
		b.Write(text)
	}
	return r.Product(b.String())
}

// HelmfileDAG prints the order of the releases of state files as helmfile's show-dag does: a table for each file.
func (r *Reporter) HelmfileDAG(levels []runlevel.Level) error {
	var b strings.Builder
	for _, l := range levels {
		if len(l.Releases) == 0 {
			continue
		}
		table := [][]string{{"GROUP", "RELEASE", "DEPENDENCIES"}}
		for _, rel := range l.Releases {
			table = append(table, []string{fmt.Sprint(rel.Group + 1), rel.ID(), strings.Join(rel.WrittenNeeds, ", ")})
		}
		b.WriteString(columns(table))
	}
	return r.Product(b.String())
}
