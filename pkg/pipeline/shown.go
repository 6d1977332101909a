package pipeline

import (
	"path"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/yaml"
)

// Shown returns the texts that diagnostics are shown with: those of the files they are about, without the lines that may
// hold a secret, and nothing of a secrets.* file. A nil platform has none.
func (p *Platform) Shown(ds diag.Diagnostics) diag.Sources {
	if p == nil || len(ds) == 0 {
		return nil
	}
	all := p.Sources()
	layers := diag.Sources{}
	if p.repository != nil {
		layers = p.repository.Sources()
	}
	for _, l := range p.flags {
		layers[l.Name] = all[l.Name]
	}
	shown := diag.Sources{}
	var names []string
	for _, d := range ds {
		names = append(names, d.Range.File)
		for _, n := range d.Notes {
			if strings.Contains(n.Range.File, "(rendered for ") {
				names = append(names, n.Range.File)
			}
		}
	}
	for _, name := range names {
		text, known := all[name]
		if _, done := shown[name]; done || !known || strings.HasPrefix(path.Base(name), "secrets.") {
			continue
		}
		_, isLayer := layers[name]
		switch {
		case p.schema == nil:
		case isLayer:
			root, _ := yaml.Read(text, yaml.ReadOptions{File: name})
			text = p.schema.Conceal(text, root)
		case strings.Contains(name, "(rendered"):
			text = p.schema.Conceal(text, nil)
		}
		shown[name] = text
	}
	return shown
}
