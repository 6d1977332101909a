package layer

import (
	"path"

	"github.com/redkubes/otomi/pkg/diag"
)

// Parsed returns how many times a file of the repository or its stack was parsed: each once, unless it was forgotten or
// replaced.
func (r *Repository) Parsed() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.parsed
}

// Replace reads text in place of the file at a path of the repository, as an editor has it before it is saved, and
// returns what is wrong with it. What was parsed before stays for the other files. No cluster may be compiled at the same
// time. A file that no cluster has is remembered and changes nothing; a stack that otomi.yaml newly names is not opened.
func (r *Repository) Replace(p string, text []byte) diag.Diagnostics {
	p = path.Clean(p)
	name, as := r.tree.Display(p), p
	if p == registryFile {
		as = Registry
	}
	f := &file{}
	f.once.Do(func() { f.root, f.diags = understand(text, name, as, "or name it in exclude of otomi.yaml") })
	r.mu.Lock()
	r.files[name] = f
	r.texts[name] = text
	r.parsed++
	r.mu.Unlock()
	diags := f.diags
	if f.root == nil {
		return diags
	}
	var more diag.Diagnostics
	switch p {
	case settingsFile:
		r.settings, more = readSettings(f.root)
	case registryFile:
		r.registry, more = readRegistry(f.root)
	}
	return append(diags, more...)
}

// Forget drops the trees of those layers that one cluster alone has, so that a run over many clusters holds only what
// they share. They are parsed again when they are wanted again.
func (r *Repository) Forget(layers []Layer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range layers {
		if l.Scope == "" && l.Name != Registry {
			delete(r.files, r.tree.Display(l.Name))
		}
	}
}
