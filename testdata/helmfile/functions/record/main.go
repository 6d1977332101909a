// Command record writes golden.json: what helmfile makes of each row of table.txt. record.sh runs it.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/redkubes/otomi/testdata/helmfile/functions/rows"
)

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(helmfile, helm string) error {
	table, err := rows.Table(".")
	if err != nil {
		return err
	}
	known := map[string]rows.Record{}
	if len(os.Args) > 3 { // only what is new
		known, _ = rows.Golden(".")
	}
	records := make([]rows.Record, len(table))
	failures := make([]error, 2)
	var wg sync.WaitGroup
	for worker := range failures {
		wg.Go(func() {
			work, err := os.MkdirTemp("", "functions")
			if err == nil {
				defer func() { _ = os.RemoveAll(work) }()
				err = os.CopyFS(work, os.DirFS("work"))
			}
			_ = os.Chmod(filepath.Join(work, "data/fails.sh"), 0o755)
			r := recorder{work: work, helmfile: helmfile, helm: helm}
			for i := worker; i < len(table) && err == nil; i += len(failures) {
				if old, ok := known[table[i].Name]; ok {
					records[i] = old
					continue
				}
				records[i], err = r.record(table[i])
			}
			failures[worker] = err
		})
	}
	wg.Wait()
	for _, err := range failures {
		if err != nil {
			return err
		}
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(records); err != nil {
		return err
	}
	return os.WriteFile("golden.json", out.Bytes(), 0o644)
}

type recorder struct{ work, helmfile, helm string }

func (r recorder) record(row rows.Row) (rows.Record, error) {
	out := rows.Record{Row: row.Name}
	if err := row.Write(".", r.work); err != nil {
		return out, err
	}
	got, failure := r.build("main", "--sequential-helmfiles")
	outcomes := map[string]rows.Outcome{}
	for _, place := range rows.Places {
		key := place
		if place == "sub.yaml" {
			key = "sub/helmfile.yaml.gotmpl"
		}
		if failure == "" {
			outcomes[place] = rows.Outcome{Out: got[filepath.Base(key)]}
			continue
		}
		one, failure := r.build(filepath.Join("main", place))
		outcomes[place] = rows.Outcome{Out: one[filepath.Base(key)], Error: failure}
	}
	out.Outcome = outcomes["state.yaml.gotmpl"]
	for place, o := range outcomes {
		if o != out.Outcome {
			if out.Places == nil {
				out.Places = map[string]rows.Outcome{}
			}
			out.Places[place] = o
		}
	}
	return out, nil
}

// build returns what the files of a run give, by their names, or the failure.
func (r recorder) build(file string, flags ...string) (map[string]string, string) {
	home := filepath.Join(r.work, ".home")
	_ = os.MkdirAll(home, 0o755)
	args := append([]string{"--helm-binary", r.helm, "-f", filepath.Join(r.work, file)}, flags...)
	cmd := exec.Command(r.helmfile, append(args, "build", "--embed-values")...)
	cmd.Dir = r.work
	cmd.Env = []string{
		"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + home, "TZ=UTC", "HELMFILE_UPGRADE_NOTICE_DISABLED=1", "FUNCS_SET=value", "FUNCS_EMPTY=",
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, r.tidied(stderr.String())
	}
	got := map[string]string{}
	for d := yaml.NewDecoder(&stdout); ; {
		var doc struct {
			FilePath string
			Releases []struct {
				Labels map[string]string
				Values []map[string]any
			}
		}
		if err := d.Decode(&doc); err != nil {
			return got, ""
		}
		for _, rel := range doc.Releases {
			out, ok := rel.Labels["out"]
			if !ok && len(rel.Values) > 0 {
				out = fmt.Sprint(rel.Values[0]["out"])
			}
			got[filepath.Base(doc.FilePath)] = out
		}
	}
}

var place = regexp.MustCompile(`(?s)^.*?(template: |yaml: |error during|failed executing|failed to render)`)

// tidied is what a failure says, from its first place on.
func (r recorder) tidied(stderr string) string {
	lines := strings.TrimSpace(stderr)
	lines = strings.ReplaceAll(lines, r.work, "WORK")
	lines = place.ReplaceAllString(lines, "$1")
	if len(lines) > 600 {
		lines = lines[:300] + " ... " + lines[len(lines)-300:]
	}
	return strings.ToValidUTF8(lines, "")
}
